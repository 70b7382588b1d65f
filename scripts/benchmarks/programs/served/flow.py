"""The model as a flow of ours: what the prediction server asks of one."""

from pathlib import Path

from flows.served.model import INSTANCE, ONNX, Model

from flows.contract import Form


class Served(Model):
    """With what it is asked with."""

    form = Form(tuple[float, float, float], INSTANCE)


def load(model: Path, algorithm: str, format: str) -> Served:  # noqa: A002, ARG001
    """The model in a folder."""
    return Served(model / ONNX)
