"""Table 4: the accuracy of the prototypes before and after refinement.

Initial prototypes are those of NMF, scaled: the logit of a class is alpha @ P . x + b with x the
pooled features. Refined ones sum to the head row, so nothing may change. Only classes with training
images have prototypes, so the best class is looked for among these.

Symbols: n images, c classes, d channels, k prototypes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.classes import ClassRun, Plan
from benchmarks.paper.markdown import difference, spread, table
from benchmarks.paper.methods import TITLES, Doubles, Floats, prototypes_of
from exporter.evaluate.arithmetic.statistics import over_seeds, paired_difference
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.tables import DASH, number
from exporter.evaluate.trial.subject import Subject

SECTION = "table4"
INITIAL, LESS_MEAN = "initial", "less_mean"
_REFINED = ("naive", "even", "paper", OURS)
_TITLES = {
    **TITLES,
    INITIAL: "initial prototypes (NMF, scaled)",
    LESS_MEAN: "the same of the head rows less the reference",
    **{name: f"refined: {TITLES[name]}" for name in _REFINED},
}


def best_classes(pooled: Doubles, rows: Doubles, bias: Doubles) -> NDArray[np.intp]:
    """The class of the largest logit.

    Args:
        pooled: (n, d).
        rows: (c, d), for instance the sums of the prototypes of each class.
        bias: (c,).

    Returns:
        (n,).
    """
    return np.asarray((pooled @ rows.T + bias).argmax(axis=1))


class Table4:
    """The accuracy.

    Args:
        subject: The artifact.
        plan: What is run.
    """

    def __init__(self, subject: Subject, plan: Plan) -> None:
        self._subject, self._plan = subject, plan
        self._rows: dict[tuple[int, int, str], list[Doubles]] = {}
        self._classes: list[int] = []
        self._pooled: list[Floats] = []
        self._logits: list[Floats] = []
        self._labels: list[int] = []  # position in self._classes, of each image

    def add(self, one: ClassRun) -> None:
        """Keep the sums of the prototypes of one class, and its images' pooled features."""
        reference = self._subject.reference
        for split in one.splits:
            rows = {
                INITIAL: split.start.scaled.sum(axis=0),
                LESS_MEAN: split.start_less_mean.scaled.sum(axis=0) + reference,
            }
            for name in _REFINED:
                method = split.methods.get(name)
                if method is not None:
                    total = prototypes_of(method).sum(axis=0)
                    rows[name] = total + reference if name == OURS else total
            for name, row in rows.items():
                self._rows.setdefault((split.k, split.seed, name), []).append(row)
        self._labels += [len(self._classes)] * len(one.trial.maps)
        self._classes.append(one.trial.index)
        self._pooled.append(one.trial.maps.mean(axis=1))
        self._logits.append(one.trial.logits)

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """The tables; there is no figure."""
        own = self._own_best()
        names = [n for n in (INITIAL, LESS_MEAN, *_REFINED) if self._complete(n)]
        counts = [f"k = {k}" for k in self._plan.counts]
        every = np.concatenate(self._logits).argmax(axis=1)
        right = float((every == np.array(self._classes)[self._labels]).mean())
        note = (
            f"Share of the {len(self._labels)} held-out images whose best class, among the "
            f"{len(self._classes)} with prototypes, is right; mean ± deviation over "
            f"{self._plan.seeds} seeds. Among all {len(self._subject.head.weight)} classes the "
            f"classifier itself reaches {number(right)}."
        )
        accuracy = number(float((own == self._labels).mean()))
        rows = [["the classifier itself", *[accuracy] * len(counts)]]
        rows += [[_TITLES[n], *(self._accuracy(n, k) for k in self._plan.counts)] for n in names]
        apart = [[_TITLES[n], *(self._lost(n, k) for k in self._plan.counts)] for n in names]
        return (
            f"{note}\n\n{table(['accuracy', *counts], rows)}\n\nOurs minus the initial "
            "prototypes, accuracy of each class, with its 95 % interval; and images (mean over "
            "seeds) whose best class is not the classifier's:\n\n"
            f"{table(['ours minus', *counts], self._differences(names))}\n\n"
            f"{table(['images that change', *counts], apart)}"
        ), {}

    def _complete(self, name: str) -> bool:
        """Whether every class has it, at one k at least: the paper's solver may have run on few."""
        return any(self._known(name, k) for k in self._plan.counts)

    def _known(self, name: str, k: int) -> bool:
        return len(self._rows.get((k, 0, name), [])) == len(self._classes)

    def _own_best(self) -> NDArray[np.intp]:
        return np.asarray(np.concatenate(self._logits)[:, self._classes].argmax(axis=1))

    def _best(self, name: str, k: int) -> list[NDArray[np.intp]]:
        """The best class of every image, for each seed."""
        pooled = np.concatenate(self._pooled).astype(np.float64)
        bias = self._subject.head.bias[self._classes].astype(np.float64)
        return [
            best_classes(pooled, np.array(self._rows[k, seed, name]), bias)
            for seed in range(self._plan.seeds)
        ]

    def _accuracy(self, name: str, k: int) -> str:
        if not self._known(name, k):
            return DASH
        right = [float((best == self._labels).mean()) for best in self._best(name, k)]
        return spread(over_seeds(right))

    def _lost(self, name: str, k: int) -> str:
        if not self._known(name, k):
            return DASH
        own = self._own_best()
        changed = np.mean([(best != own).sum() for best in self._best(name, k)])
        return f"{changed:.1f}".removesuffix(".0")

    def _differences(self, names: list[str]) -> list[list[str]]:
        starts = [name for name in names if name in (INITIAL, LESS_MEAN)]
        return [
            [
                _TITLES[name],
                *(
                    difference(
                        paired_difference(self._of_classes(OURS, k), self._of_classes(name, k))
                    )
                    for k in self._plan.counts
                ),
            ]
            for name in starts
        ]

    def _of_classes(self, name: str, k: int) -> Doubles:
        """The accuracy of each class, mean over seeds, (c,)."""
        labels = np.array(self._labels)
        right = np.mean([best == labels for best in self._best(name, k)], axis=0)
        return np.array([right[labels == c].mean() for c in range(len(self._classes))])
