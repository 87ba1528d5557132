"""The page and the server's answers as files."""

import json

import pytest
from page import relabel

from serving.answers.model_schema import ClassesAnswer, ModelAnswer, PrototypesAnswer, SamplesAnswer
from serving.artifact import sha256_of
from serving.errors import ArtifactError
from serving.frozen import SERVER_API, frozen
from serving.web.api import PAGE


@pytest.fixture(scope="module")
def files(tiny_export):
    return dict(frozen(tiny_export[1].folder))


def test_every_file_of_the_page_is_there_and_its_api_makes_room_for_another(files):
    page = {f"page/{path.name}" for path in PAGE.iterdir()} - {"page/index.html", "page/api.js"}
    assert {name for name in files if name.startswith("page/")} == {*page, SERVER_API}
    assert files[SERVER_API] == (PAGE / "api.js").read_bytes()


def test_the_page_may_load_nothing_but_its_own_files(files):
    index = files["index.html"].decode()
    assert "default-src 'none'" in index
    assert "script-src 'self' 'wasm-unsafe-eval';" in index
    assert "frame-ancestors" not in index  # which browsers take from headers alone
    assert index.count("<meta http-equiv") == 1


def test_answers_have_the_servers_shape_and_say_what_the_artifact_says(files, tiny_export):
    _, artifact = tiny_export
    model = ModelAnswer.model_validate_json(files["v1/model.json"])
    assert model.artifact == sha256_of(artifact.path("manifest.json"))
    classes = ClassesAnswer.model_validate_json(files["v1/classes.json"]).classes
    assert [one.label for one in classes] == list(artifact.manifest.labels)
    assert len(SamplesAnswer.model_validate_json(files["v1/samples.json"]).samples) == model.samples
    for one in classes:
        answer = files[f"v1/classes/{one.id}/prototypes.json"]
        assert PrototypesAnswer.model_validate_json(answer).id == one.id


def test_every_picture_that_an_answer_names_is_a_file(files, tiny_export):
    _, artifact = tiny_export
    named = [
        crop["url"]
        for one in range(3)
        for part in json.loads(files[f"v1/classes/{one}/prototypes.json"])["prototypes"]
        for crop in part["evidence"]
    ]
    named += [sample["url"] for sample in json.loads(files["v1/samples.json"])["samples"]]
    assert named
    for url in named:
        name = url.partition("?")[0].removeprefix("/")
        assert files[name].startswith(b"\xff\xd8")
        if "evidence" in name:
            assert files[name] == artifact.path(name.removeprefix("v1/")).read_bytes()


def test_a_label_that_looks_like_an_id_is_no_id(tiny_export, tmp_path):
    folder = relabel(tiny_export[1], tmp_path / "relabelled", ["1", "0", "00"])
    found = dict(frozen(folder))
    answers = [json.loads(found[f"v1/classes/{id_}/prototypes.json"]) for id_ in range(3)]
    assert [answer["label"] for answer in answers] == ["1", "0", "00"]


def test_what_cannot_be_served_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="manifest"):
        list(frozen(tmp_path))
