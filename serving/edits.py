"""The records of edits: decisions about prototypes, and what they do to a data set.

docs/format.md, "Edits". Every class is named by its position in the logits.
"""

from __future__ import annotations

from pydantic import Field

from serving.record import Count, Record, Sha256, Share


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


class EditRecord(Record):
    """A decision about prototypes, baked into the artifact.

    ``parent`` is the sha256 of the manifest of the artifact that was edited; ``effect`` is null
    where no data set was given.
    """

    parent: Sha256
    reason: str = Field(min_length=1)
    muted: tuple[PrototypeKey, ...] = ()
    renamed: tuple[RenamedRecord, ...] = ()
    effect: EffectRecord | None = None
