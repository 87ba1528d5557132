"""The options of a report, validated once."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ReportConfig(BaseModel):
    """Everything a report depends on, besides the files it reads.

    Attributes:
        artifact: The artifact's folder.
        data: Folder with one folder of held-out images for each class.
        holdout: ``data`` is the folder of the export, of which only the images that it held out
            are taken.
        evaluation: ``evaluation.json`` of this artifact; None leaves the comparison out.
        parts: Part annotations, for warnings that know where the parts are.
        images: Held-out images shown of each class.
        classes: Labels or numbers of the classes to report; all with held-out images if empty.
        max_classes: Classes shown with pictures; the others are measured and listed.
        max_images: Held-out images measured of each class, drawn by seed where there are more.
        seed: Seed of that draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Path
    data: Path
    holdout: bool = False
    evaluation: Path | None = None
    parts: Path | None = None
    images: int = Field(default=3, ge=1, le=12)
    classes: tuple[str, ...] = ()
    max_classes: int = Field(default=100, ge=1)
    max_images: int = Field(default=200, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
