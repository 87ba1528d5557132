"""An artifact in fewer bits, from its classifier to the one that is put in place: steps in order.

classifier -> fewer bits -> artifact -> agreement with its parent -> verification
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from exporter.editing.files import write_manifest
from exporter.errors import EditError, SourceError
from exporter.pipelines.verified import require_verified
from exporter.progress import Progress, shown
from exporter.quantising.agreement import measure, require_within
from exporter.quantising.files import narrowed, write_quantised
from exporter.quantising.pictures import read_pictures
from exporter.writing.placing import placing
from exporter.writing.work import named
from serving.artifact import (
    MANIFEST,
    Artifact,
    LimitsRecord,
    QuantisedRecord,
    load_artifact,
    sha256_of,
)
from serving.model.predictor import Predictor

Kind = Literal["int8", "float16"]
_VERIFIED_IMAGES = 128


def quantize(
    artifact: Path | str,
    out: Path | str,
    *,
    data: Path | str,
    to: Kind = "int8",
    calibration: int = 128,
    reduce_range: bool = False,
    max_images: int = 200,
    seed: int = 0,
    min_agreement: float | None = None,
    min_peaks: float | None = None,
    max_difference: float | None = None,
    overwrite: bool = False,
    progress: Progress = shown,
) -> Artifact:
    """Write an artifact whose network computes in fewer bits, its head in float32, or nothing.

    Prototypes, names, evidence and labels are those of the parent.

    Args:
        artifact: The artifact to quantise; it is not changed.
        out: Where the quantised one appears, whole and verified.
        data: A folder of images, or of one folder for each class.
        to: ``int8``, static and by channel, or ``float16``.
        calibration: Images that the ranges of 8 bits are taken from, at most half of them; the
            others are compared on.
        reduce_range: Weights in 7 bits, for x86 processors without VNNI.
        max_images: Images used of each class.
        seed: Of the draw where there are more.
        min_agreement: Share of the images that have to keep their best class; None asks for none.
        min_peaks: Share of the heatmaps that have to peak in the same cell.
        max_difference: The most that contributions may differ by in the median, over the size of
            their summands.
        overwrite: Replace an artifact at ``out``.
        progress: Called as images are done; by default a notebook shows a bar.

    Returns:
        The quantised artifact.

    Raises:
        EditError: The artifact was edited.
        SourceError: Its classifier cannot be quantised, or was.
        SurgeryError: Its opset is too old and cannot be converted, or its graphs were changed.
        ArtifactError: The artifact is damaged.
        DatasetError: The images do not fit it.
        OutputError: ``out`` cannot be written.
        VerificationError: A promise or a limit is not kept; nothing appeared at ``out``.
    """
    out = named(Path(out))
    limits = LimitsRecord(
        min_agreement=min_agreement, min_peaks=min_peaks, max_difference=max_difference
    )
    parent = load_artifact(Path(artifact))
    _require_quantisable(parent)
    before = Predictor(parent, threads=1)
    wanted = calibration if to == "int8" else 0
    pictures = read_pictures(
        Path(data), parent.manifest, calibration=wanted, max_images=max_images, seed=seed
    )
    with placing(out, "quantize", overwrite=overwrite) as folder, TemporaryDirectory() as place:
        source = narrowed(
            before,
            Path(place),
            to=to,
            calibration=pictures.calibration,
            reduce_range=reduce_range,
        )
        made = write_quantised(parent, source, folder)
        agreement = measure(
            before, Predictor(made, threads=1), pictures, progress=partial(progress, "compare")
        )
        require_within(agreement, limits, to)
        record = QuantisedRecord(
            parent=sha256_of(parent.folder / MANIFEST),
            to=to,
            calibration=len(pictures.calibration),
            reduce_range=reduce_range,
            agreement=agreement,
            limits=limits,
        )
        made = Artifact(folder, made.manifest.model_copy(update={"quantised": record}))
        write_manifest(folder, made.manifest)
        paths = [picture.path for picture in pictures.compared]
        images = paths[:: max(1, -(-len(paths) // _VERIFIED_IMAGES))]
        require_verified(folder, "quantised", images, progress)
    return load_artifact(out)


def _require_quantisable(parent: Artifact) -> None:
    if parent.manifest.edits:
        raise EditError(
            f"{parent.folder}: it was edited, and what its edits changed was measured in float32. "
            "Take them back (`undo`), quantise that, and edit what comes out."
        )
    if parent.manifest.quantised is not None:
        raise SourceError(
            f"{parent.folder}: it is quantised to {parent.manifest.quantised.to} already. Quantise "
            "the artifact that it was made of."
        )
