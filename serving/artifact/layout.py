"""Where the axes of a tensor are, by the name of its layout.

``NCHW`` and ``NHWC`` hold pictures or feature maps, (b, d, h, w) and (b, h, w, d); ``NLC`` holds
tokens (b, l, d), whose positions lie on one axis row by row.
"""

from __future__ import annotations

from typing import Literal

ImageLayout = Literal["NCHW", "NHWC"]
Layout = Literal["NCHW", "NHWC", "NLC"]

_CHANNELS: dict[Layout, int] = {"NCHW": 1, "NHWC": 3, "NLC": 2}
_POSITIONS: dict[Layout, tuple[int, ...]] = {"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}


def channel_axis(layout: Layout) -> int:
    """The axis of the channels, the batch axis being 0."""
    return _CHANNELS[layout]


def position_axes(layout: Layout) -> tuple[int, ...]:
    """The axes of the positions: rows and columns, or that of the tokens."""
    return _POSITIONS[layout]


def image_axes(layout: ImageLayout) -> tuple[int, int]:
    """The axes of rows and columns of a batch of pictures."""
    rows, columns = _POSITIONS[layout]
    return rows, columns


def image_shape(layout: ImageLayout, channels: int, size: tuple[int, int]) -> tuple[int, int, int]:
    """The shape of one picture of (height, width), without the batch axis."""
    height, width = size
    return (channels, height, width) if layout == "NCHW" else (height, width, channels)
