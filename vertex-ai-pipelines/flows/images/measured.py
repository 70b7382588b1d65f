"""A classifier on the holdout, asked as it will be served; and whether it says what was trained."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flows.contract import ASIDE, Saved
from flows.errors import RetrainError
from flows.evaluation import Measure, Measured
from flows.images import classifier, labelled
from flows.images.classifier import FILE, SHARES, Classifier
from flows.images.labelled import CONTENT, Labelled

LEAST = 1e-6  # a share of none at all would be infinitely wrong
ASKED = f"{ASIDE}/asked.parquet"
SOME = 64  # images whose answers are kept
ROUNDING = 1e-3  # between two libraries' probabilities; some 1e-6 is usual
Seen = TypeVar("Seen", bound=NDArray[Any])


def keep(folder: Path, contents: Sequence[bytes], seen: Seen, shares: Callable[[Seen], Any]) -> None:
    """Write to the model's folder what the trained model itself says of some of its training images.

    `seen` is what it learnt from, one entry an image; `shares` gives its probabilities, images ×
    classes. Who measures holds the exported file to them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    some = np.unique(np.linspace(0, len(contents) - 1, SOME).astype(int))
    told = np.asarray(shares(seen[some]), np.float64)
    (folder / ASKED).parent.mkdir(exist_ok=True)
    columns = {CONTENT: pa.array([contents[at] for at in some], pa.large_binary()), SHARES: list(told)}
    pq.write_table(pa.table(columns), folder / ASKED)


def on(holdout: Path, load: Callable[[Path, str, str], Classifier]) -> Measure:
    """How a saved model, opened by `load`, is measured on the images in `holdout`."""
    truth = labelled.read(holdout)

    def measure(saved: Saved) -> Measured:
        return _measure(load(saved.folder, saved.algorithm, saved.format), truth, saved.folder)

    return measure


def _measure(model: Classifier, truth: Labelled, folder: Path) -> Measured:
    """Each image's accuracy (0 or 1) and log loss; and what differs from training.

    `skew` is the largest difference, 0 to 255, of any pixel of the holdout between what the model reads
    when it is asked and what training reads, by today's code. `export_skew` is the largest difference
    of any probability between the exported file and what was trained, for the images that `keep` left in
    the model's `folder`; a released model has none there. Raises RetrainError where it is no rounding.
    """
    shares, seen = model.shares(truth.contents)
    number = {name: place for place, name in enumerate(model.classes)}
    wanted = np.array([number.get(label, -1) for label in truth.labels])
    own = np.where(wanted >= 0, shares[np.arange(len(wanted)), wanted], 0).astype(np.float64)
    learnt = classifier.pixels(truth.contents, model.size)
    skew = np.abs(seen.astype(np.int16) - learnt).max(initial=0)
    scores = {
        "accuracy": (shares.argmax(1) == wanted).astype(np.float64),
        "log_loss": -np.log(np.maximum(own, LEAST)),
    }
    return Measured(truth.names, scores, {"skew": float(skew), **_exported(model, folder / ASKED)})


def _exported(model: Classifier, path: Path) -> dict[str, float]:
    import pyarrow.parquet as pq

    if not path.is_file():
        return {}
    rows = pq.read_table(path)
    told = np.array(rows[SHARES].to_pylist())
    found, _ = model.shares(rows[CONTENT].to_pylist())
    away = float(np.abs(found - told).max())
    if not away <= ROUNDING:  # nor where it is no number
        raise RetrainError(
            f"{FILE}: a probability is {away:.2g} away from what the trained model says of the same"
            f" image, more than {ROUNDING:g}",
            "mend the export: it writes another model than was trained",
        )
    return {"export_skew": away}
