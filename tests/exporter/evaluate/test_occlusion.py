"""Occlusion: what is lost with the place that a prototype points at, by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.metrics.pointing.occlusion import hottest, losses
from exporter.evaluate.trial.case import Case
from exporter.evaluate.trial.runs import Probe, Runs


def test_the_hottest_cells_are_a_fifth_of_the_picture():
    heatmap = np.arange(49, dtype=np.float32).reshape(1, 7, 7)
    found = hottest(heatmap)
    assert found.sum() == 9
    assert (heatmap[found] >= 40).all()
    assert hottest(np.zeros((1, 2, 2), np.float32)).sum() == 1
    assert hottest(np.zeros((2, 3, 14, 14), np.float32)).sum(axis=(2, 3)).tolist() == 2 * [3 * [36]]


def test_losses_are_shares_of_what_counts_for_the_class():
    before = np.float32([[4, 2]])
    # The place of the first takes 3 of its 4 and gives the second 1; that of the second all its 2.
    after = np.float32([[[1, 3], [4, 0]]])
    found = losses(before, after, np.float32([[3, 1]]))
    assert found.own == pytest.approx((3 + 2) / 6)
    assert found.others == pytest.approx((-1 + 0) / 6)
    assert found.logit == pytest.approx((2 + 2) / (6 + 6))
    assert found.random == pytest.approx((1 + 1) / 6)


def test_what_counts_against_the_class_is_not_asked():
    before = np.float32([[4, -2]])
    after = np.float32([[[0, -2], [9, 9]]])
    found = losses(before, after, np.float32([[4, 9]]))
    assert (found.own, found.others, found.random) == (1, 0, 0)
    nothing = losses(-before[:, :1], -after[:, :1, :1], before[:, :1])
    assert (nothing.own, nothing.others, nothing.logit, nothing.random) == (None,) * 4


def test_one_prototype_has_no_others():
    found = losses(np.float32([[2]]), np.float32([[[1]]]), np.float32([[2]]))
    assert (found.own, found.others, found.random) == (0.5, None, 0)


class Eye:
    """Feature maps are the means of the quarters of the picture, in both channels."""

    def run(self, tensors):
        n, _, rows, columns = tensors.shape
        quarters = tensors[:, 0].reshape(n, 2, rows // 2, 2, columns // 2).mean(axis=(2, 4))
        maps = np.repeat(quarters.reshape(n, 4, 1), 2, axis=2)
        return maps.astype(np.float32), maps.sum(axis=1).astype(np.float32)


def test_a_prototype_is_held_to_the_place_that_it_points_at(trial, method, subject):
    tensor = np.zeros((3, 224, 224), np.float32)
    tensor[:, :112, :112] = 1  # a bright quarter, and nothing else
    pictures = [SimpleNamespace(tensor=tensor) for _ in range(3)]
    maps, logits = Eye().run(np.stack([p.tensor for p in pictures]))
    seen = replace(trial, pictures=tuple(pictures), maps=maps, logits=logits, grid=(2, 2))
    case = Case(seen, method, subject, runs=Runs(seen, Probe(Eye(), Eye(), 3, "NCHW", seed=0)))
    own, at_random = (metric_named(f"occlusion_{name}").measure(case) for name in ("own", "random"))
    # The blur leaves a quarter its own mean, less what spreads into the dark around it.
    assert own > 0.1
    assert own > at_random
