# mypy: disable-error-code="import-not-found, misc, unused-ignore"
"""A vision transformer in torch, with timm's names of weights.

Source: Dosovitskiy et al. (2021), An image is worth 16×16 words; layer norm comes first, as there.
"""

from typing import Any

import torch
from torch import Tensor, nn

from flows.vit.config import Vit

EPSILON = 1e-6  # of the layer norms


class Attention(nn.Module):
    """Each token looks at all tokens, with `heads` heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """images × tokens × width, in and out."""
        images, count, width = tokens.shape
        parts = self.qkv(tokens).reshape(images, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        found: Tensor = self.proj(seen.transpose(1, 2).reshape(images, count, width))
        return found


class Mlp(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """The same shape, in and out."""
        found: Tensor = self.fc2(nn.functional.gelu(self.fc1(tokens)))
        return found


class Block(nn.Module):
    """Attention, then a perceptron; what comes in is added to what each finds."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, EPSILON) for _ in range(2))
        self.attn, self.mlp = Attention(width, heads), Mlp(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """The same shape, in and out."""
        tokens = tokens + self.attn(self.norm1(tokens))
        found: Tensor = tokens + self.mlp(self.norm2(tokens))
        return found


class Patches(nn.Module):
    """Each patch of the image is a token."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        """images × 3 × size × size → images × patches × width."""
        found: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return found


class Network(nn.Module):
    """Scores of classes, from pixels as `flows.images.graph` reads them."""

    def __init__(self, options: Vit, classes: int) -> None:
        super().__init__()
        width, count = options.width, (options.size // options.patch) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, count + 1, width))
        self.patch_embed = Patches(options.patch, width)
        self.blocks = nn.Sequential(*(Block(width, options.heads) for _ in range(options.depth)))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.head = nn.Linear(width, classes)
        for name in ("mean", "deviation"):
            value = torch.tensor(getattr(options, name)).reshape(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.apply(_start)
        for own in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(own, std=width**-0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        """images × size × size × RGB, 0 to 255 → images × classes."""
        return self.scores(self.centred(pixels))

    def centred(self, pixels: Tensor) -> Tensor:
        """images × 3 × size × size, around zero."""
        found: Tensor = (pixels.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.deviation
        return found

    def scores(self, images: Tensor) -> Tensor:
        """The classes' scores for centred images."""
        patches = self.patch_embed(images)
        first = self.cls_token.expand(len(patches), -1, -1)
        tokens = self.blocks(torch.cat([first, patches], 1) + self.pos_embed)
        found: Tensor = self.head(self.norm(tokens)[:, 0])
        return found


def _start(module: Any) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
