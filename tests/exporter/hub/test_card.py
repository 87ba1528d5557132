"""A card says what the manifest says, and labels in it stay text."""

import hashlib
import re
import shutil

import yaml
from markdown_it import MarkdownIt

from exporter.evaluate.baselines.methods import OURS
from exporter.evaluate.metrics.catalog import METRICS
from exporter.evaluate.results import Evaluation, Figure, MetricRecord
from exporter.hub.card import CardOptions, write_card
from serving import load_artifact
from serving.artifact import Artifact

HOSTILE = "<script>alert(1)</script>|](http://evil) **x**\n---\n# www.evil.com `a` ![i](x)"


def with_labels(artifact, label):
    first, *rest = artifact.manifest.classes
    prototypes = tuple(p.model_copy(update={"name": label}) for p in first.prototypes)
    changed = first.model_copy(
        update={"label": label, "prototypes": prototypes, "warnings": (label,)}
    )
    return Artifact(
        artifact.folder, artifact.manifest.model_copy(update={"classes": (changed, *rest)})
    )


def copied(artifact, folder):
    return shutil.copytree(artifact.folder, folder / "artifact")


def split(card):
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_metadata_are_those_of_the_hub(tiny_export):
    options = CardOptions(license="apache-2.0", base_model="someone/resnet")
    front, _ = split(write_card(tiny_export[1], options))
    assert front["pipeline_tag"] == "image-classification"
    assert front["license"] == "apache-2.0"
    assert front["base_model"] == "someone/resnet"
    assert "license" not in split(write_card(tiny_export[1], CardOptions()))[0]


def test_metadata_cannot_leave_their_line(tiny_export):
    front, _ = split(write_card(tiny_export[1], CardOptions(license='x"\n---\nevil: yes')))
    assert front["license"] == 'x"\n---\nevil: yes'
    assert "evil" not in front


def test_it_names_every_class_prototype_and_gate(tiny_export):
    manifest = tiny_export[1].manifest
    _, body = split(write_card(tiny_export[1], CardOptions(), address="hf://a/b"))
    for record in manifest.classes:
        assert record.label in body
    for gate in manifest.verification:
        assert f"| {gate.name} | {gate.state} |" in body
    assert "protohead pull hf://a/b" in body
    assert manifest.classes[0].prototypes[0].evidence[0].file in body


def test_hostile_labels_stay_text(tiny_export):
    _, body = split(write_card(with_labels(tiny_export[1], HOSTILE), CardOptions()))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "<script" not in html
    assert "<strong>x" not in html
    assert not re.search(r'(href|src)="(?!evidence/)', html)
    assert html.count("<h1>") == 1
    plain = MarkdownIt().enable("table").render(split(write_card(tiny_export[1], CardOptions()))[1])
    assert html.count("<td>") == plain.count("<td>")


def test_the_same_artifact_gives_the_same_bytes(tiny_export):
    again = load_artifact(tiny_export[1].folder)
    assert write_card(again, CardOptions()) == write_card(tiny_export[1], CardOptions())


def test_the_verb_writes_beside_the_manifest_and_replaces_nothing_unasked(
    run, tiny_export, tmp_path
):
    folder = copied(tiny_export[1], tmp_path)
    assert run("card", folder)[0] == 0
    (folder / "README.md").write_text("mine")
    code, _, err = run("card", folder)
    assert code == 1
    assert "--overwrite" in err
    assert (folder / "README.md").read_text() == "mine"
    assert run("card", folder, "--overwrite", "--license", "mit")[0] == 0
    assert "mit" in (folder / "README.md").read_text()
    load_artifact(folder)


def evaluation(artifact):
    figure = Figure(mean=0.125, classes=(0.125,))
    metric = METRICS[0]
    return Evaluation(
        artifact=artifact,
        source="a.onnx",
        prototypes=1,
        classes=("a",),
        images=7,
        skipped=0,
        parts=(),
        seeds=1,
        metrics=(MetricRecord.of(metric),),
        methods=(OURS,),
        figures={OURS: {metric.name: figure}},
        notes=(HOSTILE,),
    )


def test_the_figures_of_its_own_evaluation_are_shown(run, tiny_export, tmp_path):
    folder = copied(tiny_export[1], tmp_path)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    (tmp_path / "evaluation.json").write_bytes(evaluation(digest).dump())
    assert run("card", folder, "--evaluation", tmp_path / "evaluation.json")[0] == 0
    body = (folder / "README.md").read_text()
    assert "0.125" in body
    assert "<script" not in MarkdownIt().render(body)


def test_an_evaluation_of_another_artifact_is_refused(run, tiny_export, tmp_path):
    folder = copied(tiny_export[1], tmp_path)
    (tmp_path / "evaluation.json").write_bytes(evaluation("0" * 64).dump())
    code, _, err = run("card", folder, "--evaluation", tmp_path / "evaluation.json")
    assert code == 1
    assert "of another artifact" in err
    assert not (folder / "README.md").exists()
