"""A classifier on the holdout, asked as it will be served."""

import numpy as np

from flows.evaluation import Measured
from flows.images import classifier
from flows.images.classifier import Classifier
from flows.images.labelled import Labelled

LEAST = 1e-6  # a share of none at all would be infinitely wrong


def measure(model: Classifier, truth: Labelled) -> Measured:
    """Each image's accuracy (0 or 1) and log loss; and the skew.

    `skew` is the largest difference, 0 to 255, of any pixel of the holdout between what the model reads
    when it is asked and what training reads, by today's code.
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
    return Measured(truth.names, scores, {"skew": float(skew)})
