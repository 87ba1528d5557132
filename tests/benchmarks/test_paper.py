"""The mathematics of the scripts that reproduce the paper's tables, on cases made by hand."""

import sys

import numpy as np
import pytest
import tiny
from places import ROOT

sys.path.insert(0, str(ROOT))  # benchmarks is run from the root, not installed

from benchmarks.paper.__main__ import OUTPUTS, main, run, write
from benchmarks.paper.classes import Plan, spread_evenly, stream
from benchmarks.paper.figure7 import mute_each
from benchmarks.paper.markdown import difference, replace_sections, spread, table
from benchmarks.paper.methods import initial
from benchmarks.paper.scores import Scores
from benchmarks.paper.table4 import best_classes
from exporter.evaluate.arithmetic.statistics import Difference, Spread
from exporter.evaluate.trial.subject import open_subject


def scores(values, method="ours", seeds=2):
    """Figures of one metric: values by class, one for each seed."""
    found = Scores(seeds)
    add(found, values, method)
    return found


def add(found, values, method):
    for label, row in values.items():
        for seed, value in enumerate(row):
            found.add(label, 3, seed, method, {"m": value})


def test_a_mean_is_over_classes_and_its_deviation_over_seeds():
    found = scores({"a": [0.0, 0.2], "b": [1.0, 0.6]}).spread(3, "ours", "m")
    assert found.mean == pytest.approx(0.45)
    assert found.deviation == pytest.approx(0.1 / np.sqrt(2))  # of 0.5 and 0.4, over s - 1


def test_a_difference_pairs_the_classes_that_both_have():
    found = scores({"a": [1.0, 1.0], "b": [0.5, 0.7], "c": [0.0, 0.0]})
    add(found, {"a": [0.8, 0.8], "b": [0.4, 0.4]}, "naive")
    apart = found.difference(3, "ours", "naive", "m")
    assert apart.count == 2
    assert apart.mean == pytest.approx(0.2)
    assert found.difference(3, "ours", "naive", "m", ["a"]) is None  # one class has no interval


def test_repeated_seeds_do_not_pass_for_more_classes():
    rows = {"a": 0.1, "b": 0.4, "c": 0.9}
    one = scores({label: [value] for label, value in rows.items()}, seeds=1)
    five = scores({label: [value] * 5 for label, value in rows.items()}, seeds=5)
    assert one.interval(3, "ours", "m") == pytest.approx(five.interval(3, "ours", "m"))


def test_an_undefined_figure_is_left_out():
    found = scores({"a": [None, 0.5], "b": [None, None]})
    assert found.spread(3, "ours", "m").mean == 0.5
    assert found.classes == ("a", "b")
    assert found.classes_of("ours") == ("a",)
    assert found.spread(3, "paper", "m") is None


def test_prototypes_that_span_the_head_row_leave_no_residual():
    basis = np.eye(4)[:2]
    found = initial(basis, np.array([3.0, -2.0, 0.0, 0.0]))
    np.testing.assert_allclose(found.scaled.sum(axis=0), [3, -2, 0, 0], atol=1e-6)  # the solver's
    assert found.ratio == pytest.approx(0, abs=1e-6)
    assert initial(basis, np.array([0.0, 0.0, 3.0, 4.0])).ratio == pytest.approx(1)


def test_the_bias_counts_in_the_best_class():
    pooled, rows = np.array([[1.0, 0.0], [0.0, 1.0]]), np.eye(2)
    assert best_classes(pooled, rows, np.zeros(2)).tolist() == [0, 1]
    assert best_classes(pooled, rows, np.array([0.0, 2.0])).tolist() == [1, 1]


@pytest.fixture
def muting():
    """Class 0 has prototypes; prototype 0 is behind a mistake, prototype 1 behind a right answer.

    Images 0 and 2 are of class 1, image 1 of class 0, image 3 of class 2.
    """
    logits = np.array([[5, 4, 0], [5, 4, 0], [5, 1, 0], [5, 4, 0]], dtype=np.float32)
    contributions = np.array([[[3, 0]], [[0, 3]], [[1, 1]], [[3, 0]]], dtype=np.float32)
    return mute_each(np.array([1, 0, 1, 2]), logits, contributions, np.array([0]))


def test_muting_corrects_breaks_or_moves_a_mistake(muting):
    assert muting.mistakes.tolist() == [True, False, True, True]
    assert np.argwhere(muting.corrected).tolist() == [[0, 0, 0]]
    assert np.argwhere(muting.broken).tolist() == [[1, 0, 1]]
    assert np.argwhere(muting.moved).tolist() == [[3, 0, 0]]


def test_the_best_prototype_is_listed_and_those_that_correct_nothing_are_not(muting):
    assert muting.best() == [(0, 0)]
    assert (muting.correctable(), muting.by_predicted(), muting.free()) == (1, 1, 1)
    assert muting.gains(slice(None)).tolist() == [[1, -1]]


def test_a_correction_counts_as_free_only_if_nothing_breaks():
    logits = np.array([[5, 4], [5, 4]], dtype=np.float32)
    contributions = np.full((2, 1, 1), 3, dtype=np.float32)
    found = mute_each(np.array([1, 0]), logits, contributions, np.array([0]))
    assert (found.correctable(), found.free()) == (1, 0)


def test_a_prototype_against_the_right_class_corrects_too():
    logits = np.array([[5, 4]], dtype=np.float32)
    found = mute_each(
        np.array([1]), logits, np.array([[[-2]]], dtype=np.float32), np.array([1])
    )  # of class 1
    assert (found.correctable(), found.by_predicted()) == (1, 0)


def test_what_is_chosen_on_one_half_is_counted_on_the_other():
    # Prototype 0 corrects images 0 and 2, prototype 1 corrects image 1 and breaks none.
    logits = np.tile(np.array([5, 4], dtype=np.float32), (4, 1))
    contributions = np.zeros((4, 1, 2), dtype=np.float32)
    contributions[[0, 2], 0, 0] = 3
    contributions[1, 0, 1] = 3
    found = mute_each(np.array([1, 1, 1, 1]), logits, contributions, np.array([0]))
    # Even images choose prototype 0: 2 there, 0 on the odd; odd choose prototype 1: 1 and 0.
    assert found.on_other_half() == (3, 0)


def test_a_section_is_replaced_again_and_again():
    document = "above\n<!-- birds/t -->\nold\n<!-- /birds/t -->\nbelow\n"
    once = replace_sections(document, "birds", {"t": r"new \1"})
    assert once == "above\n<!-- birds/t -->\n\nnew \\1\n\n<!-- /birds/t -->\nbelow\n"
    assert replace_sections(once, "birds", {"t": r"new \1"}) == once


@pytest.mark.parametrize("times", [0, 2])
def test_a_section_that_is_not_there_once_is_refused(times):
    document = "<!-- birds/t -->\n<!-- /birds/t -->\n" * times
    with pytest.raises(ValueError, match=f"birds/t.*found {times}"):
        replace_sections(document, "birds", {"t": ""})


def test_a_difference_is_bold_where_its_interval_leaves_out_zero():
    assert difference(Difference(0.2, 0.1, 0.3, 9)) == "**0.200 [0.100, 0.300]**"
    assert difference(Difference(-1e-17, -0.1, 0.1, 9)) == "0.000 [-0.100, 0.100]"
    assert difference(None) == "·"


def test_a_deviation_too_small_to_show_is_left_out():
    assert spread(Spread(0.5, 0.0001, 3)) == "0.500"
    assert spread(Spread(0.5, 0.02, 3)) == "0.500 ± 0.020"
    assert table(["a"], [["b"]]) == "| a |\n| --- |\n| b |"


def test_classes_are_spread_evenly():
    assert spread_evenly(tuple("abcdef"), 3) == ("a", "c", "e")
    assert spread_evenly(tuple("ab"), None) == ("a", "b")
    assert spread_evenly(tuple("ab"), 0) == ()


@pytest.fixture(scope="module")
def plan(tiny_export, tmp_path_factory):
    """Held-out images of the tiny classifier, few methods and seeds."""
    config, _ = tiny_export
    root = tmp_path_factory.mktemp("paper")
    for index, label in enumerate(tiny.LABELS):
        (root / label).mkdir()
        for number in range(4):
            tiny.image(index, 700 + number).save(root / label / f"{number}.png")
    return Plan(
        data=root, train=config.data, counts=(2, 3), sweep=(1,), seeds=2, paper_counts=(2,), jobs=2
    )


@pytest.fixture(scope="module")
def subject(tiny_export):
    return open_subject(tiny_export[1])


def test_refined_prototypes_sum_to_the_head_row_and_initial_ones_do_not(subject, plan):
    for one in stream(subject, plan):
        assert {(s.k, s.seed) for s in one.splits} == {(k, s) for k in (1, 2, 3) for s in (0, 1)}
        split = one.split(2, 1)
        assert set(split.methods) == {"nmf", "naive", "even", "paper", "ours"}
        for name in ("naive", "even", "paper"):
            total = split.methods[name].prototypes.sum(axis=0)
            np.testing.assert_allclose(total, one.row, rtol=1e-9, atol=1e-9)  # float64
        own = split.methods["ours"].prototypes.sum(axis=0) + subject.reference
        np.testing.assert_allclose(own, one.row, rtol=1e-5, atol=1e-5)  # rounded as served
        left = one.row - split.start.scaled.sum(axis=0)
        assert np.linalg.norm(left) / np.linalg.norm(one.row) == pytest.approx(split.start.ratio)


def test_every_table_is_printed_and_the_same_run_gives_the_same_bytes(subject, plan):
    first, second = (run(subject, plan, list(OUTPUTS)) for _ in range(2))
    assert first == second
    assert set(first) == {"about", *OUTPUTS}
    assert first["figure5"][1][""].startswith(b"<?xml")
    # Nothing changes for refined prototypes, whatever the k.
    unchanged = [
        row for row in first["table4"][0].splitlines() if row.startswith("| refined: ours")
    ]
    assert unchanged[-1] == "| refined: ours | 0 | 0 |"


def test_the_classes_of_the_papers_solver_are_named(subject, plan):
    some = plan.__class__(**{**plan.__dict__, "paper_classes": 2})
    text = run(subject, some, ["figure5"])["figure5"][0]
    assert "ran on 2 of the 3 classes (red, green)" in text


@pytest.mark.parametrize("name", ["toybirds", "birds", "lite0"])
def test_the_results_have_a_place_for_every_table(name):
    document = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    sections = dict.fromkeys(["about", *OUTPUTS], "text")
    assert replace_sections(document, name, sections).count("\ntext\n") == len(sections)


def test_figures_are_written_beside_the_results_and_old_ones_go(tmp_path):
    document = tmp_path / "results.md"
    document.write_text("<!-- birds/t -->\n<!-- /birds/t -->\n")
    (tmp_path / "results-birds-t.svg").write_bytes(b"old")
    write(tmp_path, "birds", {"t": ("text", {"-a": b"new"})})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "results-birds-t-a.svg",
        "results.md",
    ]
    assert "![birds, t](results-birds-t-a.svg)\n\ntext" in document.read_text()


@pytest.mark.parametrize("option", ["--seeds", "-k", "--sweep", "--classes", "--paper-k"])
def test_counts_below_one_are_wrong_usage(option, monkeypatch, capsys):
    words = ["paper", "toy", "artifact", "--data", "data", "--train", "train", option, "0"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "expected 1 or more, got 0" in capsys.readouterr().err
