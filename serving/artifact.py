"""The artifact: one folder, written by the exporter and read by everything else.

===================== =============================================================
``manifest.json``     the contract, :class:`Manifest`
``model.onnx``        the source model with the prototype outputs beside its own
``steerable.onnx``    the same with two more required inputs, mask and classes
``prototypes.safetensors``  prototypes (c, k, d), scale (c, k), bias (c,), reference (d,)
``evidence/``         training crops that show what each prototype looks like
``golden.npz``        a few inputs with every output, so another runtime can test itself
``parents/``          of an edited artifact alone: what taking its edits back needs
===================== =============================================================

Nothing in it is executable or pickled; it holds no time and no absolute path. docs/format.md is
the specification. Symbols: c classes, k prototypes, d channels, h×w grid.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from serving.edits import EditRecord, PrototypeKey
from serving.errors import IntegrityError, ManifestError
from serving.layout import ImageLayout, Layout
from serving.record import FileName, Record, Sha256, Size

FORMAT: Literal["protohead/1"] = "protohead/1"
MANIFEST = "manifest.json"
MODEL = "model.onnx"
STEERABLE = "steerable.onnx"
PROTOTYPES = "prototypes.safetensors"
GOLDEN = "golden.npz"
EVIDENCE = "evidence"
PARENTS = "parents"
_REQUIRED = (MODEL, STEERABLE, PROTOTYPES, GOLDEN)


class Preprocessing(Record):
    """How an image becomes the input tensor: resize, crop, then (pixel * scale - mean) / std.

    ``resize`` is the length of the short side, or (height, width) exactly; ``crop`` is taken from
    the centre, black where the image is smaller. Both in pixels; None leaves the step out.
    """

    resize: Size | tuple[Size, Size] | None = None
    crop: Size | tuple[Size, Size] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = (
        "bilinear"
    )
    scale: float = Field(default=1 / 255, gt=0, allow_inf_nan=False)
    mean: tuple[FiniteFloat, ...] = (0.0, 0.0, 0.0)
    std: tuple[FiniteFloat, ...] = (1.0, 1.0, 1.0)
    layout: ImageLayout = "NCHW"
    channels: Literal["RGB", "BGR", "L"] = "RGB"

    @model_validator(mode="after")
    def _consistent(self) -> Preprocessing:
        expected = len(self.channels)
        if len(self.mean) != expected or len(self.std) != expected:
            raise ValueError(
                f"expected mean and std of {expected} values for channels {self.channels}, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        if any(value <= 0 for value in self.std):
            raise ValueError(f"expected std above 0, got {self.std}")
        if self.crop is None and not isinstance(self.resize, tuple):
            raise ValueError(
                "expected resize (h, w) or crop, so that every image has the same size"
            )
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input tensor in pixels."""
        wanted = self.resize if self.crop is None else self.crop
        return wanted if isinstance(wanted, tuple) else (int(wanted or 0), int(wanted or 0))


class SourceRecord(Record):
    """The classifier that was explained."""

    file: str
    sha256: Sha256


class InputRecord(Record):
    """The one input of ``model.onnx``; None in the shape is any size."""

    name: str
    shape: tuple[int | None, ...]
    dtype: Literal["float32"]
    preprocessing: Preprocessing


class HeadRecord(Record):
    """Where the head was found in the source graph."""

    output: str
    logits: str
    feature: str
    pooling: str
    linear: str
    layout: Layout
    grid: tuple[int, int]
    channels: int = Field(ge=1)
    layer_norm_epsilon: float | None = None


class MethodRecord(Record):
    """How the head was decomposed: the resolved options of the export."""

    name: Literal["evidence", "paper", "naive"]
    reference: Literal["mean", "none"]
    seed: int
    max_images: int
    min_images: int


class SolveRecord(Record):
    """How one optimisation ended."""

    iterations: int
    objective: float
    converged: bool


class EvidenceRecord(Record):
    """One training crop that activates a prototype."""

    file: FileName
    image: str
    value: float
    box: tuple[int, int, int, int]


class PrototypeRecord(Record):
    """One prototype of one class, with its evidence, best first."""

    name: str
    evidence: tuple[EvidenceRecord, ...] = ()


class _Class(Record):
    """What both records of a class hold, in the order of the file.

    ``accuracy`` is the share of the class's own images that the model gives to it.
    """

    index: int = Field(ge=0)
    label: str
    state: Literal["decomposed", "whole"]
    images: int = Field(ge=0)
    skipped: int = Field(default=0, ge=0)
    residual_ratio: float | None = None
    scale: tuple[float, ...] = ()
    regularization: float | None = None
    discovery: SolveRecord | None = None
    scaling: SolveRecord | None = None
    refinement: SolveRecord | None = None
    accuracy: float | None = None
    warnings: tuple[str, ...] = ()
    prototypes: tuple[PrototypeRecord, ...]


class DecomposedClass(_Class):
    """A class whose head row was split into k prototypes.

    ``residual_ratio`` is |R| / |v - u|, ``scale`` alpha, ``regularization`` the lambda of the
    evidence regression, None where nothing is regressed.
    """

    state: Literal["decomposed"] = "decomposed"
    residual_ratio: float
    scale: tuple[float, ...]
    discovery: SolveRecord
    scaling: SolveRecord
    refinement: SolveRecord


class WholeClass(_Class):
    """A class that keeps its head row as one prototype, because it had too few usable images.

    Its other k - 1 prototypes are zero and not listed; nothing was solved.
    """

    state: Literal["whole"] = "whole"
    residual_ratio: None = None
    scale: tuple[()] = ()
    regularization: None = None
    discovery: None = None
    scaling: None = None
    refinement: None = None
    prototypes: tuple[PrototypeRecord]


ClassRecord = Annotated[DecomposedClass | WholeClass, Field(discriminator="state")]
CLASS_RECORD: TypeAdapter[DecomposedClass | WholeClass] = TypeAdapter(ClassRecord)
"""Reads the record of a class on its own."""


class GateRecord(Record):
    """One promise, measured."""

    name: str
    state: Literal["passed", "failed", "skipped"]
    detail: str
    value: float | None = None
    limit: float | None = None


class Manifest(Record):
    """``manifest.json``: what the artifact is, how it was made and what it must hash to."""

    format: Literal["protohead/1"] = FORMAT
    source: SourceRecord
    input: InputRecord
    activation: Literal["softmax", "sigmoid"]
    prototypes: int = Field(ge=1, le=32)
    top: int = Field(ge=1)
    head: HeadRecord
    method: MethodRecord
    classes: tuple[ClassRecord, ...] = Field(min_length=1)
    edits: tuple[EditRecord, ...] = ()
    verification: tuple[GateRecord, ...] = ()
    files: dict[FileName, Sha256]

    @model_serializer(mode="wrap")
    def _without_no_edits(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        if not self.edits:
            content.pop("edits", None)
        return content

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if [record.index for record in self.classes] != list(range(len(self.classes))):
            raise ValueError("expected classes numbered 0, 1, 2, ... in order")
        missing = [name for name in _REQUIRED if name not in self.files]
        crops = {e.file for c in self.classes for p in c.prototypes for e in p.evidence}
        missing += sorted(crops - self.files.keys())
        if missing:
            raise ValueError(f"expected a sha256 for each file, none for {missing[:3]}")
        self._require_edits()
        return self

    def _require_edits(self) -> None:
        """Refuse edits that do not fit the classes, or whose parents are not kept."""
        seen: set[tuple[int, int]] = set()
        for number, edit in enumerate(self.edits, start=1):
            if self.files.get(parent_file(number, MANIFEST)) != edit.parent:
                raise ValueError(
                    f"expected edit {number} to have the parent {parent_file(number, MANIFEST)}"
                )
            if parent_file(number, GOLDEN) not in self.files:
                raise ValueError(f"expected a sha256 for {parent_file(number, GOLDEN)}")
            keys: tuple[PrototypeKey, ...] = (*edit.muted, *edit.renamed)
            for index, prototype in ((key.class_index, key.prototype) for key in keys):
                if index >= len(self.classes) or prototype >= len(self.classes[index].prototypes):
                    raise ValueError(f"edit {number}: no prototype {prototype} of class {index}")
            muted = [(gone.class_index, gone.prototype) for gone in edit.muted]
            if seen.intersection(muted) or len(set(muted)) < len(muted):
                raise ValueError(f"edit {number} mutes a prototype that is muted already")
            seen.update(muted)
            changes = edit.effect.changes if edit.effect else ()
            last = max((i for c in changes for i in (c.label, c.before, c.after)), default=0)
            if last >= len(self.classes):
                raise ValueError(f"edit {number}: no class {last} that its effect could name")

    @property
    def labels(self) -> tuple[str, ...]:
        """The class labels in the order of the logits."""
        return tuple(record.label for record in self.classes)

    @property
    def muted(self) -> frozenset[tuple[int, int]]:
        """Class index and number of each prototype that edits have muted."""
        return frozenset((m.class_index, m.prototype) for edit in self.edits for m in edit.muted)


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk whose manifest has been read and whose files match their hashes."""

    folder: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """The path of a file that the manifest lists."""
        return self.folder / name


def parent_file(number: int, name: str) -> str:
    """Where an edited artifact keeps a file of the artifact before its edit ``number``, from 1."""
    return f"{PARENTS}/{number}/{name}"


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact and check every file against its hash.

    Args:
        folder: The artifact's folder.

    Returns:
        The artifact; nothing of it has been executed or deserialised beyond the manifest.

    Raises:
        ManifestError: The manifest is missing, malformed or of another format version.
        IntegrityError: A file is missing, changed, or a link out of the folder.
    """
    manifest = read_manifest(folder / MANIFEST)
    root = folder.resolve()
    for name, expected in manifest.files.items():
        path = root / name
        if not path.is_file():
            raise IntegrityError(
                f"{folder}: expected the file {name}, found none. Copy the artifact whole."
            )
        if not path.resolve().is_relative_to(root):
            raise IntegrityError(f"{folder}: {name} is a link that leaves the artifact's folder.")
        found = sha256_of(path)
        if found != expected:
            raise IntegrityError(
                f"{folder}: {name} has changed: expected sha256 {expected[:12]}…, "
                f"got {found[:12]}…. Export again, or copy the artifact again."
            )
    return Artifact(folder=root, manifest=manifest)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, its files unchecked.

    Raises:
        ManifestError: It is missing, malformed or of another format version.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path.parent}: expected an artifact, a folder with {MANIFEST}; "
            f"cannot read it: {error.strerror}."
        ) from error
    try:
        version = json.loads(text).get("format")
        if version != FORMAT:
            raise ManifestError(
                f"{path}: expected format {FORMAT!r}, got {version!r}. "
                "Export the model again with this version, or use the version that wrote it."
            )
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ManifestError(f"{path}: {where}: {first['msg']}.") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise ManifestError(f"{path}: expected a JSON object: {error}.") from error


def dump_manifest(manifest: Manifest) -> bytes:
    """The bytes of ``manifest.json``: the same manifest gives the same bytes."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    return (text + "\n").encode()
