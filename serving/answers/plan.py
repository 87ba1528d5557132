"""What a request asks for: of the graph, checked against the model, and of its heatmaps."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.answers.schema import ExplainOptions, HeatmapOptions, Mute
from serving.drawing.overlay import strength
from serving.drawing.palette import prototype_colour
from serving.errors import RequestError
from serving.process.live import Served


@dataclass(frozen=True)
class Plan:
    """What a request asks of the graph, the same for each of its images.

    Attributes:
        top: Classes to explain, best first, where none are named.
        ids: (1, t) int64, the classes named; None for the best.
        muted: Class id and number of each prototype that is switched off.
    """

    top: int
    ids: NDArray[np.int64] | None
    muted: frozenset[tuple[int, int]]

    @property
    def classes(self) -> int:
        """How many are explained of each image."""
        return self.top if self.ids is None else self.ids.shape[1]

    @classmethod
    def make(cls, served: Served, options: ExplainOptions, max_classes: int) -> Plan:
        """Check the options of a request against the model.

        Raises:
            RequestError: An unknown class or prototype, or more classes than allowed.
        """
        manifest = served.predictor.manifest
        most = min(manifest.top, len(manifest.classes))
        if options.top is not None and options.top > most:
            raise RequestError(
                f"top: expected at most {most}, got {options.top}. Name further classes."
            )
        if options.classes is not None and options.top is not None:
            raise RequestError("expected classes or top, got both.")
        ids = None
        if options.classes is not None:
            if len(options.classes) > max_classes:
                raise RequestError(
                    f"classes: expected at most {max_classes}, got {len(options.classes)}."
                )
            keys = [served.predictor.class_id(key) for key in options.classes]
            ids = np.array([list(dict.fromkeys(keys))], dtype=np.int64)
        muted = muted_pairs(served, options.mute)
        return cls(options.top or most, ids, muted)


def muted_pairs(served: Served, mutes: Iterable[Mute]) -> frozenset[tuple[int, int]]:
    """Pairs of class id and prototype number.

    Raises:
        RequestError: An unknown class or prototype.
    """
    predictor = served.predictor
    return frozenset(predictor.prototype_key(mute.class_, mute.prototype) for mute in mutes)


Draw = Callable[[int, NDArray[np.float32]], NDArray[np.float32] | str | None]
"""From a prototype's number and its heatmap (h, w) to what the answer holds of it."""


def drawer(options: HeatmapOptions, *, width: int, height: int) -> Draw:
    """How heatmaps are returned.

    Args:
        options: What the client asked for.
        width: Width of the view, pixels.
        height: Height of the view, pixels.
    """
    if options.heatmaps == "none":
        return lambda _number, _heatmap: None
    if options.heatmaps == "values":
        return lambda _number, heatmap: heatmap
    if options.heatmaps != "png":
        element = np.dtype(options.heatmaps).newbyteorder("<")
        return lambda _number, heatmap: base64.b64encode(heatmap.astype(element).tobytes()).decode()
    size = drawn_size(options, width=width, height=height)
    return lambda number, heatmap: _png(number, heatmap, size)


def drawn_size(options: HeatmapOptions, *, width: int, height: int) -> tuple[int, int]:
    """Width and height of a drawn heatmap, pixels, for a view of the size given."""
    longer = max(width, height)
    factor = (options.upsample or longer) / longer
    return max(1, round(width * factor)), max(1, round(height * factor))


def _png(number: int, heatmap: NDArray[np.float32], size: tuple[int, int]) -> str:
    """The prototype's colour, with its strength as opacity, as a data URL."""
    alpha = np.rint(strength(heatmap, size) * 255.0).astype(np.uint8)
    # One byte a pixel into a palette of one colour at every opacity: the same pixels in a third of
    # the time. Of zlib's levels, 4 costs least for its size.
    picture = Image.frombytes("P", size, alpha.tobytes())
    picture.putpalette(prototype_colour(number) * 256)
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=4, transparency=bytes(range(256)))
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
