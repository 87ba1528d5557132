"""Features with known parts, for the tests of the decomposition."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Planted:
    """Features of n images on p positions in which every position holds one part.

    Attributes:
        features: (n, p, d) float32, nonnegative.
        row: (d,) float64, a head row with evidence in every part.
        part: (n, p), which part each position holds.
        channels: (k, d) booleans, the channels of each part; no two parts share one.
    """

    features: NDArray[np.float32]
    row: NDArray[np.float64]
    part: NDArray[np.intp]
    channels: NDArray[np.bool_]


def plant(
    images: int = 8, positions: int = 9, parts: int = 3, width: int = 4, seed: int = 0
) -> Planted:
    """Plants parts that are linearly separable: each has `width` channels of its own.

    Every image shows every part; how strongly differs from position to position.
    """
    random = np.random.default_rng(seed)
    channels = np.repeat(np.eye(parts, dtype=bool), width, axis=1)
    order = np.arange(positions) % parts
    part = np.stack([random.permutation(order) for _ in range(images)])
    profile = random.uniform(0.5, 1.5, parts * width)
    strength = random.uniform(0.8, 1.2, (images, positions, 1))
    features = (strength * profile * channels[part]).astype(np.float32)
    row = random.uniform(0.5, 1.5, parts * width)
    return Planted(features, row, part, channels)


def opposed_parts(
    images: int, noise: float, positions: int = 9, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
    """Two parts whose directions nearly cancel: telling them apart takes norms beyond the budget.

    Returns features (n, p, d), a head row (d,) and the presence of the parts (n * p, 2).
    """
    random = np.random.default_rng(seed)
    common, apart = np.eye(100)[:2]
    part = random.integers(0, 2, images * positions)
    sign = np.where(part == 0, 1, -1)[:, None]
    features = common + 0.15 * sign * apart + noise * random.normal(size=(len(part), 100))
    shape = (images, positions, 100)
    return features.reshape(shape).astype(np.float32), 3 * common, np.eye(2, dtype=np.float32)[part]
