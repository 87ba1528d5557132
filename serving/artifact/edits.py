"""The records of edits: decisions about prototypes, and what they do to a data set.

docs/format.md, "Edits". Every class is named by its position in the logits.
"""

from __future__ import annotations

from collections import Counter

from pydantic import Field, model_validator

from serving.artifact.values import Count, Record, Sha256, Share

_ROUNDING = 1e-9  # of a share, which is one division of two counts


class PrototypeKey(Record):
    """A prototype, by its class and its number there."""

    class_index: Count
    prototype: Count


class RenamedRecord(PrototypeKey):
    """A prototype that an edit gave another name."""

    before: str
    after: str


class ChangeRecord(Record):
    """An image whose best class an edit changed; classes by index, ``image`` as in evidence."""

    image: str
    label: Count
    before: Count
    after: Count


class ClassEffectRecord(Record):
    """What an edit did to one class: its own images, and the images given to it.

    ``recognised`` counts images of the class whose best class it is, ``predicted`` images of any
    class.
    """

    class_index: Count
    images: Count
    recognised_before: Count
    recognised_after: Count
    predicted_before: Count
    predicted_after: Count

    def require_after(self, *, recognised: int, predicted: int) -> None:
        """Refuse other numbers after the edit than these."""
        if (self.recognised_after, self.predicted_after) != (recognised, predicted):
            raise ValueError(
                f"class {self.class_index}: expected {recognised} recognised and {predicted} "
                f"predicted after, got {self.recognised_after} and {self.predicted_after}"
            )

    def require_within(self, images: int) -> None:
        """Refuse more images than there are in all."""
        for recognised, predicted in (
            (self.recognised_before, self.predicted_before),
            (self.recognised_after, self.predicted_after),
        ):
            own_or_predicted = self.images + predicted - recognised
            if recognised > min(self.images, predicted) or own_or_predicted > images:
                raise ValueError(
                    f"class {self.class_index}: {recognised} recognised and {predicted} predicted "
                    f"do not fit {self.images} images of {images}"
                )


class EffectRecord(Record):
    """What an edit does to a data set, parent and edited model compared image by image.

    ``data`` is the folder's name and ``sha256`` that of its images, names and bytes. ``corrected``
    counts images whose best class became right, ``broken`` those where it became wrong;
    ``classes`` are those with a prototype that the edit muted.
    """

    data: str
    sha256: Sha256
    images: int = Field(ge=1)
    skipped: Count
    accuracy_before: Share
    accuracy_after: Share
    corrected: Count
    broken: Count
    changes: tuple[ChangeRecord, ...]
    classes: tuple[ClassEffectRecord, ...]

    @model_validator(mode="after")
    def _consistent(self) -> EffectRecord:
        """Refuse numbers that the changes, or each other, contradict."""
        for image, count in Counter(change.image for change in self.changes).most_common(1):
            if count > 1:
                raise ValueError(f"expected one change of an image, got {count} of {image!r}")
        for change in self.changes:
            if change.before == change.after:
                raise ValueError(f"expected a change of the best class, got {change.after} twice")
        gained = Counter(c.label for c in self.changes if c.after == c.label)
        lost = Counter(c.label for c in self.changes if c.before == c.label)
        if (self.corrected, self.broken) != (gained.total(), lost.total()):
            raise ValueError(
                f"the changes correct {gained.total()} and break {lost.total()} images, "
                f"got {self.corrected} and {self.broken}"
            )
        self._require_accuracies()
        before = Counter(change.before for change in self.changes)
        after = Counter(change.after for change in self.changes)
        for found in self.classes:
            index = found.class_index
            found.require_after(
                recognised=found.recognised_before + gained[index] - lost[index],
                predicted=found.predicted_before + after[index] - before[index],
            )
            found.require_within(self.images)
        return self

    def _require_accuracies(self) -> None:
        before, after = self._right(self.accuracy_before), self._right(self.accuracy_after)
        # What the changes did not break was wrong before.
        if self.broken > before or len(self.changes) - self.broken > self.images - before:
            raise ValueError(
                f"{len(self.changes)} changes that break {self.broken} do not fit {before} of "
                f"{self.images} images right before"
            )
        if after - before != self.corrected - self.broken:
            raise ValueError(
                f"expected an accuracy that grows by {self.corrected - self.broken} of "
                f"{self.images} images, got {self.accuracy_before} and {self.accuracy_after}"
            )

    def _right(self, accuracy: float) -> int:
        """How many images an accuracy is."""
        right = round(accuracy * self.images)
        if abs(accuracy - right / self.images) > _ROUNDING:
            raise ValueError(f"expected a share of {self.images} images, got {accuracy}")
        return right


class EditRecord(Record):
    """A decision about prototypes, baked into the artifact.

    ``parent`` is the sha256 of the manifest of the artifact that was edited; ``effect`` is null
    where no data set was given; ``trust`` the sha256 of the ``trust.json`` that the edit put in.
    """

    parent: Sha256
    reason: str = Field(min_length=1)
    muted: tuple[PrototypeKey, ...] = ()
    renamed: tuple[RenamedRecord, ...] = ()
    effect: EffectRecord | None = None
    trust: Sha256 | None = Field(default=None, exclude_if=lambda trust: trust is None)

    @model_validator(mode="after")
    def _consistent(self) -> EditRecord:
        found = tuple(entry.class_index for entry in self.effect.classes) if self.effect else None
        if found not in (None, self.touched):
            raise ValueError(f"expected the effect on the classes {self.touched}, got {found}")
        return self

    @property
    def touched(self) -> tuple[int, ...]:
        """The classes with a prototype that this edit muted."""
        return tuple(sorted({key.class_index for key in self.muted}))
