"""Which class, and which part of a class, of one artifact is which of another.

Parts of one head are the same where their vectors point the same way. Vectors of two heads have
nothing in common, not even their length; there the heatmaps speak, hot at the same places of the
same images, or where no images are given the crops, the same places of the same training images.
docs/notebook.md has what the thresholds were held against.

Symbols: n images, k prototypes of the older class, m of the newer one, d channels, h×w grid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment

from exporter.comparing.record import MatchedBy, State
from serving.artifact import PrototypeRecord

_GRID = 14
Box = tuple[int, int, int, int]


class Likeness(NamedTuple):
    """From where on two parts are taken for one: as it was, or moved."""

    kept: float
    moved: float


LIMITS: dict[MatchedBy, Likeness] = {
    "vectors": Likeness(kept=0.95, moved=0.5),
    "heatmaps": Likeness(kept=0.7, moved=0.3),
    "crops": Likeness(kept=0.4, moved=0.1),
}
"""Of a cosine, of a correlation, and of an overlap of crops."""


class Pair(NamedTuple):
    """A part in both artifacts, or None in the one that lacks it, and how alike the two are."""

    state: State
    old: int | None
    new: int | None
    likeness: float | None


def pair_classes(
    old: Sequence[str], new: Sequence[str], *, same_source: bool
) -> Iterator[tuple[int | None, int | None]]:
    """Positions of each class in both, in the order of the newer labels, then the lost ones.

    Classes are the same by their labels; several of one label in their order. Of one classifier a
    class whose label is in neither list twice is the one at its place, with another label.

    Args:
        old: Labels in the order of the logits.
        new: The same of the newer artifact.
        same_source: Whether both explain the same classifier.
    """
    places = {key: index for index, key in enumerate(_counted(old))}
    keys = list(_counted(new))
    rest = {index for key, index in places.items() if key not in set(keys)}
    for index, key in enumerate(keys):
        found = places.get(key)
        if found is None and same_source and index in rest:
            found = index
            rest.discard(index)
        yield found, index
    yield from ((index, None) for index in sorted(rest))


def _counted(labels: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each label with how often it came before."""
    seen: Counter[str] = Counter()
    for label in labels:
        yield label, seen[label]
        seen[label] += 1


def pair_parts(likeness: NDArray[np.float64], limits: Likeness) -> tuple[Pair, ...]:
    """Which part is which, so that the parts are as alike as they can be in all.

    Args:
        likeness: (k, m), how alike each part of the older class is to each of the newer one.
        limits: From where on two are one.

    Returns:
        A pair for each of the older parts in their order, then the gained ones.
    """
    rows, columns = linear_sum_assignment(-likeness)
    partner = {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if likeness[row, column] >= limits.moved
    }
    found = []
    for number in range(likeness.shape[0]):
        other = partner.get(number)
        if other is None:
            found.append(Pair("lost", number, None, None))
            continue
        value = float(likeness[number, other])
        found.append(Pair("kept" if value >= limits.kept else "moved", number, other, value))
    gained = sorted(set(range(likeness.shape[1])) - set(partner.values()))
    return (*found, *(Pair("gained", None, number, None) for number in gained))


def cosines(old: NDArray[np.floating], new: NDArray[np.floating]) -> NDArray[np.float64]:
    """The cosine of each prototype (k, d) with each of (m, d): (k, m); 0 of one that is zero."""
    return np.asarray(_directions(old) @ _directions(new).T, dtype=np.float64)


def _directions(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def correlations(
    old: Sequence[NDArray[np.float32]], new: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """How far the heatmaps of each part are hot where those of each other one are: (k, m).

    The correlation over the positions of all images, on a grid that both are brought to, of what
    each part has beyond the mean of its class's parts: all of them are hot on the object.

    Args:
        old: (k, h, w) of each of n images.
        new: (m, h', w') of each of the same images.
    """
    first, second = (np.stack([_on_a_grid(maps) for maps in side], axis=1) for side in (old, new))
    if min(len(first), len(second)) > 1:  # of one part, nothing is beyond the mean
        first, second = (side - side.mean(axis=0) for side in (first, second))
    rows = (side.reshape(len(side), -1) for side in (first, second))
    ours, theirs = (side - side.mean(axis=1, keepdims=True) for side in rows)
    return cosines(ours, theirs)


def _on_a_grid(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Heatmaps (k, h, w) as (k, 14, 14)."""
    resized = (Image.fromarray(m).resize((_GRID, _GRID), Image.Resampling.BOX) for m in maps)
    return np.array([np.asarray(m) for m in resized], dtype=np.float64)


def overlaps(old: Sequence[PrototypeRecord], new: Sequence[PrototypeRecord]) -> NDArray[np.float64]:
    """How far the crops of each part are those of each other one: (k, m), 0 to 1.

    The mean over the images of either of intersection over union; 0 for an image that shows only
    one of the two.
    """
    return np.array([[_overlap(a, b) for b in new] for a in old], dtype=np.float64)


def _overlap(first: PrototypeRecord, second: PrototypeRecord) -> float:
    ours, theirs = ({e.image: e.box for e in part.evidence} for part in (first, second))
    images = ours.keys() | theirs.keys()
    if not images:
        return 0.0
    shared = ours.keys() & theirs.keys()
    return sum(intersection_over_union(ours[i], theirs[i]) for i in sorted(shared)) / len(images)


def intersection_over_union(first: Box, second: Box) -> float:
    """Of two boxes (left, top, right, bottom) in pixels: 0 apart, 1 the same."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)
