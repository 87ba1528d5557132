"""The public routes: what they answer, in every form of a request."""

import base64
import io
import json
import shutil

import httpx
import numpy as np
import onnxruntime as ort
import pytest
import tiny
from http_server import listening
from manifests import write_manifest
from PIL import Image
from places import TOYBIRDS

from exporter import ExportConfig, edit, export
from serving import Predictor, Preprocessing
from serving.answers import model_schema, schema
from serving.artifact import MANIFEST
from serving.drawing.overlay import strength
from serving.drawing.palette import prototype_colour
from serving.process.settings import Settings

# Contributions, bias and common are float32 values below 20, summed in another order.
ROUNDING = 2e-5


def png(label=0, number=50):
    content = io.BytesIO()
    tiny.image(label, number).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export[1].folder, threads=1)


@pytest.fixture(scope="module")
def client(tiny_export):
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)
    with listening(settings) as address, address.client() as client:
        yield client


def ask(client, path, *images, **fields):
    files = [("image", ("picture.png", image)) for image in images or (png(),)]
    answer = client.post(path, files=files, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def explained(client, *images, **fields):
    return ask(client, "/v1/explain", *images, **fields)["results"][0]


def test_logits_over_http_are_the_sources_bit_for_bit(client, predictor, tiny_export):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    source = ort.InferenceSession(tiny_export[0].model, options)
    images = [png(label, number) for label in range(3) for number in range(60, 63)]
    answers = [
        ask(client, "/v1/predict", image, logits="true")["results"][0]["logits"] for image in images
    ]
    tensors = [predictor.preprocess(image)[1] for image in images]
    expected = [source.run(None, {"image": tensor[None]})[0][0] for tensor in tensors]
    assert np.array(answers, dtype=np.float64).tolist() == np.array(expected).tolist()


def test_toybirds_logits_over_http_are_the_sources_bit_for_bit(toybirds, tmp_path):
    folder = export_toybirds(toybirds, tmp_path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    source = ort.InferenceSession(TOYBIRDS / "toybirds.onnx", options)
    prepare = Predictor(folder, threads=1).preprocess
    with listening(Settings(artifact=folder, provider="cpu", threads=1)) as address:
        for image in drawn_toybirds(toybirds, "test", 2):
            answer = address.post(
                "/v1/explain?heatmaps=none", content=image, headers={"content-type": "image/png"}
            ).json()["results"][0]
            logits = source.run(None, {"image": prepare(image)[1][None]})[0][0]
            for explained in answer["classes"]:
                assert explained["logit"] == float(logits[explained["id"]])
            assert answer["residual"] < ROUNDING


def test_every_form_of_a_body_gives_the_same_answer(client):
    image = png()
    text = base64.b64encode(image).decode()
    bodies = [
        {"files": {"image": ("a.png", image)}, "data": {"top": "2"}},
        {"content": image, "headers": {"content-type": "image/png"}, "params": {"top": 2}},
        {
            "content": image,
            "headers": {"content-type": "application/octet-stream"},
            "params": {"top": 2},
        },
        {"json": {"image": text, "top": 2}},
        {"json": {"images": [text], "top": 2}},
        {"json": {"image": f"data:image/png;base64,{text}"}, "params": {"top": 2}},
    ]
    for path in ("/v1/predict", "/v1/explain"):
        answers = [client.post(path, **body).json() for body in bodies]
        assert len(answers[0]["results"][0]["classes"]) == 2
        assert all(answer == answers[0] for answer in answers)


def test_many_images_are_answered_in_order_as_they_are_alone(client):
    images = [png(label) for label in (2, 0, 1)]
    for path in ("/v1/predict", "/v1/explain"):
        together = ask(client, path, *images)["results"]
        assert together == [ask(client, path, image)["results"][0] for image in images]


def test_the_answer_is_the_predictors(client, predictor):
    image = png(2)
    expected = predictor.explain(image).classes
    answer = explained(client, image)["classes"]
    assert [c["id"] for c in answer] == [c.class_id for c in expected]
    for found, wanted in zip(answer, expected, strict=True):
        assert (found["label"], found["whole"]) == (wanted.label, wanted.whole)
        assert found["logit"] == wanted.logit
        assert found["bias"] == wanted.bias
        assert found["common"] == wanted.common
        assert (found["unplaced"], found["placed"]) == (0.0, 1.0)
        assert found["probability"] == wanted.probability
        for part, prototype in zip(found["prototypes"], wanted.prototypes, strict=True):
            assert (part["index"], part["name"]) == (prototype.index, prototype.name)
            assert part["contribution"] == prototype.contribution
            # The text of a float32 reads back as that float32.
            assert np.array_equal(np.float32(part["heatmap"]), prototype.heatmap)


def test_contributions_bias_and_common_sum_to_the_logit_within_the_stated_residual(client):
    answer = explained(client)
    for c in answer["classes"]:
        total = sum(p["contribution"] for p in c["prototypes"]) + c["bias"] + c["common"]
        assert abs(total - c["logit"]) <= answer["residual"] < ROUNDING


def test_the_positive_shares_of_a_class_sum_to_one(client):
    mixed = 0
    plain = io.BytesIO()
    Image.new("RGB", (tiny.SIZE, tiny.SIZE), "magenta").save(plain, "PNG")
    for image in (png(), plain.getvalue()):
        for c in explained(client, image, classes="0,1,2")["classes"]:
            shares = [p["share"] for p in c["prototypes"]]
            signs = [np.sign(p["contribution"]) for p in c["prototypes"]]
            if 1 in signs:
                assert sum(share for share in shares if share > 0) == pytest.approx(1)
                assert np.sign(shares).tolist() == signs
            else:
                assert shares == [0, 0]
            mixed += len(set(signs)) > 1
    assert mixed  # what speaks against a class is no part of the whole


def test_classes_are_named_by_id_or_label_in_every_way(client):
    wanted = ["blue", "red"]
    text = base64.b64encode(png()).decode()
    for fields in ({"classes": ["blue", "red"]}, {"classes": "blue,0"}, {"classes": ["2", "red"]}):
        assert [c["label"] for c in explained(client, **fields)["classes"]] == wanted
    answer = client.post("/v1/explain", json={"image": text, "classes": [2, "red"]}).json()
    assert [c["label"] for c in answer["results"][0]["classes"]] == wanted


def test_muting_takes_the_contribution_away_and_shows_both_logits(client):
    plain = {c["label"]: c for c in explained(client, classes="0,1,2")["classes"]}
    answer = explained(client, classes="red", mute=["red:1", "0:0"])
    after = answer["classes"][0]
    removed = sum(p["contribution"] for p in plain["red"]["prototypes"])
    assert after["logit"] == pytest.approx(plain["red"]["logit"] - removed, abs=ROUNDING)
    assert all(p["muted"] and p["contribution"] == 0 for p in after["prototypes"])
    assert answer["residual"] < ROUNDING
    before = {c["label"]: c["logit"] for c in answer["before"]}
    assert before["red"] == plain["red"]["logit"]
    best = max(plain.values(), key=lambda c: c["logit"])
    assert answer["before"][0]["label"] == best["label"]  # the best class is always among them


def test_muting_orders_the_classes_by_what_is_left(client):
    best, second = explained(client)["classes"]
    muted = [f"{best['id']}:{p['index']}" for p in best["prototypes"]]
    answer = explained(client, mute=muted)
    assert answer["classes"][0]["id"] == second["id"]
    assert [c["logit"] for c in answer["classes"]] == sorted(
        (c["logit"] for c in answer["classes"]), reverse=True
    )
    assert answer["before"][0]["id"] == best["id"]


def test_json_mutes_by_class_and_prototype(client):
    body = {
        "image": base64.b64encode(png()).decode(),
        "classes": ["red"],
        "mute": [{"class": "red", "prototype": 1}, {"class": 0, "prototype": 0}],
    }
    answer = client.post("/v1/explain", json=body).json()["results"][0]
    assert answer == explained(client, classes="red", mute=["red:0", "red:1"])


def test_heatmaps_come_as_pictures_in_the_prototypes_colour(client, predictor):
    image = png()
    expected = predictor.explain(image).classes[0].prototypes[1].heatmap
    answer = explained(client, image, heatmaps="png", upsample="96")
    url = answer["classes"][0]["prototypes"][1]["heatmap"]
    head, _, content = url.partition(",")
    assert head == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.size == (96, 96)
    pixels = np.asarray(picture.convert("RGBA"))
    assert (pixels[..., :3] == prototype_colour(1)).all()
    # Half a level of 255 is lost in rounding.
    assert np.abs(pixels[..., 3] / 255 - strength(expected, (96, 96))).max() <= 0.5 / 255 + 1e-9


def test_heatmaps_can_be_left_out(client):
    answer = explained(client, heatmaps="none")
    assert all(p["heatmap"] is None for c in answer["classes"] for p in c["prototypes"])


def test_the_terms_of_a_contrast_sum_to_the_difference_of_the_logits(client):
    logits = {c["label"]: c["logit"] for c in explained(client, classes="0,1,2")["classes"]}
    answer = ask(client, "/v1/contrast", a="red", b="2")
    assert answer["logit_difference"] == logits["red"] - logits["blue"]
    values = [term["value"] for term in answer["terms"]]
    assert sum(values) == pytest.approx(answer["logit_difference"], abs=ROUNDING)
    assert [abs(v) for v in values] == sorted((abs(v) for v in values), reverse=True)
    for side, sign in (("a", 1), ("b", -1)):
        found = {t["index"]: t["value"] for t in answer["terms"] if t["side"] == side}
        parts = {p["index"]: sign * p["contribution"] for p in answer[side]["prototypes"]}
        assert found == parts


def test_a_contrast_mutes_as_an_explanation_does(client):
    muted = explained(client, classes="red,blue", mute="red:0")
    answer = ask(client, "/v1/contrast", a="red", b="blue", mute="red:0")
    assert [answer["a"], answer["b"]] == muted["classes"]
    assert answer["before"] == muted["before"]
    assert answer["logit_difference"] == answer["a"]["logit"] - answer["b"]["logit"]
    values = [term["value"] for term in answer["terms"]]
    assert sum(values) == pytest.approx(answer["logit_difference"], abs=ROUNDING)
    assert answer["a"]["prototypes"][0]["muted"]
    assert ask(client, "/v1/contrast", a="red", b="blue")["before"] is None


@pytest.mark.parametrize(
    ("method", "path", "model"),
    [
        ("POST", "/v1/predict", schema.PredictAnswer),
        ("POST", "/v1/explain?mute=0:0", schema.ExplainAnswer),
        ("POST", "/v1/contrast?a=0&b=1&mute=0:0", schema.ContrastAnswer),
        ("GET", "/v1/model", model_schema.ModelAnswer),
        ("GET", "/v1/classes", model_schema.ClassesAnswer),
        ("GET", "/v1/classes/red/prototypes", model_schema.PrototypesAnswer),
        ("GET", "/v1/samples", model_schema.SamplesAnswer),
    ],
)
def test_answers_hold_exactly_what_their_model_documents(client, method, path, model):
    if method == "POST":
        headers = {"content-type": "image/png"}
        answer = client.post(path, content=png(), headers=headers).json()
    else:
        answer = client.get(path).json()
    documented = model.model_validate(answer).model_dump(mode="json", exclude_unset=True)
    assert documented == answer


def test_the_model_route_says_what_is_served_and_where_it_runs(client, tiny_export):
    answer = client.get("/v1/model").json()
    manifest = tiny_export[1].manifest
    assert answer["name"] == "tiny"
    assert answer["sha256"] == manifest.source.sha256
    assert (answer["k"], answer["top"], answer["classes"]) == (2, 2, 3)
    running = ["CPUExecutionProvider"]
    assert answer["provider"] == {"asked": "cpu", "running": running, "doubt": None}
    assert {gate["name"] for gate in answer["verification"]} == {
        gate.name for gate in manifest.verification
    }


def test_edits_are_shown_with_their_reasons_and_effects(tiny_export, tmp_path):
    config, artifact = tiny_export
    why = "looks at the frame"
    edit(artifact.folder, tmp_path / "1", reason=why, mute=[("green", 1)], data=config.data)
    edit(tmp_path / "1", tmp_path / "2", reason="names", names=[((2, 1), "=blue")])
    settings = Settings(artifact=tmp_path / "2", provider="cpu", threads=1)
    with listening(settings) as address, address.client() as client:
        first, second = client.get("/v1/model").json()["edits"]
        prototypes = client.get("/v1/classes/green/prototypes").json()["prototypes"]
        others = client.get("/v1/classes/blue/prototypes").json()["prototypes"]
    assert (first["reason"], first["muted"]) == (why, [{"class": 1, "prototype": 1}])
    effect = first["effect"]
    assert effect["data"] == config.data.name
    assert effect["accuracy_after"] - effect["accuracy_before"] == pytest.approx(
        (effect["corrected"] - effect["broken"]) / effect["images"]
    )
    assert (second["reason"], second["muted"], second["effect"]) == ("names", [], None)
    assert [prototype["muted"] for prototype in prototypes] == [None, why]
    assert [prototype["muted"] for prototype in others] == [None, None]


def test_evidence_links_lead_to_the_crops_and_may_be_kept_for_ever(client, tiny_export):
    folder = tiny_export[1].folder
    shown = client.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"]
    assert shown == explained(client, classes="2")["classes"][0]["prototypes"][0]["evidence"]
    link = shown[0]["url"]
    crop = client.get(link)
    path = link.removeprefix("/v1/").partition("?")[0]
    assert crop.content == (folder / path).read_bytes()
    assert crop.headers["content-type"] == "image/jpeg"
    assert "immutable" in crop.headers["cache-control"]
    again = client.get(link, headers={"if-none-match": crop.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_whole_images_are_served_as_crops_are_and_null_where_none_were_kept(client, tmp_path):
    link = client.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"][0]
    assert link["context"] is None
    artifact = export(tiny.write(tmp_path).model_copy(update={"context": True}))
    settings = Settings(artifact=artifact.folder, provider="cpu", threads=1, reload=0)
    with listening(settings) as address, address.client() as other:
        shown = other.get("/v1/classes/2/prototypes").json()["prototypes"]
        classes = explained(other, classes="2")["classes"]
        assert [p["evidence"] for p in classes[0]["prototypes"]] == [p["evidence"] for p in shown]
        for crop in shown[1]["evidence"]:
            answer = other.get(crop["context"]["url"])
            path = crop["context"]["url"].removeprefix("/v1/").partition("?")[0]
            assert answer.content == artifact.path(path).read_bytes()
            assert "immutable" in answer.headers["cache-control"]
            left, top, right, bottom = crop["context"]["box"]
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1


def test_evidence_without_its_version_must_be_asked_for_again(client):
    link = client.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"][0]["url"]
    bare = client.get(link.partition("?")[0])
    assert bare.headers["cache-control"] == "public, no-cache"


@pytest.mark.parametrize("change", [lambda v: v[:1], lambda v: v[:-1] + "x", lambda _: "zzz"])
def test_evidence_of_another_version_is_not_found(client, change):
    link = client.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"][0]["url"]
    path, _, version = link.partition("?v=")
    for url in (path, client.get("/v1/samples").json()["samples"][0]["url"].partition("?")[0]):
        answer = client.get(f"{url}?v={change(version)}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:protohead:unknown-path")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("*", 304),
        ('"other", W/{tag}', 304),
        ("{tag}", 304),
        ('"x{digest}"', 200),
        ("{digest}", 200),
        ('"other"', 200),
    ],
)
def test_only_the_whole_tag_says_that_nothing_changed(client, header, status):
    link = client.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"][0]["url"]
    tag = client.get(link).headers["etag"]
    sent = header.format(tag=tag, digest=tag.strip('"'))
    assert client.get(link, headers={"if-none-match": sent}).status_code == status
    two = [("if-none-match", '"other"'), ("if-none-match", sent)]
    assert client.get(link, headers=two).status_code == status


def test_head_is_get_without_the_body(client):
    link = client.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"][0]["url"]
    for path in ("/", "/page/app.js", "/v1/model", "/metrics", "/v2/health/ready", link):
        get, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        if path != "/metrics":  # it counts these very requests
            assert head.headers["content-length"] == get.headers["content-length"]
    assert client.head("/v1/predict").status_code == 405


def test_the_files_of_the_page_are_asked_for_again(client):
    for path in ("/", "/page/app.js", "/page/style.css"):
        assert client.get(path).headers["cache-control"] == "no-cache"


def test_what_names_a_class_is_the_same_in_every_part_of_a_request(toybirds_like_numbers):
    with listening(toybirds_like_numbers) as address, address.client() as client:
        # Labels 2, 7 and 0 of the classes 0, 1 and 2: a label first, else digits are an id.
        for text, index in (("2", 0), ("7", 1), ("0", 2), ("00", 0), ("1", 1), ("002", 2)):
            assert client.get(f"/v1/classes/{text}/prototypes").json()["id"] == index
            files = {"image": png()}
            form = {"classes": text, "heatmaps": "none"}
            answer = client.post("/v1/explain", files=files, data=form).json()
            assert answer["results"][0]["classes"][0]["id"] == index
            plain = {"image": base64.b64encode(png()).decode(), "classes": [text]}
            answer = client.post("/v1/explain", json=plain).json()
            assert answer["results"][0]["classes"][0]["id"] == index
        plain["classes"] = [2, 1, 0]  # numbers are ids, whatever the labels are
        found = client.post("/v1/explain", json=plain).json()["results"][0]["classes"]
        assert [c["id"] for c in found] == [2, 1, 0]


def test_prototypes_that_show_the_same_thing_name_each_other(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for number, record in enumerate(manifest["classes"]):
        for index, prototype in enumerate(record["prototypes"]):
            prototype["alike"] = [1 - index] if number == 1 else []
    write_manifest(folder, manifest)
    with (
        listening(Settings(artifact=folder, provider="cpu", threads=1)) as address,
        address.client() as client,
    ):
        classes = client.get("/v1/classes").json()["classes"]
        answer = client.get("/v1/classes/1/prototypes").json()
    assert [record["distinct"] for record in classes] == [2, 1, 2]
    assert answer["distinct"] == 1
    assert [prototype["alike"] for prototype in answer["prototypes"]] == [[1], [0]]


def test_a_label_with_commas_is_one_class_and_between_others_a_comma_parts(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for record, label in zip(manifest["classes"], ("robin, european", "wren", "owl"), strict=True):
        record["label"] = label
    write_manifest(folder, manifest)
    settings = Settings(artifact=folder, provider="cpu", threads=1)
    with listening(settings) as address, address.client() as client:
        for text, ids in (("robin, european", [0]), ("owl, wren", [2, 1]), ("2,0", [2, 0])):
            assert [c["id"] for c in explained(client, classes=text)["classes"]] == ids
        found = explained(client, classes="0,1", mute=["robin, european:1", "wren:0, 1:1"])
        muted = [[p["muted"] for p in c["prototypes"]] for c in found["classes"]]
        assert muted == [[False, True], [True, True]]


def test_a_class_named_twice_is_explained_once(client):
    answer = explained(client, classes=["blue", "red", "2"])
    assert [c["label"] for c in answer["classes"]] == ["blue", "red"]


@pytest.fixture
def toybirds_like_numbers(tmp_path):
    """Settings of the tiny classifier with labels that are digits, and ids of other classes."""
    config = tiny.write(tmp_path)
    for old, new in zip(tiny.LABELS, ("2", "7", "0"), strict=True):
        (config.data / old).rename(config.data / new)
    export(config.model_copy(update={"labels": ("2", "7", "0")}))
    return Settings(artifact=config.out, provider="cpu", threads=1)


def test_an_unknown_class_in_a_path_is_not_found(client):
    for name in ("3", "99", "nobody", "red,green"):
        answer = client.get(f"/v1/classes/{name}/prototypes")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:protohead:unknown-path")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/evidence/00000/../../model.onnx",
        "/v1/evidence/00000/..%2f..%2fmodel.onnx",
        "/v1/evidence/00000/%2e%2e",
        "/v1/evidence/00009/0-0.jpg",
        "/v1/evidence/00000/manifest.json",
        "/v1/samples/99.jpg",
    ],
)
def test_only_listed_files_are_served(client, path):
    # httpx would resolve the dots before it sends.
    url = client.base_url.copy_with(raw_path=path.encode())
    answer = client.send(httpx.Request("GET", url))
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_crop_that_was_changed_since_is_not_found(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")
    settings = Settings(artifact=folder, provider="cpu", threads=1, reload=0)
    with listening(settings) as address:
        shown = address.get("/v1/classes/2/prototypes").json()["prototypes"][0]["evidence"][0]
        path = folder / shown["url"].removeprefix("/v1/").partition("?")[0]
        path.write_bytes(path.read_bytes() + b"0")
        assert address.get(shown["url"]).status_code == 404


def test_samples_of_a_network_that_takes_blue_first_have_their_own_colours(tmp_path):
    config = tiny.write(tmp_path)
    blue_first = Preprocessing(crop=tiny.SIZE, channels="BGR")
    export(config.model_copy(update={"preprocessing": blue_first}))
    settings = Settings(artifact=config.out, provider="cpu", threads=1)
    with listening(settings) as address:
        link = address.get("/v1/samples").json()["samples"][0]["url"]
        sample = Image.open(io.BytesIO(address.get(link).content))
    original = Image.open(config.data / "red" / "000.png")
    difference = np.abs(np.asarray(sample, float) - np.asarray(original, float)).mean()
    assert difference < 0.05 * 255  # JPEG of noise


def test_samples_are_what_the_network_saw(client, predictor, tiny_export):
    with np.load(tiny_export[1].path("golden.npz")) as golden:
        inputs = golden["inputs/image"]
    samples = client.get("/v1/samples").json()["samples"]
    assert len(samples) == len(inputs)
    for sample, tensor in zip(samples, inputs, strict=True):
        found = predictor.preprocess(client.get(sample["url"]).content)[1]
        assert found.shape == tensor.shape
        assert np.abs(found - tensor).mean() < 0.05  # JPEG of noise; of 0 to 1


def export_toybirds(toybirds, folder):
    for index, image in enumerate(drawn_toybirds(toybirds, "train", 6)):
        species = list(toybirds.SPECIES)[index % len(toybirds.SPECIES)]
        path = folder / "data" / species / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    config = ExportConfig(
        model=str(TOYBIRDS / "toybirds.onnx"),
        data=folder / "data",
        out=folder / "artifact",
        preprocessing=Preprocessing.model_validate_json(
            (TOYBIRDS / "preprocess.json").read_bytes()
        ),
        prototypes=2,
        jobs=1,
    )
    return export(config).folder


def drawn_toybirds(toybirds, split, number):
    for i in range(number):
        for species in toybirds.SPECIES:
            drawn = toybirds.draw(toybirds.scene(toybirds.SPLITS[split] + 30_000 + i, species))
            content = io.BytesIO()
            Image.fromarray(drawn.image).save(content, "PNG")
            yield content.getvalue()
