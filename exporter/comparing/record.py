"""What changed between two artifacts: the record that ``protohead diff --json`` writes.

The same artifacts and images give the same record: no time, no path but what was given.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Literal["protohead-diff/1"] = "protohead-diff/1"

MatchedBy = Literal["vectors", "heatmaps", "crops"]
"""What told which part is which: vectors of one head, heatmaps on the same images, or crops."""
State = Literal["kept", "moved", "gained", "lost"]
STATES: tuple[State, ...] = ("kept", "moved", "gained", "lost")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Side(_Record):
    """One of the two artifacts.

    Attributes:
        name: As it was given.
        sha256: Of its manifest.
        source: File name of its classifier.
        source_sha256: Hash of that.
        prototypes: k.
        classes: How many.
    """

    name: str
    sha256: str
    source: str
    source_sha256: str
    prototypes: int
    classes: int


class Change(_Record):
    """A value of the manifest by its name there; None where there is none."""

    name: str
    old: Any = None
    new: Any = None


class PartRecord(_Record):
    """A part of a class in one artifact; ``crops`` are files of that artifact, the best first."""

    number: int
    name: str
    muted: bool
    crops: tuple[str, ...]


class PartChange(_Record):
    """What became of a part.

    Attributes:
        state: ``kept`` looks for the same thing, ``moved`` for something near.
        old: The part, None where it was gained.
        new: The part, None where it was lost.
        likeness: Of the two, as the class was matched: a cosine, the correlation of heatmaps, or
            the overlap of crops; None without both.
    """

    state: State
    old: PartRecord | None = None
    new: PartRecord | None = None
    likeness: float | None = None

    @property
    def is_renamed(self) -> bool:
        """Whether somebody gave it another name, or took it away."""
        named = [
            None if p is None or p.name == f"prototype {p.number}" else p.name
            for p in (self.old, self.new)
        ]
        return self.old is not None and self.new is not None and named[0] != named[1]

    @property
    def is_switched(self) -> bool:
        """Whether it was muted, or is no longer."""
        return self.old is not None and self.new is not None and self.old.muted != self.new.muted

    @property
    def is_change(self) -> bool:
        """Whether a person would call it one."""
        return self.state != "kept" or self.is_renamed or self.is_switched


class ClassChange(_Record):
    """A class of which something changed.

    Attributes:
        label: In the newer artifact, or in the older one where it is gone.
        old: Its position in the logits there, None where it was gained.
        new: The same in the newer artifact, None where it was lost.
        facts: What the manifest says of it: ``label``, ``state``, ``accuracy`` and the like.
        warnings_gained: Warnings of its export that are new.
        warnings_lost: Warnings that are gone.
        matched_by: What told which of its parts is which; None where one artifact lacks it.
        parts: Every part of both.
    """

    label: str
    old: int | None
    new: int | None
    facts: tuple[Change, ...] = ()
    warnings_gained: tuple[str, ...] = ()
    warnings_lost: tuple[str, ...] = ()
    matched_by: MatchedBy | None
    parts: tuple[PartChange, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether there is anything to tell."""
        return (
            self.old is None
            or self.new is None
            or bool(self.facts or self.warnings_gained or self.warnings_lost)
            or any(part.is_change for part in self.parts)
        )


class FileChange(_Record):
    """A file whose bytes changed, or a folder by its name with a slash; sizes in bytes."""

    name: str
    old: int | None
    new: int | None


class Prediction(_Record):
    """The best class of an image, in each artifact; ``label`` is that of its folder, if any."""

    image: str
    label: str | None
    old: str
    old_probability: float
    new: str
    new_probability: float


class Shift(_Record):
    """How much a part contributes to its class, on the images given to that class by either.

    Attributes:
        label: The class.
        old: Number of the part there, None where it was gained.
        new: The same in the newer artifact, None where it was lost.
        name: What the part is called.
        images: How many.
        old_mean: Its mean contribution in the older artifact, logit units; 0 where it was gained.
        new_mean: The same in the newer one.
        largest: The largest change on one image, with its sign.
        image: That image.
    """

    label: str
    old: int | None
    new: int | None
    name: str
    images: int
    old_mean: float
    new_mean: float
    largest: float
    image: str


class Shifts(_Record):
    """What changed on images.

    Attributes:
        data: Name of their folder.
        images: How many were run.
        skipped: How many cannot be decoded.
        corrected: Images of a known class that only the newer artifact gives to it.
        broken: Images of a known class that only the older one gives to it.
        predictions: Those whose best class is another.
        parts: Every part whose contributions shifted, the largest shift first.
    """

    data: str
    images: int
    skipped: int
    corrected: int
    broken: int
    predictions: tuple[Prediction, ...]
    parts: tuple[Shift, ...]


class Difference(_Record):
    """What changed from one artifact to another.

    Attributes:
        same_source: Whether both explain the same classifier, bit for bit.
        options: Values of the manifest beside classes, files, gates and edits.
        edits_gained: Reasons of edits that are new.
        edits_lost: Reasons of edits that are gone.
        gates: Gates whose result is another.
        files: Files whose bytes are others.
        matched_by: How many classes have their parts matched by what.
        parts: How many parts were kept, moved, gained and lost, over all classes.
        classes: Classes of which something changed, in the order of the newer artifact.
        shifts: What changed on images, where some were given.
    """

    format: Literal["protohead-diff/1"] = FORMAT
    old: Side
    new: Side
    same_source: bool
    options: tuple[Change, ...]
    edits_gained: tuple[str, ...]
    edits_lost: tuple[str, ...]
    gates: tuple[Change, ...]
    files: tuple[FileChange, ...]
    matched_by: dict[MatchedBy, int]
    parts: dict[State, int]
    classes: tuple[ClassChange, ...]
    shifts: Shifts | None = None

    @property
    def is_same(self) -> bool:
        """Whether it is one artifact, byte for byte."""
        return self.old.sha256 == self.new.sha256

    def dump(self) -> bytes:
        """As JSON."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
        return (text + "\n").encode()
