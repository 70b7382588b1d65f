"""The image classifier's own options in flow.toml."""

import re
from typing import Annotated

from msgspec import Meta

from flows.tables import Table

METRICS = {"accuracy": "accuracy", "log_loss": "log loss"}
Positive = Annotated[int, Meta(ge=1)]
Channel = Annotated[float, Meta(ge=0, le=1)]
Colour = tuple[Channel, Channel, Channel]
SHA256 = re.compile(r"[0-9a-f]{64}")


class Preprocess(Table):
    """`holdout_share` of the images, drawn with `seed`, are what the model is measured on."""

    holdout_share: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    seed: int = 0


class Vit(Table):
    """A vision transformer, and how it is trained.

    `size` and `patch` are pixels a side, `mean` and `deviation` what a channel, 0 to 1, is centred and
    scaled by. `rate` falls from the learning rate's peak to zero over `epochs`, after `warmup` of them;
    after `patience` epochs without a lower loss on `validation_share` of the training set, training
    ends. `shift` (a share of the side) and `rotate` (degrees) move training images at random. On a CPU,
    another number of `threads` adds up in another order: another model. `weights`,
    gs://…/model.safetensors, is what to begin with, in the names of timm or Hugging Face, and
    `weights_sha256` (64 hex digits, as sha256sum prints them) says that it is the same file still.
    """

    size: Positive = 8
    patch: Positive = 4
    width: Positive = 64
    depth: Positive = 3
    heads: Positive = 4
    mean: Colour = (0.5, 0.5, 0.5)
    deviation: Colour = (0.5, 0.5, 0.5)
    epochs: Positive = 30
    warmup: Positive = 5
    patience: Positive = 10
    batch: Positive = 64
    threads: Positive = 1
    rate: Annotated[float, Meta(gt=0)] = 0.003
    decay: Annotated[float, Meta(ge=0)] = 0.05
    validation_share: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    shift: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    rotate: Annotated[float, Meta(ge=0, le=180)] = 0.0
    weights: str = ""
    weights_sha256: str = ""
    checkpoint: Annotated[float, Meta(gt=0)] = 60.0  # seconds between two

    def __post_init__(self) -> None:
        """Raises ValueError for what no option shows alone: an InputError for who reads the table."""
        for name, other in (("size", "patch"), ("width", "heads")):
            whole, part = getattr(self, name), getattr(self, other)
            if whole % part:
                raise ValueError(f"{name} = {whole} is not a multiple of {other} = {part}")
        if bool(self.weights) != bool(self.weights_sha256):
            raise ValueError("weights and weights_sha256, the SHA-256 of that file, belong together")
        if self.weights and not SHA256.fullmatch(self.weights_sha256):
            raise ValueError(f"weights_sha256 = '{self.weights_sha256}' is not 64 hex digits")


class Train(Table):
    """The algorithms, each with its own table."""

    vit: Vit = Vit()


class Config(Table):
    """All of them; the frame's keys are not here."""

    preprocess: Preprocess = Preprocess()
    train: Train = Train()
