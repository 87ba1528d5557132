"""The catalog: found, not listed; in a fixed order; and what it does not know is refused."""

import importlib
import re
import sys
from dataclasses import fields, replace

import pytest
from places import ROOT

from exporter.errors import DatasetError
from exporter.evaluate.measure import Measured
from exporter.evaluate.metrics.catalog import (
    GROUPS,
    METRICS,
    by_name,
    group_metrics,
    metric_named,
)
from exporter.evaluate.over_classes import figures_over_classes
from exporter.evaluate.trial.case import Need

IN_ORDER = [
    "consistency", "distinct_parts", "stability", "distinctiveness", "comprehensiveness",
    "part_purity", "part_iou", "deletion_rank", "deletion_share", "background_independence",
    "background_evidence", "prototype_deletion", "prototype_insertion", "pixel_deletion",
    "pixel_insertion", "completeness", "axioms", "negative_share", "norm_sum", "cosine",
    "correlation", "mirror", "shift", "randomisation", "seed_overlap", "seed_place",
]  # fmt: skip


def test_the_order_is_that_of_every_evaluation_written_so_far():
    assert [metric.name for metric in METRICS if metric.name in IN_ORDER] == IN_ORDER


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_says_everything_about_itself(metric):
    for field in fields(metric):
        assert getattr(metric, field.name) or field.name == "needs"
    assert metric.better in ("higher", "lower")
    assert re.fullmatch(r"[A-Z].*[^.]\.", metric.blind)  # a sentence
    assert not metric.meaning.endswith(".")  # a clause
    assert len(set(metric.needs)) == len(metric.needs)
    assert metric_named(metric.name) is metric


def group(folder, name, order=(), **files):
    """A group of metrics in a folder of its own."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text(f'"""A question?"""\nORDER = {order!r}\n')
    for file, text in files.items():
        (package / f"{file}.py").write_text(text)
    return importlib.import_module(name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_new_file_is_a_new_metric_and_comes_after_those_in_order(folder):
    found = group(
        folder,
        "a_group",
        ("last", "first"),
        alone='METRICS = ("alone",)',
        first='METRICS = ("first",)',
        last='METRICS = ("last", "last too")',
        zone='METRICS = ("zone",)',
    )
    assert group_metrics(found) == ("last", "last too", "first", "alone", "zone")


def test_a_file_without_a_metric_is_refused(folder):
    found = group(folder, "another_group", helper="THRESHOLD = 0.5")
    with pytest.raises(ImportError, match=r"another_group\.helper: expected METRICS"):
        group_metrics(found)


@pytest.mark.parametrize("change", [{"title": "Other"}, {"name": "other"}])
def test_two_metrics_of_one_name_or_one_title_are_refused(change):
    twin = replace(METRICS[0], **change)
    with pytest.raises(ImportError, match="one metric each"):
        by_name([*METRICS, twin])
    assert list(by_name([replace(twin, name="other", title="Other")])) == ["other"]


def test_a_name_that_no_metric_has_is_refused():
    with pytest.raises(DatasetError, match=r"got 'beauty'\. It knows consistency, "):
        metric_named("beauty")


def test_what_was_measured_under_an_unknown_name_is_not_dropped():
    found = [Measured("a", 1, {"ours": {"mirror": 1.0, "beauty": 1.0}})]
    with pytest.raises(DatasetError, match="'beauty'"):
        figures_over_classes("ours", found)


def row(metric):
    """A metric as the document has it."""
    needs = ", ".join(need.value for need in metric.needs)
    says = metric.meaning.replace("|", "\\|")
    title = f"{metric.title} {metric.arrow}"
    return f"| {title} | {says} | {needs} | {metric.blind} | {metric.source} |"


DOCUMENT = (ROOT / "docs" / "evaluation.md").read_text()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_the_document_has_every_metric_under_its_question(group):
    table = DOCUMENT.split(f"### {group.__doc__}\n\n")[1].split("\n\n")[0]
    assert table.splitlines()[2:] == [
        row(metric) for metric in group_metrics(group)
    ]  # after the table's head


def test_the_document_says_what_each_need_is():
    for need in Need:
        assert f"| {need.value} |" in DOCUMENT
