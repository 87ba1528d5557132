"""Cross-validation measures on the images that it did not learn from."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from places import ROOT

sys.path.insert(0, str(ROOT))  # benchmarks is run from the root, not installed

from benchmarks.cross_validation import METRICS, cross_validate, main, trials
from benchmarks.paper.measure import measure
from benchmarks.paper.methods import own
from exporter.evaluate.trial.subject import open_subject


@pytest.fixture(scope="module")
def subject(tiny_export):
    return open_subject(tiny_export[1])


@pytest.fixture(scope="module")
def trial(subject, tiny_export):
    return next(trials(subject, tiny_export[0].data, None, seed=0))


def test_each_half_is_measured_with_the_prototypes_of_the_other(subject, trial):
    row = subject.head.weight[trial.index].astype(np.float64) - subject.reference
    halves = [
        replace(
            trial,
            pictures=trial.pictures[n::2],
            maps=trial.maps[n::2],
            logits=trial.logits[n::2],
            unplaced=trial.unplaced[n::2],
            noisy=(trial.noisy[0][n::2],),
            mirrored=trial.mirrored[n::2],
            shifted=trial.shifted[n::2],
        )
        for n in (0, 1)
    ]
    by_hand = [
        measure(subject, half, own(subject, other.maps, row, 2, 0), 0)
        for half, other in (halves, halves[::-1])
    ]
    found = cross_validate(subject, trial, 2, folds=2, seed=0)
    for metric in ("distinctiveness", "norm_sum"):
        assert found[metric] == pytest.approx(np.mean([one[metric] for one in by_hand]))


def test_what_needs_annotations_is_not_defined_without(subject, trial):
    found = cross_validate(subject, trial, 2, folds=3, seed=0)
    assert set(found) == set(METRICS)
    assert found["consistency"] is None


def test_the_command_prints_a_row_for_each_k(tiny_export, monkeypatch, capsys):
    config, artifact = tiny_export
    arguments = [str(artifact.folder), "--train", str(config.data), "-k", "3", "2"]
    monkeypatch.setattr("sys.argv", ["cross_validation", *arguments])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["| k", "| ---", "| 2", "| 3"]
