"""``trust.json``: how far each part can be trusted, in figures, and what they say in words.

Every sentence about it is made here, so the page, the API, pictures and the command line say the
same. docs/format.md, "Trust". Symbols: k prototypes, h×w grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from serving.artifact.classes import ClassRecord, fixed_name
from serving.artifact.files import TRUST
from serving.artifact.folder import Artifact
from serving.artifact.manifest import Manifest
from serving.artifact.values import Count, Record, Sha256, Share
from serving.errors import IntegrityError

FORMAT: Literal["protohead-trust/1"] = "protohead-trust/1"
Cosine = Annotated[float, Field(ge=-1, le=1)]
Kind = Literal["mixed", "unstable", "same_place", "border", "off_object", "weak"]
"""What there is to doubt about a part, as answers name it."""


class TrustLimits(Record):
    """Where doubt begins.

    ``likeness`` and ``halves`` are cosines, ``steady`` a share of images, below which it does.
    ``border`` is how far a share is
    above chance, (share - chance) / (1 - chance), ``same_place`` an overlap and ``off_object`` a
    share of images, from which on it does; ``weak`` is a share of the evidence times the parts,
    below which it does.
    """

    likeness: Cosine
    halves: Cosine
    border: Share
    same_place: Share
    steady: Share
    off_object: Share
    weak: float = Field(ge=0)


class SamePlaceRecord(Record):
    """The other part that shares most of a part's places, and how much: 0 apart, 1 the same."""

    other: Count
    overlap: Share


class PlaceRecord(Record):
    """Where a part looks: share of the images with its peak in the outermost cells, and with whom.

    ``border`` is null where there is no heat: an edit muted the part. ``same_place`` is null where
    the class has no other part, or the grid one cell.
    """

    border: Share | None
    same_place: SamePlaceRecord | None = None


class TrainingPartRecord(PlaceRecord):
    """A part on the training images.

    ``likeness`` is the mean cosine of what is seen at its peaks in two images, beyond what is seen
    of the class everywhere; ``halves`` that of the means over every other image and over the rest.
    Null where there are too few images, or nothing is seen.
    """

    likeness: Cosine | None
    halves: Cosine | None


class HeldOutPartRecord(PlaceRecord):
    """A part on held-out images.

    ``share`` is its part of the class's evidence, signed; null where it is muted. ``steady`` is
    how often its peak is near the keypoint that it is near most often, ``off_object`` the share of
    the images whose peak is off the object, by masks or keypoints; null where that is not known.
    """

    share: Annotated[float, Field(ge=-1, le=1)] | None
    steady: Share | None
    off_object: Share | None


class TrainingTrust(Record):
    """What the export saw: the parts of each class in the order of the logits, none if whole."""

    classes: tuple[tuple[TrainingPartRecord, ...], ...]


class HeldOutClass(Record):
    """One class on held-out images; ``recognised`` is the share that the model gives to it."""

    images: Count
    recognised: Share | None
    parts: tuple[HeldOutPartRecord, ...]


class HeldOutTrust(Record):
    """What a report measured of the artifact with this manifest, on the folder ``data``."""

    artifact: Sha256
    data: str
    classes: tuple[HeldOutClass, ...]


class Trust(Record):
    """``trust.json``; ``border_chance`` is the share of the grid's cells that are outermost."""

    format: Literal["protohead-trust/1"] = FORMAT
    border_chance: Share
    limits: TrustLimits
    training: TrainingTrust | None = None
    held_out: HeldOutTrust | None = None

    @model_validator(mode="after")
    def _others_exist(self) -> Self:
        for parts in (parts for classes in self._parts() for parts in classes):
            for number, part in enumerate(parts):
                other = number if part.same_place is None else part.same_place.other
                if other >= len(parts) or (part.same_place and other == number):
                    raise ValueError(f"expected the place of another of {len(parts)} parts")
        return self

    def _parts(self) -> Iterator[tuple[tuple[PlaceRecord, ...], ...]]:
        """The parts of each class, as each of the two measured them."""
        if self.training is not None:
            yield self.training.classes
        if self.held_out is not None:
            yield tuple(found.parts for found in self.held_out.classes)

    def require_fits(self, manifest: Manifest) -> None:
        """Refuse figures of other classes and parts than the manifest's.

        Raises:
            ValueError: They are.
        """
        counts = [_split(record) for record in manifest.classes]
        for classes in self._parts():
            # A class without images has no figures.
            fits = [len(parts) in (0, count) for parts, count in zip(classes, counts, strict=False)]
            if len(classes) != len(counts) or not all(fits):
                raise ValueError("expected figures of the manifest's classes and parts")


def _split(record: ClassRecord) -> int:
    """The parts of a class that figures are of; a class kept whole has none."""
    return len(record.prototypes) if record.state == "decomposed" else 0


@dataclass(frozen=True)
class Doubt:
    """A reason to look at a part twice.

    Attributes:
        kind: Which.
        says: It, in a sentence.
    """

    kind: Kind
    says: str

    @property
    def brief(self) -> str:
        """The same in two or three words, for a place that holds no sentence."""
        return _BRIEF[self.kind]


_BRIEF: dict[Kind, str] = {
    "mixed": "mixed crops",
    "unstable": "unstable",
    "same_place": "same place as another",
    "border": "at the edge",
    "off_object": "beside the object",
    "weak": "hardly counts",
}


def parse_trust(content: bytes, where: str) -> Trust:
    """Read ``trust.json`` from its bytes.

    Args:
        content: The bytes.
        where: Where they are from, for messages.

    Raises:
        IntegrityError: They are malformed or of another format version.
    """
    try:
        return Trust.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "trust"
        raise IntegrityError(
            f"{where}: {place}: {first['msg']}. Expected what an export or a report of this "
            "version writes."
        ) from error


def dump_trust(trust: Trust) -> bytes:
    """The bytes of ``trust.json``: the same figures give the same bytes."""
    return trust.model_dump_json(indent=1).encode() + b"\n"


def read_trust(artifact: Artifact) -> Trust | None:
    """The figures of an artifact; None of one from before there were any.

    Raises:
        IntegrityError: They are malformed, or of other classes and parts.
    """
    if TRUST not in artifact.manifest.files:
        return None
    path = artifact.path(TRUST)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot read it: {error.strerror}.") from error
    trust = parse_trust(content, str(path))
    try:
        trust.require_fits(artifact.manifest)
    except ValueError as error:
        raise IntegrityError(f"{path}: {error}. Export again.") from error
    return trust


Doubts = tuple[tuple[tuple[Doubt, ...], ...], ...]
"""Of each class, of each of its parts."""


def read_doubts(artifact: Artifact) -> Doubts:
    """What there is to doubt about each part of an artifact, by class and number.

    Raises:
        IntegrityError: The figures are malformed, or of other classes and parts.
    """
    return doubts_of(read_trust(artifact), artifact.manifest.classes)


def doubts_of(trust: Trust | None, classes: Sequence[ClassRecord]) -> Doubts:
    """What figures say of each part, by class and number; nothing where there are none.

    Args:
        trust: Figures of these classes.
        classes: All of them.
    """
    return tuple(
        tuple(
            () if trust is None else tuple(_doubts(trust, record, number))
            for number in range(len(record.prototypes))
        )
        for record in classes
    )


def doubted(manifest: Manifest, doubts: Doubts, index: int) -> int:
    """How many parts of a class there is something to doubt about, those muted for good aside."""
    return sum(
        bool(found) and (index, number) not in manifest.muted
        for number, found in enumerate(doubts[index])
    )


def _doubts(trust: Trust, record: ClassRecord, number: int) -> Iterator[Doubt]:
    """The doubts of one part; where held-out images tell, they do and not the training images."""
    training = trust.training.classes[record.index] if trust.training else ()
    held_out = trust.held_out.classes[record.index].parts if trust.held_out else ()
    steady = held_out[number].steady if held_out else None
    if steady is not None:
        yield from _steady(trust.limits, steady)
    elif training:
        yield from _looks(trust.limits, training[number])
    if held_out:
        part, live = held_out[number], sum(one.share is not None for one in held_out)
        yield from _same_place(trust, record, part)
        # Who knows where the object is need not ask for the border.
        if part.off_object is None:
            yield from _border(trust, part, "held-out images")
        yield from _counts(trust.limits, part, live)
    elif training:
        yield from _same_place(trust, record, training[number])
        yield from _border(trust, training[number], "training images")


def _looks(limits: TrustLimits, part: TrainingPartRecord) -> Iterator[Doubt]:
    if part.likeness is not None and part.likeness < limits.likeness:
        yield Doubt("mixed", "Its training images do not look alike.")
    elif part.halves is not None and part.halves < limits.halves:
        yield Doubt("unstable", "The two halves of its training images show different things.")


def _steady(limits: TrustLimits, steady: float) -> Iterator[Doubt]:
    if steady < limits.steady:
        share = _percent(steady)
        says = f"It looks at one thing in no more than {share} of the held-out images."
        yield Doubt("mixed", says)


def _same_place(trust: Trust, record: ClassRecord, part: PlaceRecord) -> Iterator[Doubt]:
    same = part.same_place
    if same is not None and same.overlap >= trust.limits.same_place:
        other = fixed_name(same.other, record.prototypes[same.other].name)
        yield Doubt("same_place", f"It looks at the same place as {other}.")


def _border(trust: Trust, part: PlaceRecord, images: str) -> Iterator[Doubt]:
    if part.border is None:
        return
    if _above(part.border, trust.border_chance) >= trust.limits.border:
        share = _percent(part.border)
        yield Doubt("border", f"It looks at the edge of the picture in {share} of the {images}.")


def _counts(limits: TrustLimits, part: HeldOutPartRecord, parts: int) -> Iterator[Doubt]:
    if part.off_object is not None and part.off_object >= limits.off_object:
        share = _percent(part.off_object)
        yield Doubt("off_object", f"It looks beside the object in {share} of the held-out images.")
    if part.share is not None and abs(part.share) * parts < limits.weak:
        share = _percent(abs(part.share))
        yield Doubt("weak", f"It hardly counts: {share} of the evidence in the held-out images.")


def _above(share: float, chance: float) -> float:
    """How far a share is above chance, of what is left above it; below where nothing is."""
    return (share - chance) / (1 - chance) if chance < 1 else -1.0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
