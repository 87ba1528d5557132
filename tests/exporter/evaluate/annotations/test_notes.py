"""What was left out of annotations is told to whoever asked for figures."""

import logging

import pytest

from exporter.errors import DatasetError
from exporter.evaluate.annotations.notes import Tally
from exporter.evaluate.config import EvaluationConfig
from exporter.pipelines.evaluate import evaluate
from exporter.pipelines.report import make_report
from exporter.report.config import ReportConfig


def test_notes_are_counted_by_kind_in_their_order_and_name_the_first():
    notes = Tally()
    notes.add("left out {n} row{s}", "line 3")
    notes.say("1 is visible")
    notes.say("1 is visible")
    notes.add("left out {n} row{s}", "line 5")
    notes.add("left out {n} image{s}", "a\nb.jpg")
    assert notes.lines() == (
        "left out 2 rows (first: line 3)",
        "1 is visible",
        "left out 1 image (first: a b.jpg)",
    )


@pytest.mark.parametrize(
    ("make", "kind"), [(evaluate, EvaluationConfig), (make_report, ReportConfig)]
)
def test_evaluate_and_report_warn_of_every_note(make, kind, tiny_export, tmp_path, caplog):
    config, _ = tiny_export
    parts = tmp_path / "parts.csv"
    name = next(config.data.rglob("*.png")).name
    parts.write_text(f"image,a_x,a_y,b_x,b_y\n{name},1,1,,\n")
    # The name is that of an image in every class, so both stop before they run the network.
    with caplog.at_level(logging.WARNING), pytest.raises(DatasetError, match="belongs to"):
        make(kind(artifact=config.out, data=config.data, parts=parts))
    told = [record.getMessage() for record in caplog.records]
    assert [line.startswith(f"{parts}: there is no visible flag") for line in told] == [True, False]
    assert told[1] == f"{parts}: no image shows b"
