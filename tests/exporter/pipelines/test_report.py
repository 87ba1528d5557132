"""The report from artifact to page: whole, harmless, the same bytes, nothing asked for."""

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import onnx
import pytest
import tiny
from click.testing import CliRunner
from manifests import write_manifest
from PIL import Image, ImageColor

from exporter import export
from exporter.cli import cli, main
from exporter.commands.summaries import report_summary
from exporter.errors import DatasetError, OutputError
from exporter.evaluate import Evaluation, EvaluationConfig
from exporter.evaluate.results import Difference, Figure, MetricRecord
from exporter.images.dataset import ClassImages
from exporter.pipelines.edit import edit
from exporter.pipelines.evaluate import evaluate
from exporter.pipelines.report import Report, make_report, write_page
from exporter.report import ReportConfig
from exporter.report.baselines import Comparison, compare
from exporter.report.examples import ClassReport, choose_examples, shown_first
from exporter.report.observe import observe
from exporter.report.rendering.page import _swatch
from exporter.report.rendering.pictures import VIEW, photograph, veil
from exporter.report.verdict import basis
from exporter.report.words import number_of, per_cent
from exporter.text import escaped
from serving.drawing.palette import luminance
from serving.errors import RequestError
from serving.model.predictor import Predictor

VOID = {"meta", "link", "br", "input", "img"}


class Page(HTMLParser):
    """Tags with attributes, and text by tag; unbalanced tags fail."""

    def __init__(self, content: bytes):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(content.decode())
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self):
        return " ".join(
            " ".join(t for tag, t in self.texts if tag not in {"script", "style"}).split()
        )


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    root = tmp_path_factory.mktemp("held-out")
    for index, label in enumerate(tiny.LABELS):
        (root / label).mkdir()
        for number in range(6):
            tiny.image(index, 500 + number).save(root / label / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def config(tiny_export, held_out):
    return ReportConfig(artifact=tiny_export[0].out, data=held_out)


@pytest.fixture(scope="module")
def report(config):
    return make_report(config)


@pytest.fixture(scope="module")
def evaluation(config, tmp_path_factory):
    found = evaluate(
        EvaluationConfig(
            artifact=config.artifact, data=config.data, baselines=("random", "cam"), seeds=2, jobs=1
        )
    )
    path = tmp_path_factory.mktemp("evaluation") / "evaluation.json"
    path.write_bytes(found.dump())
    return path


def test_the_page_holds_everything_and_asks_for_nothing(report):
    page = Page(report.html)
    assert {"src", "srcset", "action"}.isdisjoint(name for _, a in page.tags for name in a)
    targets = [a[n] for _, a in page.tags for n in ("href", "xlink:href") if n in a]
    assert targets
    assert all(target.startswith(("#", "data:image/webp;base64,")) for target in targets)
    assert b"http://" not in report.html
    assert b"https://" not in report.html
    assert b"@import" not in report.html
    assert b"default-src 'none'" in report.html


def test_every_link_within_the_page_has_a_target(report):
    page = Page(report.html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for _, a in page.tags if a.get("href", "").startswith("#")} <= set(ids)


def test_the_page_shows_each_class_with_crops_and_heatmaps(report):
    page = Page(report.html)
    labels = [a["aria-label"] for _, a in page.tags if "aria-label" in a]
    assert sum(label.startswith("Where part") for label in labels) == 3 * 2 * 3
    assert sum(label.startswith("Crop ") for label in labels) == 3 * 2 * 5
    assert sum(label.startswith("Held-out image") for label in labels) == 3 * 3
    for words in ("|R|/|v|", "alpha", "sum of norms", "bias and common", "protohead evaluate"):
        assert words in page.text
    assert report.classes == report.shown == 3


def test_the_first_screen_answers_three_questions_and_says_what_to_do(report):
    page = Page(report.html)
    for answer in report.answers:
        assert " ".join(answer.title.split()) in page.text
        assert answer.short in page.text
        assert answer.do
        assert f"**{answer.title}**" in report.markdown
    assert [answer.question for answer in report.answers] == ["sum", "thing", "matter"]
    assert page.text.index("look at one thing") < page.text.index("A warning is a reason to look")


def test_the_confused_pairs_are_shown_with_what_spoke_for_either(report):
    page = Page(report.html)
    titles = [t for tag, t in page.texts if " taken for " in t and tag == "h3"]
    assert titles
    assert page.text.count("It says") == page.text.count("It is ") == len(titles)
    assert "| image of | taken for |" in report.markdown


def test_pictures_have_alternative_texts_and_headings_do_not_skip(report):
    page = Page(report.html)
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_landmarks_and_numerals_meet_wcag(report):
    page = Page(report.html)
    names = [
        a.get("aria-labelledby") or a.get("aria-label")
        for tag, a in page.tags
        if tag in {"section", "nav", "main"} and a.get("id") != "main"
    ]
    assert None not in names
    assert len(set(names)) == len(names)
    for n in range(32):
        colour, ink = (luminance(ImageColor.getrgb(value)[:3]) for value in _swatch(n))
        low, high = sorted((colour + 0.05, ink + 0.05))
        assert high / low >= 4.5


def test_the_same_inputs_give_the_same_bytes_wherever_they_lie(config, report, tmp_path):
    shutil.copytree(config.artifact, tmp_path / "artifact")
    shutil.copytree(config.data, tmp_path / config.data.name)
    moved = ReportConfig(artifact=tmp_path / "artifact", data=tmp_path / config.data.name)
    again = make_report(moved)
    assert again.html == report.html
    assert again.markdown == report.markdown
    assert str(config.data.parent).encode() not in report.html


def test_labels_names_reasons_and_files_are_text_never_markup(tiny_export, tmp_path):
    bad = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'
    artifact = edit(
        tiny_export[0].out,
        tmp_path / "edited",
        reason=f"because {bad}",
        mute=[("red", 0)],
        names=[(("red", 1), bad)],
    )
    manifest = artifact.manifest
    label = bad.replace("/", "")  # a folder of this name must exist
    classes = (manifest.classes[0].model_copy(update={"label": label}), *manifest.classes[1:])
    changed = manifest.model_copy(
        update={
            "classes": classes,
            "source": manifest.source.model_copy(update={"file": f"{bad}.onnx"}),
        }
    )
    write_manifest(artifact.folder, changed)
    (tmp_path / "data" / label).mkdir(parents=True)
    tiny.image(0, 700).save(tmp_path / "data" / label / "<b onclick=alert(3)>.png")
    made = make_report(ReportConfig(artifact=artifact.folder, data=tmp_path / "data"))
    page = Page(made.html)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img", "b onclick=alert(3)"} & {tag for tag, _ in page.tags}
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert f"because {bad}" in page.text  # {{ 7 * 7 }} included: no template of anybody's runs
    assert not re.search(r"(?<!\\)[<>*]", made.markdown.replace("**", ""))


def test_an_edited_artifact_shows_reason_effect_and_what_was_muted(config, held_out, tmp_path):
    edit(
        config.artifact, tmp_path / "edited", reason="sees the backdrop", mute=[("red", 0)],
        names=[(("green", 1), "a square")], data=held_out,
    )  # fmt: skip
    made = make_report(ReportConfig(artifact=tmp_path / "edited", data=held_out))
    text = Page(made.html).text
    for words in (
        "sees the backdrop",
        "accuracy before",
        "Muted by an edit: it counts no more.",
        "a square",
        "#0 muted by edit 1: sees the backdrop.",
        "Edited once, 1 part muted.",
    ):
        assert words in text
    assert "Edit 1: sees the backdrop" in made.markdown
    assert "misses the logit by up to" not in text  # what is left sums to the new logit


def test_the_comparison_shows_every_metric_with_its_intervals(config, evaluation):
    made = make_report(config.model_copy(update={"evaluation": evaluation}))
    page = Page(made.html)
    metrics = json.loads(evaluation.read_bytes())["metrics"]
    assert [a.get("class") for tag, a in page.tags if tag == "figure"].count("panel") == len(
        metrics
    )
    for metric in metrics:
        assert metric["title"] in page.text
        assert metric["title"] in made.markdown
    assert "95 % interval" in page.text
    assert "| random |" in made.markdown
    positions = re.findall(r'style="left:([-\d.]+)%', made.html.decode())
    assert all(0 <= float(position) <= 100 for position in positions)


def test_an_evaluation_of_another_artifact_is_refused(config, evaluation, tmp_path):
    content = json.loads(evaluation.read_bytes())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**content, "artifact": "0" * 64}))
    with pytest.raises(DatasetError, match="expected the evaluation of this artifact"):
        make_report(config.model_copy(update={"evaluation": other}))


def test_a_difference_counts_by_the_direction_of_its_metric():
    def figure(low, high):
        return Figure(
            mean=0.5, classes=(0.5,), ours=Difference(mean=(low + high) / 2, low=low, high=high)
        )

    ends = {"up": (0.1, 0.3), "down": (-0.3, -0.1), "open": (-0.1, 0.3)}
    metrics = [
        MetricRecord(name=f"{way} {end}", title=f"{way} {end}", better=way, meaning="", source="")
        for way in ("higher", "lower")
        for end in ends
    ]
    found = Evaluation(
        artifact="0" * 64, source="tiny.onnx", prototypes=2, classes=("red",), images=1, skipped=0,
        parts=(), seeds=1, metrics=tuple(metrics), methods=("ours", "cam", "rise"),
        figures={
            "ours": {metric.name: Figure(mean=0.5, classes=(0.5,)) for metric in metrics},
            "cam": {metric.name: figure(*ends[metric.name.split()[1]]) for metric in metrics},
            "rise": {},
        },
    )  # fmt: skip
    assert compare(found) == (
        Comparison(
            "cam",
            better=("higher up", "lower down"),
            worse=("higher down", "lower up"),
            undecided=("higher open", "lower open"),
        ),
    )


def test_parts_that_annotate_none_of_the_images_are_refused(config, tmp_path):
    (tmp_path / "parts.csv").write_text("image,a_x,a_y,a_visible\nno/such.png,1,1,1\n")
    with pytest.raises(DatasetError, match="found none for any of them"):
        make_report(config.model_copy(update={"parts": tmp_path / "parts.csv"}))


def test_keypoints_warn_of_peaks_that_are_near_none(config, tmp_path):
    lines = [
        f"{label}/{number}.png,{x},{x},1"
        for label, x in (("red", 0), ("green", 12), ("blue", 12))
        for number in range(6)
    ]
    (tmp_path / "parts.csv").write_text("\n".join(["image,a_x,a_y,a_visible", *lines]) + "\n")
    made = make_report(config.model_copy(update={"parts": tmp_path / "parts.csv"}))
    text = Page(made.html).text
    assert "peak near no keypoint" in text
    assert "known by 1 keypoint" in text
    assert "no keypoint is near the peak in" in text


def test_under_a_sigmoid_a_class_is_recognised_from_a_half_on(held_out, tmp_path):
    exported = tiny.write(tmp_path).model_copy(update={"multilabel": True})
    export(exported)
    predictor = Predictor(exported.out)
    entry = ClassImages(0, "red", tuple(sorted((held_out / "red").iterdir())))
    seen = observe(predictor, entry)
    np.testing.assert_array_equal(seen.recognised, seen.logits[:, 0] >= 0)
    np.testing.assert_array_equal(seen.recognised, seen.probabilities[:, 0] >= 0.5)
    text = Page(make_report(ReportConfig(artifact=exported.out, data=held_out)).html).text
    assert "The classes of this model may go together, so none is taken for another." in text
    assert "their training images" not in text  # the manifest's accuracy is that of the best class


def test_a_graph_of_fixed_batch_size_is_filled_up(config, report, tmp_path):
    exported = tiny.write(tmp_path)
    model = onnx.load(exported.model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, exported.model)
    export(exported)
    made = make_report(config.model_copy(update={"artifact": exported.out}))
    known = "The model recognises .* of 18 held-out images"
    model_line = re.search(known, Page(report.html).text)[0]
    assert model_line in Page(made.html).text


def test_classes_can_be_chosen_by_label_or_number(config):
    made = make_report(config.model_copy(update={"classes": ("2", "red")}))
    text = Page(made.html).text
    assert made.classes == 2
    assert "green" not in text
    with pytest.raises(RequestError, match="mauve"):
        make_report(config.model_copy(update={"classes": ("mauve",)}))


def test_above_the_limit_all_are_listed_and_the_most_warned_are_shown(config, tmp_path):
    made = make_report(config.model_copy(update={"max_classes": 1}))
    page = Page(made.html)
    assert (made.classes, made.shown) == (3, 1)
    assert [tag for tag, _ in page.tags].count("article") == 1
    assert "All 3 classes are measured and listed; 1 are shown with pictures" in page.text
    assert "--classes chooses others" in report_summary(tmp_path, made)


def test_most_warnings_come_first_then_the_least_recognised(config):
    def of(index, findings, recognised):
        held_out = None if recognised is None else _Like(recognised=recognised)
        return ClassReport(
            _Like(index=index), _Like(held_out=held_out), ("w",) * findings, (), None
        )

    classes = [of(0, 0, 0.1), of(1, 2, 1.0), of(2, 1, 0.9), of(3, 1, 0.2), of(4, 1, None)]
    assert [c.record.index for c in shown_first(classes, 3)] == [1, 3, 4]
    assert shown_first(classes, 5) == tuple(classes)


class _Like:
    def __init__(self, **values):
        self.__dict__.update(values)


def test_examples_stand_at_even_steps_from_the_most_certain_to_the_least():
    n = 5
    own = np.array([0.2, 0.9, 0.5, 0.7, 0.1])
    seen = _Like(
        index=0,
        paths=tuple(range(n)),
        logits=np.zeros((n, 2)),
        probabilities=np.stack([own, 1 - own], axis=1),
        contributions=np.zeros((n, 1)),
        heatmaps=np.zeros((n, 1, 2, 2)),
        bias=0.0,
        common=np.zeros(n),
        unplaced=np.zeros(n),
        rounding=np.zeros(n),
        recognised=own > 0.5,
    )
    assert [e.path for e in choose_examples(seen, 3)] == [1, 2, 4]
    assert [e.place for e in choose_examples(seen, 3)] == [1, 3, 5]
    assert [e.path for e in choose_examples(seen, 1)] == [2]
    assert [e.path for e in choose_examples(seen, 12)] == [1, 3, 2, 0, 4]
    assert choose_examples(None, 3) == ()


def test_damaged_files_are_skipped_and_a_class_without_any_image_is_said(config, tmp_path):
    shutil.copytree(config.data, tmp_path / "data")
    (tmp_path / "data" / "red" / "0.png").write_bytes(b"no image")
    for path in (tmp_path / "data" / "blue").iterdir():
        path.write_bytes(b"no image")
    made = make_report(config.model_copy(update={"data": tmp_path / "data"}))
    text = Page(made.html).text
    assert "1 file could not be decoded." in text
    assert "0 held-out images." in text
    assert "No held-out image to show." in text


def test_file_names_that_are_no_text_are_shown_as_far_as_they_are(config, tmp_path):
    data = tmp_path / os.fsdecode(b"data-\xff")
    (data / "red").mkdir(parents=True)
    tiny.image(0, 500).save(data / "red" / os.fsdecode(b"a\xffb.png"))
    made = make_report(config.model_copy(update={"data": data}))
    text = Page(made.html).text
    assert r"data-\xff" in text
    assert rb"Held-out image red/a\xffb.png of red" in made.html


def test_the_training_images_beside_the_held_out_ones_are_those_of_the_same_classes(tiny_export):
    classes = Predictor(tiny_export[0].out).manifest.classes
    assert classes[0].images > 0
    records = [
        record.model_copy(update={"accuracy": accuracy})
        for record, accuracy in zip(classes, (1.0, 0.5, 0.0), strict=True)
    ]
    manifest = tiny_export[1].manifest
    held_out = _Like(images=4, recognised=0.75, skipped=0, residual=0)
    reports = [
        ClassReport(record, _Like(held_out=held_out if index < 2 else None), (), (), None)
        for index, record in enumerate(records)
    ]
    assert basis(manifest, reports, 0)[0] == (
        "The model recognises 75.0 % of 8 held-out images of 2 classes "
        "(75.0 % of their training images)."
    )


def test_a_photograph_is_not_larger_than_the_page_needs():
    large = photograph(Image.new("RGB", (1000, 500)))
    assert (large.width, large.height) == (VIEW, VIEW // 2)
    small = photograph(Image.new("RGB", (24, 24)))
    assert (small.width, small.height) == (24, 24)
    assert len(veil(np.zeros((7, 7)), (0, 114, 178), (24, 24)).uri) < 500


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    made = Report(b"<!doctype html>", "", (), 0, 0, 0, (), 0, None)
    target = tmp_path / "deep" / "report.html"
    write_page(made, target)
    assert target.read_bytes() == made.html
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"Nothing appeared at .*folder"):
        write_page(made, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "folder"]
    with pytest.raises(OutputError, match="cannot write"):
        write_page(replace(made), target / "below-a-file.html")


def test_words():
    assert per_cent(-0.0, 1) == per_cent(-1e-9, 1) == "0.0 %"
    assert per_cent(0.345) == "34 %"
    assert number_of(1, "class", "classes") == "1 class"
    assert number_of(2, "image") == "2 images"
    assert escaped("a|b\n<b>*@me*") == "a\\|b \\<b\\>\\*\\@me\\*"


def test_the_command_writes_the_page_and_appends_the_summary(config, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("BROWSER", "any")
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    arguments = [
        "report", str(config.artifact), "--data", str(config.data),
        "--out", str(tmp_path / "report.html"), "--images", "2", "--classes", "red",
        "--summary", str(summary), "--open",
    ]  # fmt: skip
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == "  1 class, 1 with warnings"
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!doctype html>")
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert summary.read_text().startswith("before\n### Report of tiny.onnx, k = 2\n")


def test_a_page_is_not_named_markdown(config, tmp_path):
    out = tmp_path / "report.md"
    arguments = ["report", str(config.artifact), "--data", str(config.data), "--out", str(out)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert f"pass --summary {out} for Markdown" in done.stderr
    assert not out.exists()


def test_an_expected_failure_is_one_line_and_leaves_nothing(config, tmp_path, capsys, monkeypatch):
    out = tmp_path / "report.html"
    arguments = ["report", str(config.artifact), "--data", str(config.data), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["protohead", *arguments, "--classes", "mauve"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.strip() == (
        "protohead: expected a label of this model, got 'mauve'. There are 'red', 'green', 'blue'."
    )
    assert not out.exists()
