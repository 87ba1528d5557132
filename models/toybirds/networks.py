"""The two classifiers that `train.py` trains.

n images, c classes; the convolutions leave d channels on an h x w grid, t = h w tokens.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

Layer = tuple[int, int, int]
"""Input channels, output channels and stride of a convolution."""


class Network(nn.Module):
    """3 x 3 convolutions with BatchNorm and ReLU, with which both classifiers begin."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride, 1, bias=False) for i, o, stride in layers
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _ in layers)

    def features(self, image: Tensor) -> Tensor:
        """Feature map (n, d, h, w) of images (n, 3, height, width)."""
        x = image
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.relu(norm(convolution(x)))
        return x

    def folded(self) -> Self:
        """The same function in evaluation mode, each BatchNorm folded into its convolution."""
        self.eval().to(memory_format=torch.contiguous_format)
        pairs = zip(self.convolutions, self.norms, strict=True)
        self.convolutions = nn.ModuleList(fuse_conv_bn_eval(c, n) for c, n in pairs)
        self.norms = nn.ModuleList(nn.Identity() for _ in self.norms)
        return self


class Convolutional(Network):
    """Five convolutions, global average pooling, one linear layer.

    A position of the 16 x 16 grid sees 39 x 39 pixels, so that it knows a part and not the bird.
    """

    LAYERS = ((3, 32, 2), (32, 48, 2), (48, 64, 1), (64, 128, 2), (128, 160, 1))

    def __init__(self, classes: int) -> None:
        super().__init__(self.LAYERS)
        self.head = nn.Linear(self.LAYERS[-1][1], classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, c) of images (n, 3, height, width)."""
        logits: Tensor = self.head(self.features(image).mean((2, 3)))
        return logits


class Transformer(Network):
    """Four convolutions make tokens, four blocks mix them, the class token is classified.

    The pre-norm vision transformer of Dosovitskiy et al. (2021, arXiv:2010.11929) with learned
    position embeddings, behind the stem of Xiao et al. (2021, arXiv:2106.14881). A token of the
    16 x 16 grid begins with 31 x 31 pixels. In training each image keeps a random half of its
    tokens (PatchDropout, Liu et al. 2023): less work, and no few of them are enough.
    """

    LAYERS = ((3, 32, 2), (32, 48, 2), (48, 64, 2), (64, 96, 1))
    GRID = 16
    BLOCKS = 4
    KEPT = GRID**2 // 2

    def __init__(self, classes: int) -> None:
        super().__init__(self.LAYERS)
        width = self.LAYERS[-1][1]
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, self.GRID**2, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(self.BLOCKS)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, c) of images (n, 3, 128, 128)."""
        x = self.features(image).flatten(2).transpose(1, 2) + self.positions  # (n, t, d)
        if self.training:
            kept = torch.rand(x.shape[:2]).argsort(1)[:, : self.KEPT, None]
            x = x.gather(1, kept.expand(-1, -1, x.shape[2]))
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)  # (n, 1 + t, d)
        logits: Tensor = self.head(self.norm(self.blocks(x)[:, 0]))
        return logits


class Block(nn.Module):
    """Self-attention, then an MLP, each after a LayerNorm and added to its input."""

    HEADS = 4
    EXPANSION = 2

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, self.EXPANSION * width)
        self.contract = nn.Linear(self.EXPANSION * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """New tokens (n, 1 + t, d) of tokens (n, 1 + t, d)."""
        x = tokens + self.attention(self.norm1(tokens))
        y: Tensor = x + self.contract(functional.gelu(self.expand(self.norm2(x))))
        return y

    def attention(self, x: Tensor) -> Tensor:
        """What each token takes from all of them: (n, 1 + t, d) -> (n, 1 + t, d)."""
        n, _, d = x.shape
        q, k, v = self.qkv(x).view(n, -1, 3, self.HEADS, d // self.HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)  # (n, heads, 1 + t, d / heads)
        projected: Tensor = self.projection(mixed.transpose(1, 2).reshape(n, -1, d))
        return projected
