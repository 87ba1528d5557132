"""How far a quantised artifact agrees with its parent: classes, peaks and contributions.

Explanations are compared for the class that the parent finds best, its own prototypes alone.
Symbols: b images, c classes, k prototypes, h×w grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporter.errors import DatasetError, VerificationError
from exporter.quantising.pictures import Picture, Pictures, batches, sha256_of
from exporter.text import as_text
from exporter.verification.gates import summands
from serving.artifact import AgreementRecord, DifferencesRecord, LimitsRecord, PeaksRecord
from serving.drawing.peaks import peaks
from serving.model.outputs import Outputs
from serving.model.predictor import Predictor

Array = NDArray[Any]


def measure(
    parent: Predictor,
    quantised: Predictor,
    pictures: Pictures,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AgreementRecord:
    """Run both on the pictures that are compared.

    Args:
        parent: The artifact that was quantised.
        quantised: What became of it.
        pictures: The pictures.
        progress: Called with the images done and the images in all.

    Raises:
        DatasetError: Not one of them can be decoded.
        VerificationError: The quantised artifact answers with what is no number.
        InferenceError: One of them does not run.
    """
    comparison = _Comparison(parent, quantised)
    total = len(pictures.compared)
    for found, tensors in batches(parent, pictures.compared):
        comparison.add(found, tensors)
        progress(comparison.images, total)
    if not comparison.images:
        raise DatasetError(f"{pictures.root}: not one image can be decoded.")
    progress(total, total)
    return comparison.record(pictures)


@dataclass
class _Comparison:
    parent: Predictor
    quantised: Predictor
    images: int = 0
    same: int = 0
    right: list[tuple[bool, bool]] = field(default_factory=list)
    cells: list[Array] = field(default_factory=list)
    distances: list[Array] = field(default_factory=list)
    differences: list[Array] = field(default_factory=list)

    def add(self, pictures: list[Picture], tensors: NDArray[np.float32]) -> None:
        before = self.parent.run(tensors, classes=self._best(tensors))
        after = self.quantised.run(tensors, classes=before.class_ids)
        if not np.isfinite(after.logits).all():
            raise VerificationError(
                "the quantised artifact was not put in place: it answers with what is no number, "
                "activations are beyond what float16 holds. Quantise `to` int8."
            )
        self.images += len(tensors)
        self.same += int(_agrees(before, after, self.parent.manifest.activation).sum())
        best = [outputs.logits.argmax(axis=1) for outputs in (before, after)]
        self.right += [
            (old == picture.label, new == picture.label)
            for picture, old, new in zip(pictures, *best, strict=True)
            if picture.label is not None
        ]
        own = self._own(before.class_ids[:, 0])  # (b, k)
        self._compare_peaks(before.heatmaps[:, 0][own], after.heatmaps[:, 0][own])
        scale = summands(before, self.parent.bias)
        found = np.abs(after.contributions[:, 0] - before.contributions[:, 0]) / scale
        self.differences.append(found[own])

    def _best(self, tensors: NDArray[np.float32]) -> NDArray[np.int64]:
        """The parent's best class of each image, (b, 1)."""
        best = self.parent.logits(tensors).argmax(axis=1)
        return np.asarray(best[:, None], dtype=np.int64)

    def _own(self, class_ids: Array) -> NDArray[np.bool_]:
        """(b, k): which prototypes a class has; one that is kept whole has the first alone."""
        records = self.parent.manifest.classes
        counts = np.array([len(records[index].prototypes) for index in class_ids.tolist()])
        numbers = np.arange(self.parent.manifest.prototypes)
        return np.asarray(numbers < counts[:, None])

    def _compare_peaks(self, before: Array, after: Array) -> None:
        """Compare where heatmaps (m, h, w) peak."""
        size = self.parent.manifest.input.preprocessing.size
        places = [peaks(heatmaps, size) for heatmaps in (before, after)]  # (m, 2), x and y
        grid = np.array(before.shape[:0:-1])  # w, h
        cells = [place * grid // np.array(size[::-1]) for place in places]
        self.cells.append((cells[0] == cells[1]).all(axis=1))
        self.distances.append(np.hypot(*(places[1] - places[0]).T))

    def record(self, pictures: Pictures) -> AgreementRecord:
        cells, distances, differences = (
            np.concatenate(parts) for parts in (self.cells, self.distances, self.differences)
        )
        right = np.array(self.right).mean(axis=0).tolist() if self.right else (None, None)
        return AgreementRecord(
            data=as_text(pictures.root.resolve().name),
            sha256=sha256_of(pictures.compared),
            images=self.images,
            skipped=len(pictures.compared) - self.images,
            top_1=self.same / self.images,
            peaks=PeaksRecord(
                same_cell=float(cells.mean()),
                median_distance=float(np.median(distances)),
                largest_distance=float(distances.max()),
            ),
            contributions=DifferencesRecord(
                median=float(np.median(differences)), largest=float(differences.max())
            ),
            accuracy_before=right[0],
            accuracy_after=right[1],
        )


def _agrees(before: Outputs, after: Outputs, activation: str) -> NDArray[np.bool_]:
    """(b,): the same best class; of a sigmoid, every class on the same side of one half."""
    if activation == "sigmoid":
        return np.asarray(((before.logits >= 0) == (after.logits >= 0)).all(axis=1))
    return np.asarray(before.logits.argmax(axis=1) == after.logits.argmax(axis=1))


def require_within(found: AgreementRecord, limits: LimitsRecord, to: str) -> None:
    """Hold an agreement to what the caller asks of it.

    Args:
        found: What was measured.
        limits: What is asked.
        to: The kind of numbers, which decides what else can be done.

    Raises:
        VerificationError: It is not within all limits; the message has every one that is broken.
    """
    broken = []
    if limits.min_agreement is not None and found.top_1 < limits.min_agreement:
        broken.append(
            f"the same class for {found.top_1:.2%} of {found.images} images, expected at least "
            f"{limits.min_agreement:.2%} (`min_agreement`)"
        )
    if limits.min_peaks is not None and found.peaks.same_cell < limits.min_peaks:
        broken.append(
            f"{found.peaks.same_cell:.2%} of the heatmaps peak in the same cell, expected at least "
            f"{limits.min_peaks:.2%} (`min_peaks`)"
        )
    if limits.max_difference is not None and found.contributions.median > limits.max_difference:
        broken.append(
            f"contributions differ by {found.contributions.median:.2%} of the summands in the "
            f"median, expected at most {limits.max_difference:.2%} (`max_difference`)"
        )
    advice = "Serve the parent, or ask for less."
    if to == "int8":
        advice = "Take more images for the ranges (`calibration`), or quantise `to` float16."
    if broken:
        raise VerificationError(
            f"the quantised artifact was not put in place, it does not agree with its parent: "
            f"{'; '.join(broken)}. {advice}"
        )
