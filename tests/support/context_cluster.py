"""Context Clusters (Ma et al., Image as Set of Points, ICLR 2023), from the equations of the paper.

An image is a set of points: each pixel carries its colour and its place, (r, g, b, y, x) with y and
x from -0.5 to 0.5. Points are reduced, then clustered block after block, in four stages:

    reduce    one linear layer over the points next to an anchor: a convolution on the grid
    block     p <- p + l1 * cluster(norm(p));  p <- p + l2 * mlp(norm(p))
    classify  mean over the points of norm(p), one linear layer

Clustering happens inside local regions of the map, for each head by itself. Of a point, f is the
feature that similarity is measured in and v the value that is exchanged. Of a centre, f_c and v_c
are the means over the points around it. With s_i the cosine of f_c and f_i for the one centre to
which point i is most similar, and w_i = sigmoid(alpha s_i + beta):

    aggregate  g = (v_c + sum_i w_i v_i) / C,  C = 1 + sum_i w_i          (equation 1)
    dispatch   p_i <- p_i + FC(w_i g)                                     (equation 2)

Symbols: n images, d channels, h x w points, m = 4 centres, q points of a region.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

_CENTRES = 2  # along each side of a region


class Stage(NamedTuple):
    """One stage: what its reducer makes, and its blocks.

    Attributes:
        channels: d.
        blocks: How often points are clustered.
        heads: Clusterings side by side.
        regions: Regions along each side of the map.
        growth: Hidden channels of the MLP, in multiples of d.
    """

    channels: int
    blocks: int
    heads: int
    regions: int
    growth: int


TINY = (
    Stage(32, 3, 4, 8, 8),
    Stage(64, 4, 4, 4, 8),
    Stage(196, 5, 8, 2, 4),
    Stage(320, 2, 8, 1, 4),
)
_HEAD_CHANNELS = 24


class ContextCluster(nn.Module):
    """A classifier of images (n, 3, h, w) whose sides the reducers and regions divide: 224 do.

    Args:
        classes: How many.
        stages: From the image to the last map.
    """

    def __init__(self, classes: int, stages: tuple[Stage, ...] = TINY) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(5, stages[0].channels, kernel_size=4, stride=4)]
        for number, stage in enumerate(stages):
            if number:
                before = stages[number - 1].channels
                layers.append(nn.Conv2d(before, stage.channels, 3, stride=2, padding=1))
            layers += [_Block(stage) for _ in range(stage.blocks)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.GroupNorm(1, stages[-1].channels)
        self.classifier = nn.Linear(stages[-1].channels, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (n, c)."""
        points = self.layers(_with_places(image))
        return self.classifier(self.norm(points).mean((2, 3)))


def _with_places(image: torch.Tensor) -> torch.Tensor:
    height, width = image.shape[2:]
    y = torch.arange(height) / (height - 1) - 0.5
    x = torch.arange(width) / (width - 1) - 0.5
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"))  # (2, h, w)
    return torch.cat([image, places.expand(image.shape[0], -1, -1, -1)], dim=1)


class _Block(nn.Module):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        d = stage.channels
        self.norms = nn.ModuleList([nn.GroupNorm(1, d), nn.GroupNorm(1, d)])
        mlp = nn.Sequential(
            nn.Conv2d(d, d * stage.growth, 1), nn.GELU(), nn.Conv2d(d * stage.growth, d, 1)
        )
        self.parts = nn.ModuleList([_Cluster(d, stage.heads, stage.regions), mlp])
        self.scales = nn.Parameter(torch.full((2, d, 1, 1), 1e-5))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        for scale, part, norm in zip(self.scales, self.parts, self.norms, strict=True):
            points = points + scale * part(norm(points))
        return points


class _Cluster(nn.Module):
    def __init__(self, channels: int, heads: int, regions: int) -> None:
        super().__init__()
        inner = heads * _HEAD_CHANNELS
        self.similar = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.fully = nn.Conv2d(inner, channels, 1)
        self.alpha = nn.Parameter(torch.ones(1))
        self.beta = nn.Parameter(torch.zeros(1))
        self.inner, self.regions = inner, regions

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """What each point is told, (n, d, h, w)."""
        height, width = points.shape[2] // self.regions, points.shape[3] // self.regions
        f = self._apart(self.similar(points), height, width)  # (n heads regions^2, 24, h', w')
        v = self._apart(self.value(points), height, width)
        f_c = _around_centres(f).flatten(2).transpose(1, 2)  # (., m, 24)
        v_c = _around_centres(v).flatten(2).transpose(1, 2)
        f, v = f.flatten(2), v.flatten(2)  # (., 24, q)
        cosine = functional.normalize(f_c, dim=2) @ functional.normalize(f, dim=1)  # (., m, q)
        own = cosine.argmax(1, keepdim=True) == torch.arange(cosine.shape[1])[:, None]
        w = torch.sigmoid(self.alpha * cosine + self.beta) * own
        g = (v_c + w @ v.transpose(1, 2)) / (1 + w.sum(2, keepdim=True))  # (., m, 24)
        told = (g.transpose(1, 2) @ w).unflatten(2, (height, width))
        return self.fully(self._together(told))

    def _apart(self, values: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """A map (n, heads 24, h, w) as regions, each by itself (n heads regions^2, 24, h', w')."""
        r = self.regions
        cut = values.reshape(-1, _HEAD_CHANNELS, r, height, r, width)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, _HEAD_CHANNELS, height, width)

    def _together(self, regions: torch.Tensor) -> torch.Tensor:
        """The way back of `_apart`."""
        r, (height, width) = self.regions, regions.shape[2:]
        cut = regions.reshape(-1, r, r, _HEAD_CHANNELS, height, width)
        return cut.permute(0, 3, 1, 4, 2, 5).reshape(-1, self.inner, r * height, r * width)


def _around_centres(values: torch.Tensor) -> torch.Tensor:
    """Means around 2 x 2 centres; of an uneven side both halves have the middle."""
    height, width = values.shape[2:]
    return functional.avg_pool2d(
        values,
        (-(-height // _CENTRES), -(-width // _CENTRES)),
        stride=(height // _CENTRES, width // _CENTRES),
    )
