"""Figure 7: mistakes that muting one prototype corrects, and what it does to all other images.

Muting prototype i of class a takes its contribution from the logit of a on every image. Every
prototype of every class with prototypes is tried on the whole held-out set; no network runs.

Choosing a prototype by the images it is then counted on flatters it. So the best one is also chosen
on every other image and counted on the rest, and the other way round.

Symbols: n images, c classes, t classes with prototypes, k prototypes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.paper import draw
from benchmarks.paper.classes import ClassRun, Plan
from benchmarks.paper.markdown import table
from benchmarks.paper.methods import TITLES, Doubles, Floats, prototypes_of
from exporter.editing.effect import best_when_muted
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.figures import shade, to_svg
from exporter.evaluate.tables import DASH, number
from exporter.evaluate.trial.subject import Subject
from serving.drawing.palette import SOFT, prototype_colour

SECTION = "figure7"
_METHODS = ("naive", "even", OURS)
_SHOWN = 5  # prototypes listed
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Muting:
    """What muting each prototype does, on its own.

    Attributes:
        mistakes: (n,), images whose best class is wrong before.
        corrected: (n, t, k), wrong before and right after.
        broken: (n, t, k), right before and wrong after.
        moved: (n, t, k), wrong before, and wrong after in another way.
        predicted: (n, t), the class is the best one before.
    """

    mistakes: NDArray[np.bool_]
    corrected: NDArray[np.bool_]
    broken: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    predicted: NDArray[np.bool_]

    def gains(self, images: slice) -> Ids:
        """(t, k), corrected less broken of some of the images."""
        gain = self.corrected[images].sum(axis=0) - self.broken[images].sum(axis=0)
        return np.asarray(gain, dtype=np.int64)

    def correctable(self) -> int:
        """Mistakes that some prototype corrects."""
        return int(self.corrected.any(axis=(1, 2)).sum())

    def by_predicted(self) -> int:
        """Those that a prototype of the class which was wrongly predicted corrects."""
        return int((self.corrected & self.predicted[:, :, None]).any(axis=(1, 2)).sum())

    def free(self) -> int:
        """Mistakes that some prototype corrects which breaks no other image."""
        harmless = ~self.broken.any(axis=0)  # (t, k)
        return int((self.corrected & harmless).any(axis=(1, 2)).sum())

    def best(self) -> list[tuple[int, int]]:
        """The prototypes that correct anything, largest gain first, then fewest broken."""
        gains, broken = self.gains(slice(None)), self.broken.sum(axis=0)
        found = np.argwhere(self.corrected.any(axis=0))
        order = sorted((-gains[t, i], broken[t, i], t, i) for t, i in found)
        return [(int(t), int(i)) for *_, t, i in order]

    def on_other_half(self) -> tuple[int, int]:
        """Of the best prototype chosen on each half: its gain there, and on the other half.

        A half in which no prototype gains mutes none.
        """
        chosen = held_out = 0
        halves = (slice(0, None, 2), slice(1, None, 2))
        for half, other in (halves, halves[::-1]):
            gains = self.gains(half)
            if gains.max(initial=0) > 0:
                place = np.unravel_index(gains.argmax(), gains.shape)
                chosen += int(gains[place])
                held_out += int(self.gains(other)[place])
        return chosen, held_out


def mute_each(labels: Ids, logits: Floats, contributions: Floats, classes: Ids) -> Muting:
    """Mute every prototype on its own.

    Args:
        labels: (n,), the right class.
        logits: (n, c).
        contributions: (n, t, k), logit units.
        classes: (t,), the classes that the contributions are of.
    """
    before = logits.argmax(axis=1)
    after = best_when_muted(logits, contributions, np.tile(classes, (len(logits), 1)))
    wrong = before != labels
    right_after = after == labels[:, None, None]
    changed = after != before[:, None, None]
    each = wrong[:, None, None]
    return Muting(
        mistakes=wrong,
        corrected=each & right_after,
        broken=~each & changed,
        moved=each & changed & ~right_after,
        predicted=np.equal(classes, before[:, None]),
    )


class Figure7:
    """The search.

    Args:
        subject: The artifact.
        plan: What is run.
    """

    def __init__(self, subject: Subject, plan: Plan) -> None:
        del subject
        self._plan = plan
        self._classes: list[int] = []
        self._names: list[str] = []
        self._labels: list[int] = []
        self._pooled: list[Floats] = []
        self._logits: list[Floats] = []
        self._prototypes: dict[tuple[int, str], list[Doubles]] = {}

    def add(self, one: ClassRun) -> None:
        """Keep the prototypes of one class, and its images' pooled features."""
        for k in self._plan.counts:
            for name in _METHODS:
                prototypes = prototypes_of(one.split(k, 0).methods[name])
                self._prototypes.setdefault((k, name), []).append(prototypes)
        self._classes.append(one.trial.index)
        self._names.append(one.trial.label)
        self._labels += [one.trial.index] * len(one.trial.maps)
        self._pooled.append(one.trial.maps.mean(axis=1))
        self._logits.append(one.trial.logits)

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """The tables, and the figure where there is a mistake that can be corrected."""
        rows = [self._row(k, name) for k in self._plan.counts for name in _METHODS]
        head = [
            "k",
            "method",
            "mistakes corrected by muting one prototype",
            "by one of the class predicted",
            "by one that breaks nothing",
            "images that a correcting one breaks, mean",
            "best gain",
            "chosen on one half → counted on the other",
        ]
        muting = self._mute(self._plan.counts[0], OURS)
        total, wrong = len(self._labels), int(muting.mistakes.sum())
        known = int((muting.mistakes & muting.predicted.any(axis=1)).sum())
        note = (
            f"{wrong} of {total} held-out images are mistakes, {known} of them for a class with "
            f"prototypes. Gain: images corrected less images broken, of all {total}."
        )
        if not wrong:
            return note, {}
        text = f"{note}\n\n{table(head, rows)}"
        best = muting.best()
        if not best:
            return text, {}
        text += (
            f"\n\nThe best to mute of ours at k = {self._plan.counts[0]}, at most {_SHOWN}:\n\n"
            f"{self._list(muting, best[:_SHOWN])}"
        )
        return text, {"": self._draw(muting, best[0])}

    def _row(self, k: int, name: str) -> list[str]:
        muting = self._mute(k, name)
        chosen, held_out = muting.on_other_half()
        return [
            str(k),
            TITLES[name],
            str(muting.correctable()),
            str(muting.by_predicted()),
            str(muting.free()),
            _mean_broken(muting, muting.best()),
            str(muting.gains(slice(None)).max(initial=0)),
            f"{chosen} → {held_out}",
        ]

    def _mute(self, k: int, name: str) -> Muting:
        return mute_each(
            np.array(self._labels, dtype=np.int64),
            np.concatenate(self._logits),
            self._contributions(k, name),
            np.array(self._classes, dtype=np.int64),
        )

    def _contributions(self, k: int, name: str) -> Floats:
        """(n, t, k)."""
        prototypes = np.array(self._prototypes[k, name], dtype=np.float32)  # (t, k, d)
        pooled = np.concatenate(self._pooled)
        found = pooled @ prototypes.reshape(-1, prototypes.shape[2]).T
        return found.reshape(len(pooled), *prototypes.shape[:2])

    def _list(self, muting: Muting, places: list[tuple[int, int]]) -> str:
        total = len(self._labels)
        right = total - int(muting.mistakes.sum())
        rows = []
        for t, i in places:
            corrected, broken, moved = (
                int(found[:, t, i].sum())
                for found in (muting.corrected, muting.broken, muting.moved)
            )
            after = number((right + corrected - broken) / total)
            rows.append(
                [
                    f"{self._names[t]}:{i}",
                    str(corrected),
                    str(broken),
                    str(moved),
                    str(total - corrected - broken - moved),
                    f"{number(right / total)} → {after}",
                ]
            )
        head = ["muted", "corrected", "broken", "wrong in another way", "unchanged", "accuracy"]
        return table(head, rows)

    def _draw(self, muting: Muting, place: tuple[int, int]) -> bytes:
        """A mistake in logits, and what every prototype does when it is muted."""
        k = self._plan.counts[0]
        contributions = self._contributions(k, OURS)
        image = int(muting.corrected[:, place[0], place[1]].argmax())
        with draw.style():
            canvas, panels = draw.panels(2, 2)
            self._draw_mistake(panels[0], contributions[image], image, place)
            corrected, broken = muting.corrected.sum(axis=0), muting.broken.sum(axis=0)
            points, often = np.unique(
                np.stack([broken.ravel(), corrected.ravel()]), axis=1, return_counts=True
            )
            panels[1].scatter(
                points[0],
                points[1],
                s=8 + 4 * np.sqrt(often),
                color=draw.method_colour(OURS),
                alpha=0.7,
                linewidth=0,
            )
            limit = float(max(points.max(initial=1), 1))
            panels[1].plot([0, limit], [0, limit], color=shade(SOFT), linewidth=0.8)
            for axis in (panels[1].xaxis, panels[1].yaxis):
                axis.set_major_locator(MaxNLocator(integer=True))
            panels[1].set_ylabel("images corrected", color=shade(SOFT))
            draw.finish(
                panels[1], f"each of {broken.size} prototypes, muted on its own", "images broken"
            )
            return to_svg(canvas)

    def _draw_mistake(
        self, panel: Axes, contributions: Floats, image: int, place: tuple[int, int]
    ) -> None:
        """The contributions to the logits of the right and of the predicted class, (t, k)."""
        logits = np.concatenate(self._logits)[image]
        right, predicted = self._labels[image], int(logits.argmax())
        for side, index in enumerate((right, predicted)):
            if index not in self._classes:
                continue
            row = self._classes.index(index)
            for i, value in enumerate(contributions[row]):
                colour = shade(prototype_colour(i))
                muted = (row, i) == place
                panel.barh(
                    side + 0.3 - 0.6 * i / len(contributions[row]),
                    value,
                    height=0.5 / len(contributions[row]),
                    color="none" if muted else colour,
                    edgecolor=colour,
                    hatch="////" if muted else None,
                )
        panel.axvline(0, color=shade(SOFT), linewidth=0.8)
        panel.set_yticks([0.1, 1.1], [self._title(right, "right"), self._title(predicted, "best")])
        panel.set_ylim(-0.4, 1.6)
        draw.finish(panel, "a mistake; hatched: muted", "contributions, logit units")

    def _title(self, index: int, role: str) -> str:
        known = index in self._classes
        name = self._names[self._classes.index(index)] if known else f"class {index}"
        return f"{name}\n{role}"


def _mean_broken(muting: Muting, places: list[tuple[int, int]]) -> str:
    if not places:
        return DASH
    broken = muting.broken.sum(axis=0)
    return f"{np.mean([broken[place] for place in places]):.1f}"
