"""What is odd about the images of a class, told by their input tensors."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from serving.artifact.layout import ImageLayout, channel_axis


class Looked:
    """What the input tensors of a class say of its images."""

    def __init__(self, layout: ImageLayout) -> None:
        axes = {0, 1, 2} - {channel_axis(layout) - 1}
        self._over_pixels = tuple(sorted(axes))
        self._seen: set[bytes] = set()
        self._count = self._flat = 0

    def at(self, tensors: list[NDArray[np.float32]]) -> None:
        """Look at some of them."""
        for tensor in tensors:
            self._seen.add(hashlib.sha256(tensor.tobytes()).digest())
            self._flat += bool((np.ptp(tensor, axis=self._over_pixels) == 0).all())
        self._count += len(tensors)

    def doubts(self) -> tuple[str, ...]:
        """What is odd, for a warning."""
        again = self._count - len(self._seen)
        found = {
            f"{again} of {self._count} images show what another one shows, pixel for pixel": again,
            f"{self._flat} of {self._count} images have one colour all over": self._flat,
        }
        return tuple(text for text, count in found.items() if count)
