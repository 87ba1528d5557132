"""The comparison in the report: what contradicts itself is refused, one class has no interval."""

import json

import pytest
import tiny

from exporter.errors import DatasetError
from exporter.evaluate import Evaluation, read_evaluation
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.results import Figure, MetricRecord
from exporter.pipelines.report import make_report
from exporter.report import ReportConfig
from exporter.report.baselines import compare
from exporter.report.rendering.comparison import panels
from serving.artifact import sha256_of

ONE, TWO = "consistency", "stability"


def metric(name):
    return MetricRecord.of(metric_named(name))


def one_class(artifact="0" * 64, methods=("ours", "cam", "random")):
    return Evaluation(
        artifact=artifact, source="tiny.onnx", prototypes=2, classes=("red",), images=3, skipped=0,
        parts=(), seeds=1, metrics=(metric(ONE), metric(TWO)), methods=methods,
        figures={
            method: {name: Figure(mean=0.25, classes=(0.25,)) for name in (ONE, TWO)}
            for method in methods
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("held-out")
    (root / "red").mkdir()
    for number in range(3):
        tiny.image(0, 500 + number).save(root / "red" / f"{number}.png")
    return root


def reported(tiny_export, data, folder, evaluation):
    path = folder / "evaluation.json"
    path.write_bytes(evaluation.dump())
    config = ReportConfig(artifact=tiny_export[0].out, data=data, evaluation=path)
    made = make_report(config)
    return made.html.decode(), made.markdown


@pytest.fixture(scope="module")
def own(tiny_export):
    return sha256_of(tiny_export[0].out / "manifest.json")


def test_one_class_shows_its_figures_and_says_that_intervals_need_two(
    tiny_export, data, own, tmp_path
):
    html, markdown = reported(tiny_export, data, tmp_path, one_class(own))
    for text in (html, markdown):
        assert "no baseline to compare with" not in text
        assert "2 baselines, figures alone" in text
        assert "needs two classes or more" in text
        assert "Stability" in text
        assert "0.250" in text
        assert "ours against" not in text  # no table without rows
        assert "| against |" not in text
        assert "95 % interval" not in text.replace("\N{NO-BREAK SPACE}", " ")


def test_an_evaluation_without_baselines_says_so(tiny_export, data, own, tmp_path):
    html, markdown = reported(tiny_export, data, tmp_path, one_class(own, methods=("ours",)))
    for text in (html, markdown):
        assert "The evaluation has no baseline to compare with." in text
        assert "figures alone" not in text
        assert "ours against" not in text
        assert "| against |" not in text


def test_a_mean_of_one_class_has_no_interval_in_its_panel():
    evaluation = one_class()
    assert compare(evaluation) == ()
    assert [mark.interval for mark in panels(evaluation)[0].marks] == ["one class, no interval"] * 3


def changed(**values):
    return json.loads(one_class().dump()) | values


def figures(**values):
    """Those of the record, one of them changed."""
    content = changed()["figures"]
    content["cam"][ONE] |= values
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(methods=["ours", "cam", "random", "rise"]), "figures of each method.*'rise'"),
        (changed(methods=["ours", "cam"]), "listed methods alone.*'random'"),
        (changed(methods=[], figures={}), "at least one method"),
        (changed(metrics=[]), "at least one metric"),
        (changed(classes=[]), "at least one class"),
        (
            changed(metrics=[metric(name).model_dump() for name in (ONE, TWO, "mirror")]),
            "figures of each metric.*'mirror'",
        ),
        (changed(metrics=[metric(ONE).model_dump()]), "listed metrics alone.*'stability'"),
        (
            changed(figures=figures(classes=[0.25, 0.25])),
            "'consistency' of 'cam'.*expected 1 in classes, one for each, got 2",
        ),
        (changed(figures=figures(classes=[None])), "'consistency' of 'cam'.*at least one class"),
        (changed(figures=figures(mean=float("nan"))), r"figures\.cam\.consistency\.mean: .*finite"),
        (changed(figures=figures(classes=[float("inf")])), r"consistency\.classes\.0\S*: .*finite"),
        (changed(figures=figures(deviation=float("-inf"))), r"consistency\.deviation: .*finite"),
        (
            changed(figures=figures(ours={"mean": 0, "low": float("nan"), "high": 0})),
            r"consistency\.ours\.low: .*finite",
        ),
    ],
)
def test_an_evaluation_that_contradicts_itself_is_refused(tmp_path, content, message):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message) as refused:
        read_evaluation(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "Value error" not in str(refused.value)  # pydantic's words for ours


def test_a_metric_of_another_version_is_refused(tmp_path):
    path = tmp_path / "evaluation.json"
    others = one_class().dump().decode().replace(TWO, "beauty")
    path.write_text(others)
    with pytest.raises(DatasetError, match=r"knows, got 'beauty'.*It knows consistency, .*again"):
        read_evaluation(path)


def test_a_metric_that_points_the_other_way_here_is_refused(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_bytes(one_class().dump().replace(b'"higher"', b'"lower"'))
    with pytest.raises(DatasetError, match="expected higher to be better for 'consistency'"):
        read_evaluation(path)


def test_the_page_says_what_a_metric_cannot_tell(tiny_export, data, own, tmp_path):
    html, _ = reported(tiny_export, data, tmp_path, one_class(own))
    assert metric_named(ONE).blind in html


def test_the_command_refuses_it_in_one_line(run, tiny_export, data, own, tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(changed(artifact=own, methods=["ours", "rise"])))
    code, out, err = run(
        "report", tiny_export[0].out, "--data", data, "--evaluation", path,
        "--out", tmp_path / "report.html",
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert err.startswith(f"protohead: {path}: ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()
