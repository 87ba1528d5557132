"""The files of an edited artifact, and those of its parent out of them again.

An edited artifact is its parent with edited graphs, a golden batch of its own, and the parent's
manifest and golden batch in ``parents/``, its ``trust.json`` too where the edit put in another.
The rest of the parent is the same or comes out of the graphs by undoing the surgery.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import onnx_ir as ir

from exporter.editing.decision import Decision
from exporter.errors import EditError, VerificationError
from exporter.source.embedded import read_graph
from exporter.surgery import add_edit, remove_edit
from serving.artifact import (
    GOLDEN,
    MANIFEST,
    MODEL,
    STEERABLE,
    TRUST,
    Artifact,
    Manifest,
    dump_manifest,
    load_artifact,
    manifest_contents,
    parent_file,
    read_manifest,
    sha256_of,
)
from serving.artifact.edits import EditRecord
from serving.artifact.trust import dump_trust
from serving.errors import ArtifactError, IntegrityError
from serving.model.golden import (
    Golden,
    golden_pictures,
    read_golden,
    read_pictures,
    save_golden,
)
from serving.model.padding import run_in_batches
from serving.model.runtime import make_session, output_names, run

_GRAPHS = (MODEL, STEERABLE)


def write_edited(parent: Artifact, decision: Decision, folder: Path) -> Artifact:
    """Write the edited artifact, its effect and its verification still open.

    Args:
        parent: The artifact to edit; it is not changed.
        decision: What to mute and to rename.
        folder: An empty folder.

    Returns:
        The edited artifact.

    Raises:
        SurgeryError: The parent's graphs are not those of an export.
        IntegrityError: A file of the parent cannot be read as what it is.
    """
    number = len(parent.manifest.edits) + 1
    replaced = {GOLDEN, *(_GRAPHS if decision.muted else ()), *([TRUST] if decision.trust else ())}
    for name in parent.manifest.files:
        if name not in replaced:
            copy_file(parent.path(name), folder / name)
    copy_file(parent.folder / MANIFEST, folder / parent_file(number, MANIFEST))
    # The graphs give their parent's back; of these the parent's own is kept.
    for name in (replaced & parent.manifest.files.keys()) - {*_GRAPHS}:
        copy_file(parent.path(name), folder / parent_file(number, name))
    if decision.trust:
        (folder / TRUST).write_bytes(dump_trust(decision.trust))
    if decision.muted:
        _write_graphs(parent, decision, folder)
    rewrite_golden(parent, folder)
    edit = EditRecord(
        parent=sha256_of(parent.folder / MANIFEST),
        reason=decision.reason,
        muted=decision.muted,
        renamed=decision.renamed,
        trust=sha256_of(folder / TRUST) if decision.trust else None,
    )
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    manifest = with_edit(parent.manifest, edit).model_copy(
        update={"files": {name: sha256_of(folder / name) for name in names}, "verification": ()}
    )
    write_manifest(folder, manifest)
    return load_artifact(folder)


def with_edit(manifest: Manifest, edit: EditRecord) -> Manifest:
    """A parent's manifest as its edit has it, but for ``files`` and ``verification``."""
    classes = list(manifest.classes)
    for name in edit.renamed:
        record = classes[name.class_index]
        prototypes = list(record.prototypes)
        prototypes[name.prototype] = prototypes[name.prototype].model_copy(
            update={"name": name.after}
        )
        classes[name.class_index] = record.model_copy(update={"prototypes": tuple(prototypes)})
    return manifest.model_copy(update={"classes": tuple(classes), "edits": (*manifest.edits, edit)})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into an artifact's folder."""
    _write_contents(folder, dump_manifest(manifest))


def _write_contents(folder: Path, content: bytes) -> None:
    for name, data in manifest_contents(content).items():
        (folder / name).write_bytes(data)


def restore(edited: Artifact, folder: Path) -> Artifact:
    """Write the artifact before the last edit, byte for byte.

    Postcondition: the manifest hashes as the edit recorded, and every file as the manifest says.

    Args:
        edited: An edited artifact; it is not changed.
        folder: An empty folder.

    Returns:
        The parent.

    Raises:
        EditError: The artifact was never edited.
        VerificationError: The parent does not come back byte for byte.
    """
    if not edited.manifest.edits:
        raise EditError(f"{edited.folder}: nothing to take back, this artifact was never edited.")
    number = len(edited.manifest.edits)
    _write_contents(folder, edited.path(parent_file(number, MANIFEST)).read_bytes())
    try:
        manifest = read_manifest(folder / MANIFEST)
        for name in manifest.files:
            _restore(edited, name, number, folder / name)
        return load_artifact(folder)
    except ArtifactError as error:
        raise VerificationError(
            f"{edited.folder}: its parent does not come back byte for byte, so it was not put in "
            f"place: {error} Copy the edited artifact again, use the version of protohead that "
            f"wrote it, or take the parent from where it is kept: its manifest.json has the sha256 "
            f"{edited.manifest.edits[-1].parent}."
        ) from error


def _restore(edited: Artifact, name: str, number: int, target: Path) -> None:
    edit = edited.manifest.edits[-1]
    own = name == GOLDEN or (name == TRUST and edit.trust is not None)
    kept = parent_file(number, name) if own else name
    if kept not in edited.manifest.files:
        raise IntegrityError(f"expected the parent's file {name}, found none.")
    if name in _GRAPHS and edit.muted:
        model = read_graph(edited.path(name))
        remove_edit(model)
        ir.save(model, target)
    else:
        copy_file(edited.path(kept), target)


def _write_graphs(parent: Artifact, decision: Decision, folder: Path) -> None:
    manifest = parent.manifest
    shape = len(manifest.classes), manifest.prototypes, manifest.head.channels
    muted = [(key.class_index, key.prototype) for key in decision.muted]
    for name in _GRAPHS:
        edited = add_edit(
            read_graph(parent.path(name)),
            manifest.head.logits,
            muted,
            shape=shape,
            logits_shape=manifest.logits_shape,
        )
        ir.save(edited, folder / name)


def rewrite_golden(parent: Artifact, folder: Path) -> None:
    """Write the golden inputs of a parent with the outputs of the graph in a folder."""
    entry = parent.manifest.input
    session = make_session(folder / MODEL, threads=1)
    answer = partial(run, session, output_names(session))

    def again(golden: Golden) -> Golden:
        feeds = {entry.name: golden.inputs}
        return Golden(golden.inputs, run_in_batches(answer, feeds, entry.shape[0]))

    pictures = again(read_pictures(parent)) if golden_pictures(parent) else None
    save_golden(folder / GOLDEN, entry.name, again(read_golden(parent)), pictures)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, the folder it lies in too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
