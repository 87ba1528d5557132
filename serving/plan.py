"""What a request asks of the graph: classes and muted prototypes, checked against the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.errors import RequestError
from serving.live import Served
from serving.schema import ExplainOptions, Mute


@dataclass(frozen=True)
class Plan:
    """What a request asks of the graph, the same for each of its images.

    Attributes:
        top: Classes to explain, best first, where none are named.
        ids: (1, t) int64, the classes named; None for the best.
        mask: (c, k) float32, 0 for a prototype that is switched off; None for none.
        muted: The same as pairs of class id and prototype number.
    """

    top: int
    ids: NDArray[np.int64] | None
    mask: NDArray[np.float32] | None
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
        return cls(options.top or most, ids, mask_of(served, muted), muted)


def muted_pairs(served: Served, mutes: Iterable[Mute]) -> frozenset[tuple[int, int]]:
    """Pairs of class id and prototype number.

    Raises:
        RequestError: An unknown class or prototype.
    """
    return frozenset(_pair(served, mute) for mute in mutes)


def _pair(served: Served, mute: Mute) -> tuple[int, int]:
    index = served.predictor.class_id(mute.class_)
    record = served.predictor.manifest.classes[index]
    if mute.prototype >= len(record.prototypes):
        raise RequestError(
            f"mute: expected a prototype from 0 to {len(record.prototypes) - 1} of class "
            f"{record.label!r}, got {mute.prototype}."
        )
    return index, mute.prototype


def mask_of(served: Served, muted: frozenset[tuple[int, int]]) -> NDArray[np.float32] | None:
    """What the graph is given to switch prototypes off, (c, k); None for none."""
    if not muted:
        return None
    manifest = served.predictor.manifest
    mask = np.ones((len(manifest.classes), manifest.prototypes), dtype=np.float32)
    for index, number in muted:
        mask[index, number] = 0.0
    return mask
