"""Table 1: which axioms the split of a head row meets.

Measured, not argued: the largest violation over classes and images, relative to the largest logit
(exporter/evaluate/metrics/sums/completeness.py). Arrays are float32, as they are served, so what is
met is met up to rounding, some 1e-6. Linearity in the heads takes the method, not its result: the
mixture of a class's head row and the next one's is decomposed and compared with that of the two.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.paper.classes import ClassRun, Plan
from benchmarks.paper.markdown import table
from benchmarks.paper.methods import TITLES, Doubles, Floats, initial, others, own, prototypes_of
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.metrics.sums.completeness import axioms, head_linearity
from exporter.evaluate.tables import DASH
from exporter.evaluate.trial.subject import Subject

SECTION = "table1"
_IMAGES = 4  # of each class; every position of each is tried alone
_AXIOMS = ("completeness", "sensitivity", "linearity", "symmetry", "linearity in the heads")
_METHODS = ("initial", "naive", "even", "paper", OURS)
_Split = Callable[[Floats], Floats]


class Table1:
    """The axioms.

    Args:
        subject: The artifact.
        plan: What is run.
    """

    def __init__(self, subject: Subject, plan: Plan) -> None:
        self._subject, self._plan = subject, plan
        self._worst: dict[str, dict[str, float]] = {}

    def add(self, one: ClassRun) -> None:
        """Measure one class."""
        features = one.trial.maps[:_IMAGES]
        for k in self._plan.counts:
            split = one.split(k, 0)
            self._measure("initial", features, one.row, split.start.scaled)
            for name, method in split.methods.items():
                if method.row is not None:
                    self._measure(name, features, method.row, prototypes_of(method))
        self._mix(one, features)

    def finish(self) -> tuple[str, dict[str, bytes]]:
        """The table; there is no figure."""
        rows = [
            [TITLES[name], *(_cell(self._worst[name].get(axiom)) for axiom in _AXIOMS)]
            for name in _METHODS
            if name in self._worst
        ]
        counts = ", ".join(str(k) for k in self._plan.counts)
        note = (
            f"Largest violation over the classes and k = {counts}, over the largest logit. The "
            f"axioms are linear in the features but for the last, measured at k = "
            f"{self._plan.counts[0]}."
        )
        return f"{note}\n\n{table(['method', *_AXIOMS], rows)}", {}

    def _measure(self, name: str, features: Floats, row: Doubles, prototypes: Doubles) -> None:
        found = axioms(features, row, prototypes.astype(np.float32))
        if found is not None:
            self._note(name, {axiom: getattr(found, axiom) for axiom in _AXIOMS[:4]})

    def _mix(self, one: ClassRun, features: Floats) -> None:
        """Linearity in the heads; of the paper's solver on the first class only, it is slow."""
        k, weight = self._plan.counts[0], self._subject.head.weight
        rows = [one.row, weight[(one.trial.index + 1) % len(weight)].astype(np.float64)]
        names = ["initial", "naive", "even"]
        if one.number == 0 and "paper" in one.split(k, 0).methods:
            names.append("paper")
        for name in names:
            self._note_mixture(name, features, rows, _splitter(name, one.training, k))
        less = [row - self._subject.reference for row in rows]
        self._note_mixture(OURS, features, less, self._own_splitter(one.training, k))

    def _note_mixture(
        self, name: str, features: Floats, rows: list[Doubles], split: _Split
    ) -> None:
        found = head_linearity(features, rows[0], rows[1], split)
        if found is not None:
            self._note(name, {_AXIOMS[4]: found})

    def _own_splitter(self, training: Floats, k: int) -> _Split:
        def split(row: Floats) -> Floats:
            found = own(self._subject, training, row.astype(np.float64), k, 0)
            return _single(prototypes_of(found))

        return split

    def _note(self, name: str, found: dict[str, float]) -> None:
        worst = self._worst.setdefault(name, {})
        for axiom, value in found.items():
            worst[axiom] = max(worst.get(axiom, 0.0), value)


def _splitter(name: str, training: Floats, k: int) -> _Split:
    def split(row: Floats) -> Floats:
        found = others(row.astype(np.float64), training, k, 0, with_paper=name == "paper")
        if name == "initial":
            return _single(initial(prototypes_of(found["nmf"]), row.astype(np.float64)).scaled)
        return _single(prototypes_of(found[name]))

    return split


def _single(prototypes: Doubles) -> Floats:
    return prototypes.astype(np.float32)


def _cell(value: float | None) -> str:
    return DASH if value is None else f"{value:.1e}"
