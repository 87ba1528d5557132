"""What changed on images: which class is best, and how much each part contributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.comparing.observe import Observed, Seen
from exporter.comparing.record import ClassChange, PartChange, Prediction, Shift, Shifts
from exporter.verification.gates import COMPLETENESS
from serving.artifact.classes import fixed_name

_DECIMALS = 6
"""Of what is recorded; float32 knows no more of a contribution."""


def measure_shifts(observed: Observed, classes: Sequence[ClassChange]) -> Shifts:
    """What changed on images.

    Args:
        observed: Both artifacts on them.
        classes: Every class of both, changed or not, with its parts.
    """
    shifts = [shift for change in classes for shift in _shifts(observed, change)]
    changed = [_prediction(seen, classes) for seen in observed.images if _differs(seen)]
    return Shifts(
        data=observed.data,
        images=len(observed.images),
        skipped=observed.skipped,
        corrected=sum(found.new == found.label for found in changed),
        broken=sum(found.old == found.label for found in changed),
        predictions=tuple(changed),
        # The sort is stable: of equal shifts the first class comes first.
        parts=tuple(sorted(shifts, key=lambda shift: -abs(shift.largest))),
    )


def _differs(seen: Seen) -> bool:
    # One pair of classes where both say the same one, whatever its label in each.
    return len(seen.classes) > 1


def _prediction(seen: Seen, classes: Sequence[ClassChange]) -> Prediction:
    folder = seen.image.partition("/")[0]
    (old, old_probability), (new, new_probability) = seen.best
    return Prediction(
        image=seen.image,
        label=folder if folder in {change.label for change in classes} else None,
        old=old,
        old_probability=round(old_probability, _DECIMALS),
        new=new,
        new_probability=round(new_probability, _DECIMALS),
    )


def _shifts(observed: Observed, change: ClassChange) -> Iterator[Shift]:
    """Of each part of a class that shifted by more than float32 sums may be off."""
    found = observed.of_class((change.old, change.new))
    images = [image for image, _ in found]
    for part in change.parts if found else ():
        values = [
            tuple(
                0.0 if side is None else float(looked.contributions[side.number])
                for side, looked in zip((part.old, part.new), both, strict=True)
            )
            for _, both in found
        ]
        shift = _shift(change.label, part, images, values)
        if abs(shift.largest) > COMPLETENESS * max(abs(shift.old_mean), abs(shift.new_mean)):
            yield shift


def _shift(
    label: str, part: PartChange, images: Sequence[str], values: Sequence[tuple[float, ...]]
) -> Shift:
    known = part.new or part.old
    changes = [after - before for before, after in values]
    largest = max(range(len(changes)), key=lambda n: abs(changes[n]))
    before, after = (round(sum(side) / len(side), _DECIMALS) for side in zip(*values, strict=True))
    return Shift(
        label=label,
        old=None if part.old is None else part.old.number,
        new=None if part.new is None else part.new.number,
        name="" if known is None else fixed_name(known.number, known.name),
        images=len(images),
        old_mean=before,
        new_mean=after,
        largest=round(changes[largest], _DECIMALS),
        image=images[largest],
    )
