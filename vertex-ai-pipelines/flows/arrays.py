"""Arrays in safetensors files: the same bytes for the same content; ids are whole numbers or texts."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flows.errors import InputError

Arrays: TypeAlias = dict[str, NDArray[Any]]
Ids: TypeAlias = list[int] | list[str]


def save(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write `arrays` and `facts`; all metadata stands under one key, since safetensors orders none."""
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    save_file(whole, path, metadata={"facts": json.dumps(facts, sort_keys=True)})


def load(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the facts of a file. Raises InputError where it is not there or not readable."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name}: it cannot be read: {error}", "run the step before again"
        ) from None


def pack(name: str, ids: Ids) -> Arrays:
    """Ids as arrays: int64, or UTF-8 bytes with offsets."""
    if all(isinstance(one, int) for one in ids):
        return {name: np.array(ids, np.int64)}
    texts = [str(one).encode() for one in ids]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return {f"{name}_text": np.frombuffer(b"".join(texts), np.uint8), f"{name}_ends": ends}


def unpack(name: str, arrays: Mapping[str, NDArray[Any]]) -> Ids:
    """The ids that `pack` made arrays of."""
    if name in arrays:
        return [int(one) for one in arrays[name].tolist()]
    text, ends = arrays[f"{name}_text"].tobytes(), arrays[f"{name}_ends"].tolist()
    return [text[a:b].decode() for a, b in itertools.pairwise(ends)]
