# mypy: disable-error-code="import-not-found, misc, unused-ignore"
"""Training: epochs with early stopping, which go on from a checkpoint where there is one."""

import copy
import hashlib
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flows import arrays, checkpoints
from flows.errors import InputError
from flows.images.graph import Pixels
from flows.vit.config import Vit
from flows.vit.network import Network

Classes = NDArray[np.int64]


@dataclass
class Progress:
    """How far training is. `series` has one value an epoch; `best` is the epoch of the lowest loss."""

    epoch: int = 0
    best: int = 0
    series: dict[str, list[float]] = field(
        default_factory=lambda: {"loss": [], "validation_loss": [], "validation_accuracy": []}
    )

    @property
    def lowest(self) -> float:
        """The lowest loss on the validation set so far; what is no number counts as none."""
        return min(filter(math.isfinite, self.series["validation_loss"]), default=math.inf)


class Training:
    """One network's training on `pixels` (images × size × size × RGB) and their `classes`."""

    def __init__(self, network: Network, options: Vit, seed: int, data: tuple[Pixels, Classes]) -> None:
        """Raises InputError where there are too few images for a validation set."""
        pixels, classes = data
        self._options, self._seed = options, seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        self._best: dict[str, Tensor] = copy.deepcopy(network.state_dict())
        self._adam = torch.optim.AdamW(network.parameters(), weight_decay=options.decay)
        self._pixels, self._classes = torch.from_numpy(pixels), torch.from_numpy(classes)
        own = _validation(len(pixels), options.validation_share, seed)
        self._training, self._validation = (torch.from_numpy(np.flatnonzero(of)) for of in (~own, own))
        self.progress = Progress()
        self._identity = _identity(options, seed, data)

    def run(self) -> None:
        """Train to the end; the network then has the weights of the best epoch.

        Raises InputError where there is none: training diverged.
        """
        print(f"training on {self.device.type}", flush=True)
        self._resume()
        saved = time.monotonic()
        while not self._ended():
            self._epoch()
            if time.monotonic() - saved > self._options.checkpoint:
                self._save()
                saved = time.monotonic()
        if not self.progress.best:
            self._save()  # where the step is tried again, it ends the same way, at once
            raise InputError("no epoch had a finite validation loss", "lower [train.vit] rate")
        self.network.load_state_dict(self._best)
        self.network.eval()

    def shares(self, pixels: Pixels) -> NDArray[np.float32]:
        """The probability of each class, images × classes: in single precision, whatever trained."""
        with torch.inference_mode():
            found: NDArray[np.float32] = self.network.cpu()(torch.from_numpy(pixels)).softmax(1).numpy()
        return found

    def _ended(self) -> bool:
        now = self.progress
        return now.epoch >= self._options.epochs or now.epoch - now.best >= self._options.patience

    def _epoch(self) -> None:
        """One pass over the training set; what is drawn is a matter of seed and epoch alone."""
        now, drawn = (
            self.progress,
            torch.Generator().manual_seed((self._seed << 20) + self.progress.epoch),
        )
        order = self._training[torch.randperm(len(self._training), generator=drawn)]
        losses = [
            self._step(part, drawn, at) for at, part in enumerate(order.split(self._options.batch))
        ]
        loss, accuracy = self._measure()
        now.epoch += 1
        if loss < now.lowest:
            now.best, self._best = now.epoch, copy.deepcopy(self.network.state_dict())
        for name, value in zip(now.series, (float(np.mean(losses)), loss, accuracy), strict=True):
            now.series[name].append(value)
        told = " · ".join(f"{name.replace('_', ' ')} {of[-1]:.4f}" for name, of in now.series.items())
        print(f"epoch {now.epoch} of {self._options.epochs}: {told}", flush=True)

    def _step(self, part: Tensor, drawn: torch.Generator, at: int) -> float:
        self.network.train()
        for group in self._adam.param_groups:
            group["lr"] = self._rate(
                self.progress.epoch + at * self._options.batch / len(self._training)
            )
        images = moved(self.network.centred(self._pixels[part].to(self.device)), self._options, drawn)
        wanted = self._classes[part].to(self.device)
        loss = nn.functional.cross_entropy(self.network.scores(images), wanted)
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        return float(loss.item())

    def _rate(self, epoch: float) -> float:
        """The learning rate: up in a line, down by half a cosine (Loshchilov and Hutter 2017)."""
        options = self._options
        up = min(1.0, (epoch + 0.1) / options.warmup)
        return options.rate * up * 0.5 * (1 + math.cos(math.pi * epoch / options.epochs))

    def _measure(self) -> tuple[float, float]:
        """Cross-entropy and accuracy on the validation set."""
        self.network.eval()
        losses = right = 0.0
        with torch.inference_mode():
            for part in self._validation.split(self._options.batch):
                found = self.network(self._pixels[part].to(self.device)).cpu()
                wanted = self._classes[part]
                losses += nn.functional.cross_entropy(found, wanted, reduction="sum").item()
                right += int((found.argmax(1) == wanted).sum())
        return losses / len(self._validation), right / len(self._validation)

    def _save(self) -> None:
        state = self._adam.state_dict()["state"]
        held = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        held |= {f"best.{name}": value for name, value in self._best.items()}
        held |= {f"adam.{n}.{key}": value for n, own in state.items() for key, value in own.items()}
        facts = {"progress": msgspec.to_builtins(self.progress), "identity": self._identity}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "checkpoint.safetensors")
            arrays.save(path, {name: value.cpu().numpy() for name, value in held.items()}, facts)
            checkpoints.keep(path)

    def _resume(self) -> None:
        """Go on where an earlier try of this step was, if it was of the same data and options."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "checkpoint.safetensors")
            if not checkpoints.find(path):
                return
            try:
                found, facts = arrays.load(path)
            except InputError as error:
                print(f"warning: {error.what}: training begins anew", flush=True)
                return
        if facts.get("identity") != self._identity:
            return
        held = {name: torch.from_numpy(value.copy()) for name, value in found.items()}
        self.network.load_state_dict(_below("network.", held))
        self._best = _below("best.", held)
        own: dict[int, dict[str, Any]] = {}
        for name, value in _below("adam.", held).items():
            number, _, key = name.partition(".")
            own.setdefault(int(number), {})[key] = value
        self._adam.load_state_dict({**self._adam.state_dict(), "state": own})
        self.progress = msgspec.convert(facts["progress"], Progress)
        print(f"a checkpoint is there: on from epoch {self.progress.epoch}", flush=True)


def moved(images: Tensor, options: Vit, drawn: torch.Generator) -> Tensor:
    """Each image shifted and turned at random; what comes in from outside is as the border is."""
    if not options.shift and not options.rotate:
        return images
    angle, right, down = (torch.rand(3, len(images), generator=drawn) * 2 - 1).to(images.device)
    angle = angle * math.radians(options.rotate)
    shift = 2 * options.shift  # an image is 2 wide, from -1 to 1
    rows = (angle.cos(), -angle.sin(), shift * right), (angle.sin(), angle.cos(), shift * down)
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _validation(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Which of `count` images only say when to stop."""
    size = round(count * share)
    if not 0 < size < count:
        raise InputError(
            f"the training set has {count} images, too few for validation_share = {share:g}",
            "change [train.vit] validation_share, or [data] days, in flow.toml",
        )
    own = np.zeros(count, bool)
    own[np.random.default_rng(seed).permutation(count)[:size]] = True
    return own


def _identity(options: Vit, seed: int, data: tuple[Pixels, Classes]) -> str:
    """What a checkpoint must be of."""
    drawn = hashlib.sha256(msgspec.json.encode([options, seed]))
    for one in data:
        drawn.update(np.ascontiguousarray(one).data)
    return drawn.hexdigest()


def _below(prefix: str, held: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in held.items() if name.startswith(prefix)}
