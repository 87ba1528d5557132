"""``manifest.json``: what the artifact is, how it was made and what it must hash to.

docs/format.md is the specification.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from serving.artifact.classes import ClassRecord
from serving.artifact.edits import EditRecord, PrototypeKey
from serving.artifact.files import (
    FORMAT,
    GOLDEN,
    MANIFEST,
    MANIFEST_HASH,
    REQUIRED,
    TRUST,
    parent_file,
)
from serving.artifact.graphs import GraphRecord
from serving.artifact.layout import Layout
from serving.artifact.preprocessing import Preprocessing
from serving.artifact.quantised import QuantisedRecord
from serving.artifact.values import FileName, Record, Sha256


class SourceRecord(Record):
    """The classifier that was explained."""

    file: str
    sha256: Sha256


class InputRecord(Record):
    """The one input of ``model.onnx``; None in the shape is any size, uint8 pixels as they are."""

    name: str
    shape: tuple[int | None, ...]
    dtype: Literal["float32", "uint8"]
    preprocessing: Preprocessing


class NormalisationRecord(Record):
    """The number that the pooled vector is divided by: max(sqrt(q + epsilon), floor) + offset.

    q is the mean or the sum of its squares, ``centred`` about its mean.
    """

    reduction: Literal["mean", "sum"]
    centred: bool
    epsilon: float = Field(ge=0)
    floor: float = Field(ge=0)
    offset: float = Field(ge=0)


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
    # Of any other normalisation than that of a LayerNormalization.
    normalisation: NormalisationRecord | None = Field(
        default=None, exclude_if=lambda normalisation: normalisation is None
    )
    # Of one image, where it is not (classes,): (5, 1, 1).
    logits_shape: tuple[int, ...] | None = Field(
        default=None, exclude_if=lambda shape: shape is None
    )
    # Of a head that computes more than a mean before its linear layer (docs/heads.md): its steps,
    # from the linear layer upwards; how many of the channels are those of the feature map; and
    # whether something of the logits comes from no place, so that there is an output `unplaced`.
    steps: tuple[str, ...] = Field(default=(), exclude_if=lambda steps: not steps)
    mapped: int = Field(default=0, ge=0, exclude_if=lambda mapped: not mapped)
    unplaced: bool = Field(default=False, exclude_if=lambda unplaced: not unplaced)
    # Whether a quantised head rounds its logits, so that there is an output `rounding`.
    rounding: bool = Field(default=False, exclude_if=lambda rounding: not rounding)


class MethodRecord(Record):
    """How the head was decomposed: the resolved options of the export."""

    name: Literal["evidence", "paper", "naive"]
    reference: Literal["mean", "none"]
    seed: int
    max_images: int
    min_images: int
    # Not written where they say nothing: manifests of before have the same bytes.
    smoothing: tuple[int, int] = Field(default=(0, 0), exclude_if=lambda passes: passes == (0, 0))
    start: Literal["zeros", "even", "naive"] | None = Field(
        default=None, exclude_if=lambda start: start is None
    )
    # The share of the images that were left for measuring, told by seed and name.
    holdout: float | None = Field(default=None, gt=0, lt=1, exclude_if=lambda share: share is None)


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
    # Of the names of what is added to the graphs; left out where the source has none of them.
    prefix: str = Field(
        default="", pattern=r"^(protohead_)*$", exclude_if=lambda prefix: not prefix
    )
    activation: Literal["softmax", "sigmoid"]
    prototypes: int = Field(ge=1, le=32)
    top: int = Field(ge=1)
    head: HeadRecord
    method: MethodRecord
    classes: tuple[ClassRecord, ...] = Field(min_length=1)
    # Of every graph; left out where there are no others than model.onnx and steerable.onnx.
    graphs: tuple[GraphRecord, ...] = Field(default=(), exclude_if=lambda graphs: not graphs)
    # Of an artifact that was made of another one in fewer bits.
    quantised: QuantisedRecord | None = Field(
        default=None, exclude_if=lambda quantised: quantised is None
    )
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
        if math.prod(self.logits_shape) != len(self.classes):
            raise ValueError(
                f"expected logits of {len(self.classes)} classes, got {self.logits_shape}"
            )
        if [record.index for record in self.classes] != list(range(len(self.classes))):
            raise ValueError("expected classes numbered 0, 1, 2, ... in order")
        for record in self.classes:
            own = self.prototypes if record.state == "decomposed" else 1
            if len(record.prototypes) != own:
                raise ValueError(
                    f"expected {own} prototypes of class {record.index}, which is {record.state}, "
                    f"got {len(record.prototypes)}"
                )
        missing = [name for name in REQUIRED if name not in self.files]
        crops = {f for c in self.classes for p in c.prototypes for e in p.evidence for f in e.files}
        missing += sorted(crops - self.files.keys())
        graphs = [graph.file for graph in self.graphs]
        missing += sorted(set(graphs) - self.files.keys())
        if missing:
            raise ValueError(f"expected a sha256 for each file, none for {missing[:3]}")
        if len(set(graphs)) < len(graphs):
            raise ValueError(f"expected one record of each graph, got {graphs}")
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
        trusted = [edit.trust for edit in self.edits if edit.trust is not None]
        if trusted and self.files.get(TRUST) != trusted[-1]:
            raise ValueError(f"expected the {TRUST} that the last edit of it put in")

    @property
    def all_files(self) -> frozenset[str]:
        """Every file of the artifact, the manifest and its hash among them."""
        return frozenset([MANIFEST, MANIFEST_HASH, *self.files])

    @property
    def logits_shape(self) -> tuple[int, ...]:
        """The shape of one image's logits as the graphs give them."""
        shape = self.head.logits_shape
        return (len(self.classes),) if shape is None else shape

    @property
    def labels(self) -> tuple[str, ...]:
        """The class labels in the order of the logits."""
        return tuple(record.label for record in self.classes)

    @property
    def muted(self) -> frozenset[tuple[int, int]]:
        """Class index and number of each prototype that edits have muted."""
        return frozenset((m.class_index, m.prototype) for edit in self.edits for m in edit.muted)
