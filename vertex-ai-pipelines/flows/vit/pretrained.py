# mypy: disable-error-code="import-not-found, misc, unused-ignore"
"""Weights to begin with: a safetensors file in the names of timm or of Hugging Face's transformers."""

import math
import re
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from flows import storage
from flows.errors import InputError
from flows.vit.network import Network

# Hugging Face's names, in order, and timm's, which are those of flows.vit.network.
NAMES = (
    (r"^vit\.", ""),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
)
QUERY = re.compile(r"(?P<block>.*\.attn)\.query\.(?P<part>weight|bias)")
UNUSED = ("head.", "pooler.")  # left over, they change no token: a network without them is the same
SEES = "[train.vit] size, patch, width, depth and heads must be those of the weights"


def begin(network: Network, uri: str, sha256: str) -> None:
    """Give `network` the weights at `uri`, gs://…/model.safetensors, a file with this SHA-256.

    Raises InputError where it is another file, and where they are another network's: where some are
    missing, of another shape, or left over. The head begins anew where there were other classes; the
    places of patches are scaled to this size.
    """
    own = network.state_dict()
    found = renamed(_load(uri, sha256))
    found["pos_embed"] = _places(found.get("pos_embed", own["pos_embed"]), own["pos_embed"])
    if found.get("head.weight", own["head.weight"]).shape != own["head.weight"].shape:
        found |= {name: own[name] for name in ("head.weight", "head.bias")}
    taken = {}
    for name, value in own.items():
        given = found.get(name, value if name.startswith("head.") else None)
        if given is None:
            raise InputError(f"{uri} has no '{name}'", SEES)
        if given.shape != value.shape:
            there, here = tuple(given.shape), tuple(value.shape)
            raise InputError(f"{uri}: '{name}' is {there}, but this network's {here}", SEES)
        taken[name] = given.float()
    if left := sorted(name for name in found.keys() - own.keys() if not name.startswith(UNUSED)):
        raise InputError(f"{uri} has '{left[0]}', which this network has not ({len(left)} such)", SEES)
    network.load_state_dict(taken)


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by timm's names; query, key and value as one."""
    named = {}
    for name, value in weights.items():
        own = name
        for pattern, other in NAMES:
            own = re.sub(pattern, other, own)
        named[own] = value
    for name in [name for name in named if QUERY.fullmatch(name)]:
        parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in named for part in parts):
            named[name.replace(".query.", ".qkv.")] = torch.cat([named.pop(part) for part in parts])
    return named


def _load(uri: str, sha256: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    parent, _, name = uri.rpartition("/")
    with tempfile.TemporaryDirectory() as folder:
        there = storage.download(parent, Path(folder), [name])[name].sha256
        if there != sha256:
            raise InputError(
                f"{uri}: its SHA-256 is {there}, but [train.vit] weights_sha256 is {sha256}",
                "it was written over, or is another file: look, and put its SHA-256 there",
            )
        try:
            found: dict[str, Tensor] = load_file(Path(folder, name))
        except SafetensorError as error:
            raise InputError(f"{uri}: it is not a safetensors file: {error}", SEES) from None
    return found


def _places(given: Tensor, own: Tensor) -> Tensor:
    """The embedding of places for another number of patches: the grid, scaled by cubic splines.

    As it is given where it is not 1 × (class + a square of patches) × width.
    """
    if given.ndim != 3 or given.shape[::2] != own.shape[::2] or given.shape[1] in (0, 1, own.shape[1]):
        return given
    before, after = (math.isqrt(one.shape[1] - 1) for one in (given, own))
    if before**2 != given.shape[1] - 1:
        return given
    grid = given[:, 1:].float().reshape(1, before, before, -1).permute(0, 3, 1, 2)
    scaled = nn.functional.interpolate(grid, (after, after), mode="bicubic", antialias=True)
    return torch.cat([given[:, :1].float(), scaled.permute(0, 2, 3, 1).flatten(1, 2)], 1)
