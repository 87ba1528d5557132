"""Cases made by hand: a class with a grid of four cells, whose features are what a test writes."""

from types import SimpleNamespace

import numpy as np
import pytest

from exporter.evaluate.baselines.methods import Method
from exporter.evaluate.trial.case import Case
from exporter.evaluate.trial.run import Trial, Truth

SIZE = (224, 224)
GRID = (2, 2)
CELL = 112


def picture(value=0.0):
    """A picture of one colour, as far as a trial reads it."""
    return SimpleNamespace(tensor=np.full((3, 8, 8), value, np.float32))


@pytest.fixture
def subject():
    """An artifact of two classes and two channels, as far as a metric reads it."""
    return SimpleNamespace(
        head=SimpleNamespace(
            weight=np.array([[1.0, 2.0], [0.0, -1.0]], np.float32),
            bias=np.array([0.5, 0.0]),
            chain=None,
        ),
        reference=np.array([10.0, 0.0], np.float32),
        by_softmax=True,
    )


@pytest.fixture
def trial():
    """Three pictures of class 0; channel 0 is bright at the top left, channel 1 wanders."""
    maps = np.zeros((3, 4, 2), np.float32)
    maps[:, 0, 0] = 4
    maps[np.arange(3), np.arange(3), 1] = 8
    return Trial(
        index=0,
        label="a",
        size=SIZE,
        grid=GRID,
        pictures=tuple(picture(number) for number in range(3)),
        maps=maps,
        logits=np.array([[5.5, 0.0]] * 3, np.float32),
        unplaced=np.zeros(3),
        noisy=(maps, maps[:, ::-1]),
        mirrored=maps.reshape(3, 2, 2, 2)[:, :, ::-1].reshape(3, 4, 2),
        shifted=maps,
        points=None,
        truth=None,
    )


@pytest.fixture
def truth():
    """Part 0 is the top left cell, part 1 the bottom right; picture 1 was not drawn without it."""
    masks = np.zeros((3, 2, *SIZE), bool)
    masks[:, 0, :CELL, :CELL] = masks[:, 1, CELL:, CELL:] = True
    return Truth(
        masks=masks,
        foreground=masks.any(axis=1),
        removed=np.array([[0, 0], [0, 1], [1, 0], [2, 0], [2, 1]]),
        removed_maps=np.zeros((5, 4, 2), np.float32),
        removed_logits=np.arange(10, dtype=np.float32).reshape(5, 2),
        moved=np.array([0, 2, 2]),
        moved_maps=np.ones((3, 4, 2), np.float32),
    )


@pytest.fixture
def method():
    """A prototype for each channel, together the head row."""
    prototypes = np.array([[1.0, 0.0], [0.0, 2.0]])
    return Method("naive", prototypes, 2, prototypes.sum(axis=0))


@pytest.fixture
def case(trial, method, subject):
    """That method on that trial, without annotations, truth or further runs."""
    return Case(trial, method, subject)
