"""Heatmaps that look like those of a network: noise without its finest detail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def smooth(count: int, grid: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Heatmaps (count, h, w) of smoothed noise."""
    noise = np.random.default_rng(seed).normal(size=(count, *grid))
    return gaussian_filter(noise, 0.8, axes=(1, 2)).astype(np.float32)
