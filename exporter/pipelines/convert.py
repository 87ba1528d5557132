"""A further graph for an artifact: the steps in order, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from exporter.config import Form
from exporter.errors import OutputError
from exporter.pipelines.verified import require_verified
from exporter.progress import Progress, shown
from exporter.writing.artifact import write_manifest
from exporter.writing.further import add_graph
from exporter.writing.placing import placing
from exporter.writing.work import named
from serving.artifact import EVIDENCE, Artifact, load_artifact

_VERIFIED_IMAGES = 128


def convert(
    artifact: Path | str,
    out: Path | str,
    form: Form,
    *,
    overwrite: bool = False,
    progress: Progress = shown,
) -> Artifact:
    """Write an artifact with one more graph, or nothing.

    Args:
        artifact: The artifact; it is not changed.
        out: Where the one with the graph appears, whole and verified.
        form: Of the graph.
        overwrite: Replace an artifact at ``out``.
        progress: Called as images are done; by default a notebook shows a bar.

    Returns:
        The artifact with the graph; its other files are those of the first, byte for byte, but
        for the manifest.

    Raises:
        ArtifactError: The artifact is damaged.
        OutputError: ``out`` cannot be written, or the artifact has this graph.
        SurgeryError: Its head or its input does not allow it.
        VerificationError: A promise is not kept; nothing appeared at ``out``.
    """
    out = named(Path(out))
    parent = load_artifact(Path(artifact))
    if form.file in parent.manifest.files:
        raise OutputError(f"{artifact}: expected an artifact without {form.file}, it has one.")
    with placing(out, "convert", overwrite=overwrite) as folder:
        for name in parent.manifest.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(parent.path(name), folder / name)
        manifest = add_graph(Artifact(folder, parent.manifest), form)
        write_manifest(folder, manifest.model_copy(update={"verification": ()}))
        require_verified(folder, "converted", _crops(parent), progress)
    return load_artifact(out)


def _crops(artifact: Artifact) -> list[Path]:
    """Pictures to compare on, the only ones at hand: evidence of training images, evenly drawn."""
    names = sorted(name for name in artifact.manifest.files if name.startswith(EVIDENCE))
    return [artifact.path(name) for name in names[:: max(1, -(-len(names) // _VERIFIED_IMAGES))]]
