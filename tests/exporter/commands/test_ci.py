"""What a pipeline asks for: limits that fail it, annotations of failures, a key for a cache."""

import shutil

import pytest
import tiny
from click import command
from click.testing import CliRunner

from exporter.commands.ci.annotations import Annotations, annotations_option
from exporter.commands.ci.warnings import kinds_named
from exporter.errors import OutputError
from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.limits import parse_limit
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.results import Evaluation, Figure, MetricRecord
from exporter.report.rules import RULES


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two held-out images of each class."""
    root = tmp_path_factory.mktemp("heldout")
    for index, label in enumerate(tiny.LABELS):
        (root / label).mkdir()
        for number in range(2):
            tiny.image(index, 900 + number).save(root / label / f"{number}.png")
    return root


def evaluation(**means):
    return Evaluation(
        artifact="0" * 64,
        source="a.onnx",
        prototypes=2,
        classes=("red",),
        images=1,
        skipped=0,
        parts=(),
        seeds=1,
        metrics=tuple(MetricRecord.of(metric_named(name)) for name in means),
        methods=(OURS,),
        figures={OURS: {name: Figure(mean=v, classes=(v,)) for name, v in means.items()}},
    )


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("stability=0.8", ""),
        ("stability=0.9", "stability is 0.8, below the limit 0.9."),
        ("completeness=1e-5", "completeness is 0.002, above the limit 1e-05."),
        ("completeness=0.01", ""),
        ("part_iou=0.5", "part_iou was not measured, expected at least 0.5; it needs a "),
        ("background_evidence=0.5", "background_evidence was not measured, expected at most 0.5"),
    ],
)
def test_a_limit_is_broken_on_the_side_that_is_worse(limit, said):
    found = parse_limit(limit).broken(evaluation(stability=0.8, completeness=0.002))
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stabilty=0.9", "got 'stabilty'. Did you mean 'stability'"),
        ("zzz=0.9", "There are consistency, "),
        ("stability", "expected METRIC=VALUE, such as "),
        ("stability=high", "got 'stability=high'"),
        ("stability=nan", "expected METRIC=VALUE"),
    ],
)
def test_a_limit_that_is_none_is_refused(text, message):
    with pytest.raises(ValueError, match="expected") as refused:
        parse_limit(text)
    assert message in str(refused.value)


def test_every_rule_has_a_name_and_any_is_all_of_them():
    assert kinds_named(["any"]) == {rule.kind for rule in RULES}
    assert kinds_named(["alike", "weak"]) == {"alike", "weak"}
    assert kinds_named([]) == frozenset()
    with pytest.raises(ValueError, match=r"Did you mean 'alike'\? There are any, sum, "):
        kinds_named(["alikes"])


def test_wrong_names_are_wrong_usage_before_the_work(run, tiny_export, data, tmp_path):
    for verb, option, given in (
        ("evaluate", "--fail-under", "stabilty=1"),
        ("report", "--fail-on", "alikes"),
    ):
        out = tmp_path / "out.html"
        code, _, err = run(verb, tiny_export[0].out, "--data", data, "--out", out, option, given)
        assert code == 2
        assert f"{option}: expected the name of a" in err
        assert "Did you mean" in err
        assert not out.exists()


def test_evaluate_fails_below_a_limit_with_everything_written(run, tiny_export, data, tmp_path):
    code, out, err = run(
        "evaluate", tiny_export[0].out, "--data", data, "--baseline", "cam", "--seeds", "1",
        "--network-images", "1", "--jobs", "1", "--max-images", "1", "--out", tmp_path,
        "--fail-under", "distinctiveness=2", "--fail-under", "completeness=1",
        "--annotations", "github",
    )  # fmt: skip
    assert code == 1
    assert out.startswith("# Evaluation of tiny.onnx")
    assert (tmp_path / "evaluation.json").is_file()
    *_, annotation, line = err.splitlines()
    assert line.startswith("protohead: distinctiveness is ")
    assert line.endswith(", below the limit 2.")
    assert annotation == "::error title=protohead evaluate::" + line.removeprefix("protohead: ")


def test_report_fails_on_a_warning_with_the_page_written(run, tiny_export, data, tmp_path):
    page = tmp_path / "report.html"
    asked = ("report", tiny_export[0].out, "--data", data, "--out", page, "--annotations", "github")
    code, _, err = run(*asked, "--fail-on", "sum")
    assert code == 0  # the sum holds; the warnings are only annotated
    assert "::warning title=protohead report::Few training images (training): 3 classes: " in err
    assert "::error" not in err
    code, _, err = run(*asked, "--fail-on", "training")
    assert (code, page.is_file()) == (1, True)
    assert "protohead: Few training images (training): 3 classes: red, green, blue." in err
    assert "::error title=protohead report::Few training images (training): 3 classes" in err


def test_failed_gates_are_annotated_in_github_actions(run, tiny_export, tmp_path, monkeypatch):
    broken = shutil.copytree(tiny_export[0].out, tmp_path / "artifact")
    (broken / "golden.npz").write_bytes(b"")
    code, out, err = run("verify", broken)
    assert (code, "::error" in err) == (1, False)
    code, out, err = run("verify", broken, "--annotations", "github")
    assert code == 1
    assert "::error title=artifact%3A integrity::" in err
    assert "::error" not in out


def test_github_actions_is_known_by_its_variable(monkeypatch):
    @command()
    @annotations_option
    def verb(annotations):
        annotations.error("a", "b")

    for value, option, said in (
        ("true", (), True),
        ("true", ("--annotations", "none"), False),
        ("false", (), False),
        ("", ("--annotations", "github"), True),
    ):
        monkeypatch.setenv("GITHUB_ACTIONS", value)
        assert ("::error title=a::b" in CliRunner().invoke(verb, option).stderr) == said


def test_text_of_others_cannot_end_a_line_of_an_annotation(capsys):
    Annotations(True).error("a:b,c\n", "100 %\r\n::error::x\udcff")
    assert capsys.readouterr().err == ("::error title=a%3Ab%2Cc%0A::100 %25%0D%0A::error::x\\xff\n")


def test_an_expected_failure_is_annotated_and_goes_on(capsys):
    with (
        pytest.raises(OutputError, match="full"),
        Annotations(True).failures("protohead export"),
    ):
        raise OutputError("the disk is full")
    assert capsys.readouterr().err == "::error title=protohead export::the disk is full\n"


@pytest.fixture
def key(run, tmp_path):
    """The key of an export, of the tiny model with its data below tmp_path / "a"."""
    (tmp_path / "a").mkdir()
    config = tiny.write(tmp_path / "a", images=2)
    (tmp_path / "a" / "preprocess.json").write_text(config.preprocessing.model_dump_json())

    def key_(*more, folder=tmp_path / "a", out="o"):
        code, found, _ = run(
            "export", folder / "tiny.onnx", "--data", folder / "data", "--out", tmp_path / out,
            "--print-cache-key", *more,
        )  # fmt: skip
        assert (code, len(found)) == (0, 65)
        assert not (tmp_path / out).exists()
        return found

    return key_


def test_the_key_of_a_cache_is_that_of_model_options_and_images(key, tmp_path):
    first = key()
    moved = shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert key(folder=moved, out="elsewhere") == first
    assert key("--jobs", "2", "--overwrite") == first
    for option in (("-k", "2"), ("--seed", "1"), ("--min-accuracy", "0.5"), ("--variant", "dense")):
        assert key(*option) != first
    image = moved / "data" / "red" / "000.png"
    tiny.image(0, 500).save(image)
    assert key(folder=moved) != first  # the same names, other pictures
    image.rename(image.with_name("100.png"))
    renamed = key(folder=moved)
    (moved / "data" / "red" / "notes.txt").write_text("counted as skipped")
    assert key(folder=moved) not in (first, renamed)


def test_an_export_that_could_not_begin_has_no_key(run, tmp_path):
    config = tiny.write(tmp_path, images=2)
    code, out, err = run(
        "export", config.model, "--data", config.data, "--out", tmp_path / "o", "--preset",
        "imagenet", "--print-cache-key", "-k", "32",
    )  # fmt: skip
    assert (code, out, err.splitlines()[-1].startswith("protohead: ")) == (1, "", True)
