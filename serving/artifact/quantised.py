"""The record of a quantised artifact: what it was made of, and how far it agrees with that.

docs/format.md, "Quantised artifacts".
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from serving.artifact.values import Count, Record, Sha256, Share


class LimitsRecord(Record):
    """What the caller asked of the agreement; None asks for nothing."""

    min_agreement: Share | None = None
    min_peaks: Share | None = None
    max_difference: float | None = Field(default=None, ge=0)


class PeaksRecord(Record):
    """Where the heatmaps of the parent's best class peak in both, upsampled to the input.

    ``same_cell`` is the share of heatmaps whose peak stays in its cell of the grid; distances are
    in pixels of the input.
    """

    same_cell: Share
    median_distance: float = Field(ge=0)
    largest_distance: float = Field(ge=0)


class DifferencesRecord(Record):
    """How far contributions to the parent's best class differ, over the size of its summands."""

    median: float = Field(ge=0)
    largest: float = Field(ge=0)


class AgreementRecord(Record):
    """A quantised artifact and its parent compared image by image.

    ``data`` is the folder's name, ``sha256`` that of the images compared, names and bytes.
    ``top_1`` is the share of images with the same best class; of a multilabel model, with every
    class on the same side of one half. Accuracies are null where folders do not tell classes.
    """

    data: str
    sha256: Sha256
    images: int = Field(ge=1)
    skipped: Count
    top_1: Share
    peaks: PeaksRecord
    contributions: DifferencesRecord
    accuracy_before: Share | None
    accuracy_after: Share | None


class QuantisedRecord(Record):
    """How an artifact was made of another one in fewer bits.

    ``parent`` is the sha256 of the manifest of that other one, ``calibration`` how many images the
    ranges of 8 bits were taken from, none of which is among those compared.
    """

    parent: Sha256
    to: Literal["int8", "float16"]
    calibration: Count
    reduce_range: bool = Field(default=False, exclude_if=lambda reduced: not reduced)
    agreement: AgreementRecord
    limits: LimitsRecord

    @model_validator(mode="after")
    def _consistent(self) -> QuantisedRecord:
        """Refuse a measurement that breaks its limits."""
        found, limits = self.agreement, self.limits
        for name, low, high in (
            ("top_1", limits.min_agreement, found.top_1),
            ("peaks", limits.min_peaks, found.peaks.same_cell),
            ("contributions", found.contributions.median, limits.max_difference),
        ):
            if low is not None and high is not None and low > high:
                raise ValueError(f"the agreement of {name} breaks its own limit: {low} > {high}")
        return self
