"""Answers, and the one sentence that is said of each in Python and on the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from serving.model.explanation import ClassExplanation, Explanation, PrototypeExplanation, Score

Parts = list[tuple[str, float]]
NAMED: Parts = [("face", 1.8), ("dark_body", 4.0), ("bill", 2.0)]
UNNAMED: Parts = [("prototype 0", 1.8), ("prototype 1", 4.0), ("prototype 2", 2.0)]
MIXED: Parts = [("face", 1.8), ("bill", 4.0), ("prototype 2", 2.0)]


@dataclass(frozen=True)
class Answer:
    """What is known of an answer, and what is said of it."""

    said: str
    probabilities: tuple[float, ...]
    parts: Parts
    activation: str = "softmax"
    unplaced: float = 0.0
    whole: bool = False

    @property
    def scores(self) -> tuple[Score, ...]:
        labels = ("Horned_Puffin", "Painted_Bunting", "Owl")
        return tuple(
            Score(i, labels[i], probability) for i, probability in enumerate(self.probabilities)
        )

    @property
    def explained(self) -> ClassExplanation:
        prototypes = tuple(
            PrototypeExplanation(i, name, value, np.zeros((1, 1), np.float32), ())
            for i, (name, value) in enumerate(self.parts)
        )
        total = sum(value for _, value in self.parts) + self.unplaced
        best = self.scores[0]
        return ClassExplanation(
            0, best.label, total, best.probability, 0.0, 0.0, self.unplaced, 0.0, self.whole,
            prototypes,
        )  # fmt: skip

    @property
    def explanation(self) -> Explanation:
        view = Image.new("RGB", (8, 8))
        return Explanation(view, (self.explained,), self.scores[:2], self.activation)


SURE = (0.978, 0.02)
CLOSE = (0.482, 0.41)
ANSWERS = {
    "named": Answer(
        "It says Horned Puffin (97.8 %), mostly for the dark body (1), bill (2) and face (3).",
        SURE,
        NAMED,
    ),
    "unnamed": Answer(
        "It says Horned Puffin (97.8 %), mostly for parts 1, 2 and 3.", SURE, UNNAMED
    ),
    "mixed": Answer(
        "It says Horned Puffin (97.8 %), mostly for the bill (1), part 2 and face (3).", SURE, MIXED
    ),
    "only the later is named": Answer(
        "It says Horned Puffin (97.8 %), mostly for part 1 and the bill (2).",
        SURE,
        [("prototype 0", 2.0), ("bill", 1.5)],
    ),
    "one is enough": Answer(
        "It says Horned Puffin (97.8 %), mostly for the bill (1).",
        SURE,
        [("bill", 8.5), ("face", 1.5), ("wing", -3.0)],
    ),
    "one without a name": Answer(
        "It says Horned Puffin (97.8 %), mostly for part 1.", SURE, [("prototype 0", 1.0)]
    ),
    "three at most": Answer(
        "It says Horned Puffin (97.8 %), mostly for parts 1, 2 and 3.",
        SURE,
        [(f"prototype {i}", 1.0) for i in range(10)],
    ),
    "a rival": Answer(
        "It is not sure: Horned Puffin (48.2 %), also Painted Bunting (41.0 %). Horned Puffin "
        "mostly for the bill (1) and face (2).",
        CLOSE,
        [("face", 1.0), ("bill", 2.0)],
    ),
    "a rival from one half on": Answer(
        "It is not sure: Horned Puffin (62.0 %), also Painted Bunting (31.0 %). Horned Puffin "
        "mostly for part 1.",
        (0.62, 0.31),
        [("prototype 0", 1.0)],
    ),
    "no rival": Answer(
        "It is not sure: Horned Puffin (31.0 %). Mostly for the bill (1).",
        (0.31, 0.1, 0.1),
        [("bill", 1.0)],
    ),
    "labels do not compete": Answer(
        "It says Horned Puffin (97.8 %), mostly for part 1.",
        (0.978, 0.95),
        [("prototype 0", 1.0)],
        activation="sigmoid",
    ),
    "a label that is not there": Answer(
        "It is not sure: Horned Puffin (48.2 %). Mostly for part 1.",
        CLOSE,
        [("prototype 0", 1.0)],
        activation="sigmoid",
    ),
    "nothing speaks": Answer(
        "It says Horned Puffin (97.8 %), though no part speaks for it.", SURE, [("bill", -1.0)]
    ),
    "nothing speaks, unsure": Answer(
        "It is not sure: Horned Puffin (31.0 %). Though no part speaks for it.",
        (0.31, 0.1),
        [("bill", -1.0)],
    ),
    "whole": Answer(
        "It says Horned Puffin (> 99.9 %). This class is not split into parts.",
        (0.99999, 0.00001),
        [("prototype 0", 3.0)],
        whole=True,
    ),
    "whole, unsure": Answer(
        "It is not sure: Horned Puffin (48.2 %), also Painted Bunting (41.0 %). This class is not "
        "split into parts.",
        CLOSE,
        [("prototype 0", 3.0)],
        whole=True,
    ),
    "from no place": Answer(
        "It says Horned Puffin (97.8 %), mostly from no place in the picture.",
        SURE,
        NAMED,
        unplaced=9.0,
    ),
    "the only class": Answer(
        "It says Horned Puffin (100.0 %), mostly for part 1.", (1.0,), [("prototype 0", 1.0)]
    ),
}
