"""The options of an evaluation, validated once."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from exporter.evaluate.baselines.methods import Baseline


class EvaluationConfig(BaseModel):
    """Everything an evaluation depends on, besides the files it reads.

    Attributes:
        artifact: The artifact's folder.
        data: Folder with one folder of held-out images for each class.
        holdout: ``data`` is the folder of the export, of which only the images that it held out
            are measured; its other images are those of ``train``, where that is the same folder.
        parts: Part annotations; None leaves out what needs them.
        train: The training images; None leaves out the baselines that are found on them.
        baselines: What the artifact's prototypes are compared with; None is all of them, less the
            paper's solver where its problem does not fit into memory.
        seeds: How many draws of the noise of stability.
        seed: Where every random choice starts.
        max_images: Images used of each class, drawn by seed where there are more.
        network_images: Images of each class for the metrics that run the network many times.
        jobs: Threads for decoding and for the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Path
    data: Path
    holdout: bool = False
    parts: Path | None = None
    train: Path | None = None
    baselines: tuple[Baseline, ...] | None = None
    seeds: int = Field(default=3, ge=1, le=100)
    seed: int = Field(default=0, ge=0, lt=2**32)
    max_images: int = Field(default=200, ge=1)
    network_images: int = Field(default=4, ge=1)
    jobs: int = Field(default=0, ge=0)
