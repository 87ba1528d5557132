"""The stages of a comparison of two artifacts in order, nothing else.

two artifacts -> the same images through both -> which part is which -> what changed
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from exporter.comparing.compare import class_pairs, compare
from exporter.comparing.observe import observe
from exporter.comparing.record import Difference
from exporter.comparing.shifts import measure_shifts
from exporter.errors import DatasetError
from exporter.images.dataset import find_images
from exporter.progress import Progress, silent
from serving.artifact import Artifact
from serving.model.predictor import Predictor


def diff(
    old: Artifact,
    new: Artifact,
    *,
    names: tuple[str, str] | None = None,
    data: Path | None = None,
    max_images: int = 200,
    progress: Progress = silent,
) -> Difference:
    """Say what changed from one artifact to another.

    Args:
        old: The older artifact.
        new: The newer one.
        names: What people call the two; by default the names of their folders.
        data: Folder of images to run both on; None runs neither.
        max_images: Images run, evenly over their names where there are more.
        progress: Called as images are done.

    Returns:
        What changed, the classes of which nothing did left out.

    Raises:
        ArtifactError: One of them cannot be run.
        DatasetError: There is not one image to run them on.
    """
    observed = None
    if data is not None:
        paths = find_images(data).paths
        if not paths:
            raise DatasetError(f"{data}: expected images, found none.")
        observed = observe(
            (Predictor(old), Predictor(new)),
            class_pairs(old, new),
            data,
            paths[:: -(-len(paths) // max_images)],
            progress=partial(progress, "compare"),
        )
    found = compare(old, new, names or (old.folder.name, new.folder.name), observed)
    changed = tuple(change for change in found.classes if change.is_change)
    shifts = None if observed is None else measure_shifts(observed, found.classes)
    return found.model_copy(update={"classes": changed, "shifts": shifts})
