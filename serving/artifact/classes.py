"""The records of a class: how its head row was split, what shows it, and what people call it.

Symbols: c classes, k prototypes.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from serving.artifact.values import FileName, Record, Share


def words(label: str) -> str:
    """A label or a name for people: folder names write spaces as underscores."""
    return label.replace("_", " ")


def is_named(number: int, name: str) -> bool:
    """Whether somebody gave the part a name; "prototype 2" is what the export writes."""
    return name != f"prototype {number}"


def fixed_name(number: int, name: str) -> str:
    """What a part is called in every picture: its own name, or its number in the artifact."""
    return words(name) if is_named(number, name) else f"#{number}"


class SolveRecord(Record):
    """How one optimisation ended."""

    iterations: int
    objective: float
    converged: bool


class ContextRecord(Record):
    """The whole training image that a crop is of, made small, and where in it the crop is.

    ``box`` is (left, top, right, bottom) as fractions of its width and height.
    """

    file: FileName
    box: tuple[Share, Share, Share, Share]


class EvidenceRecord(Record):
    """One training crop that activates a prototype."""

    file: FileName
    image: str
    value: float
    box: tuple[int, int, int, int]
    # Only of an export that was asked to keep whole images.
    context: ContextRecord | None = Field(default=None, exclude_if=lambda context: context is None)

    @property
    def files(self) -> tuple[str, ...]:
        """The crop, and the whole image where it is kept."""
        return (self.file,) if self.context is None else (self.file, self.context.file)


class PrototypeRecord(Record):
    """One prototype of one class, with its evidence, best first.

    ``alike`` are the numbers of others of the class that show the same thing in another place.
    """

    name: str
    alike: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), exclude_if=lambda others: not others
    )
    evidence: tuple[EvidenceRecord, ...] = ()


class _Class(Record):
    """What both records of a class hold, in the order of the file.

    ``accuracy`` is the share of the class's own images that the model gives to it; ``placed`` the
    share of its evidence that has a place in them, None where the head adds nothing from no place.
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
    placed: float | None = Field(default=None, ge=0, le=1, exclude_if=lambda placed: placed is None)
    warnings: tuple[str, ...] = ()
    prototypes: tuple[PrototypeRecord, ...]

    @model_validator(mode="after")
    def _others_exist(self) -> Self:
        for number, prototype in enumerate(self.prototypes):
            others = set(range(len(self.prototypes))) - {number}
            if not others.issuperset(prototype.alike):
                raise ValueError(
                    f"class {self.index}: expected prototype {number} to be like others of "
                    f"{sorted(others)}, got {list(prototype.alike)}"
                )
        return self

    @property
    def distinct(self) -> int:
        """How many different things the prototypes show."""
        known: set[int] = set()
        things = 0
        for number in range(len(self.prototypes)):
            things += number not in known
            reached = {number}
            while reached:
                known |= reached
                reached = {i for n in reached for i in self.prototypes[n].alike} - known
        return things


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
