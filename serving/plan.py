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
