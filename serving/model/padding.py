"""Batches of any size for a graph that fixes the size of its batches.

Each piece has the graph's own size; the last one is filled up with copies of its last image, and
what the graph says of the copies is cut off again. Every run of an artifact goes through here.

Symbols: n images, b the size that the graph fixes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def run_in_batches(
    run: Callable[[Arrays], dict[str, NDArray[Any]]], feeds: Arrays, size: int | None
) -> dict[str, NDArray[Any]]:
    """Run a graph on as many images as there are.

    Args:
        run: Takes inputs by name, gives outputs by name; the first axis of each is the batch.
        feeds: The inputs, (n, ...) each, n >= 1.
        size: b; None where the graph takes any number of images.

    Returns:
        The outputs, (n, ...) each.
    """
    count = len(next(iter(feeds.values())))
    if size is None or size == count:
        return run(feeds)
    parts = []
    for start in range(0, count, size):
        piece = {name: values[start : start + size] for name, values in feeds.items()}
        own = min(size, count - start)
        found = run({name: filled(values, size) for name, values in piece.items()})
        parts.append({name: values[:own] for name, values in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def filled(values: NDArray[Any], size: int) -> NDArray[Any]:
    """The values (m, ...), 1 <= m <= size, with copies of the last one behind them."""
    return np.concatenate([values, np.repeat(values[-1:], size - len(values), axis=0)])
