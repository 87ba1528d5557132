"""An edit from its decision to the artifact, and back: the steps in order, nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from exporter.editing.decision import decide
from exporter.editing.effect import measure, read_images
from exporter.editing.files import restore, write_edited, write_manifest
from exporter.editing.trust import read_held_out
from exporter.errors import EditError
from exporter.pipelines.verified import require_verified
from exporter.progress import Progress, shown
from exporter.writing.placing import placing
from exporter.writing.work import named
from serving.artifact import Artifact, load_artifact
from serving.model.class_key import ClassKey
from serving.model.predictor import Predictor

_VERIFIED_IMAGES = 128


def edit(
    artifact: Path | str,
    out: Path | str,
    *,
    reason: str,
    mute: Iterable[tuple[ClassKey, int]] = (),
    names: Iterable[tuple[tuple[ClassKey, int], str]] = (),
    trust: Path | str | None = None,
    data: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress = shown,
) -> Artifact:
    """Write a new artifact in which prototypes are muted or have other names, or nothing.

    Args:
        artifact: The artifact to edit; it is not changed.
        out: Where the edited one appears, whole and verified.
        reason: Why; it is kept in the artifact.
        mute: Class and number of each prototype that shall not count any more.
        names: Class and number of a prototype, and its new name.
        trust: What ``protohead report --trust`` measured of this artifact, to put in.
        data: Class folders to measure the effect on; without them it is not measured.
        overwrite: Replace an artifact at ``out``.
        progress: Called as images are done; by default a notebook shows a bar.

    Returns:
        The edited artifact.

    Raises:
        EditError: The decision does not fit the artifact.
        ArtifactError: The artifact is damaged.
        DatasetError: The class folders do not fit it.
        SurgeryError: Its graphs are not those of an export.
        OutputError: ``out`` cannot be written.
        VerificationError: A promise is not kept; nothing appeared at ``out``.
    """
    out = named(Path(out))
    parent = load_artifact(Path(artifact))
    before = Predictor(parent)
    held_out = None if trust is None else read_held_out(Path(trust), parent)
    decision = decide(parent.manifest, mute=mute, names=names, reason=reason, trust=held_out)
    dataset = None if data is None else read_images(Path(data), parent.manifest)
    with placing(out, "edit", overwrite=overwrite) as folder:
        edited = write_edited(parent, decision, folder)
        paths = []
        if dataset is not None:
            last = edited.manifest.edits[-1]
            effect = measure(
                before,
                Predictor(edited),
                dataset,
                touched=last.touched,
                progress=partial(progress, "measure"),
            )
            changed = (*edited.manifest.edits[:-1], last.model_copy(update={"effect": effect}))
            edited = Artifact(folder, edited.manifest.model_copy(update={"edits": changed}))
            write_manifest(folder, edited.manifest)
            paths = [path for entry in dataset.classes for path in entry.paths]
        images = paths[:: max(1, -(-len(paths) // _VERIFIED_IMAGES))]
        require_verified(folder, "edited", images, progress)
    return load_artifact(out)


def undo_edit(artifact: Path | str, out: Path | str, *, overwrite: bool = False) -> Artifact:
    """Write the artifact before the last edit, byte for byte, or nothing.

    Args:
        artifact: An edited artifact; it is not changed.
        out: Where its parent appears.
        overwrite: Replace an artifact at ``out``.

    Returns:
        The parent; its manifest hashes as the edit recorded, its files as the manifest says.

    Raises:
        EditError: The artifact was never edited.
        ArtifactError: The artifact is damaged.
        OutputError: ``out`` cannot be written.
        VerificationError: The parent does not come back byte for byte.
    """
    out = named(Path(out))
    edited = load_artifact(Path(artifact))
    if not edited.manifest.edits:
        raise EditError(f"{artifact}: nothing to take back, this artifact was never edited.")
    with placing(out, "edit", overwrite=overwrite) as folder:
        restore(edited, folder)
    return load_artifact(out)
