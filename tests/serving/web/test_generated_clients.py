"""Clients made of /openapi.json call every route that answers.

Those of openapi-python-client by every media type that they offer, those of openapi-generator,
which needs Java, by JSON.
"""

import base64
import importlib
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny
from http_server import listening

from serving.process.settings import Settings

pytestmark = pytest.mark.slow  # it installs the generator in an environment of its own
GENERATORS = ("openapi-python-client==0.29.1", "openapi-generator-cli==7.26.0")
SHAPE = [1, 3, tiny.SIZE, tiny.SIZE]


@pytest.fixture(scope="module")
def server(tiny_export):
    with listening(Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)) as address:
        yield address


@pytest.fixture(scope="module")
def generate(server, tmp_path_factory):
    """Run a generator on the description; the folder of its clients can be imported from."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "openapi.json").write_text(server.get("/openapi.json").text)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv" / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", *GENERATORS], check=True)

    def generate_(program, *arguments):
        subprocess.run([programs / program, "generate", *arguments], check=True, cwd=folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield generate_


@pytest.fixture(scope="module")
def made(generate):
    """Imports a module of the client that openapi-python-client makes."""
    arguments = ("--path", "openapi.json", "--meta", "none", "--output-path", "made_client")
    generate("openapi-python-client", *arguments)
    return lambda name: importlib.import_module(f"made_client{name}")


@pytest.fixture(scope="module")
def models(made):
    return made(".models")


@pytest.fixture(scope="module")
def call(made, server):
    """Call an operation; returns the model that its answer is parsed into."""
    with made("").Client(server.url) as client:

        def call_(tag, operation, **arguments):
            answer = made(f".api.{tag}.{operation}").sync_detailed(client=client, **arguments)
            return answer.parsed if answer.parsed is not None else answer.content

        yield call_


@pytest.fixture(scope="module")
def image():
    content = io.BytesIO()
    tiny.image(0, 7).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def text(image):
    return base64.b64encode(image).decode()


@pytest.fixture
def file(made, image):
    """A file as the client takes it, new each time: it is read to its end."""
    types = made(".types")
    return lambda content=image: types.File(
        payload=io.BytesIO(content), file_name="a.png", mime_type="image/png"
    )


def test_predict(call, models, text, file):
    def best(body):
        return [found.classes[0].label for found in call("answers", "predict", body=body).results]

    assert best(models.PredictRequest(image=text)) == ["red"]
    assert best(models.PredictRequest(images=[text, text])) == ["red", "red"]
    assert best(models.PredictFilesBody(image=[file(), file()])) == ["red", "red"]
    assert best(file()) == ["red"]
    for kind, images in (("Request", {"image": text}), ("FilesBody", {"image": [file()]})):
        body = getattr(models, f"Predict{kind}")(top=1, logits=True, **images)
        (found,) = call("answers", "predict", body=body).results
        assert (len(found.classes), len(found.logits)) == (1, 3)


@pytest.mark.parametrize("heatmaps", ["values", "float32", "float16", "png", "none"])
def test_explain(call, models, text, file, heatmaps):
    options = {"heatmaps": models.Heatmaps(heatmaps), "upsample": 30}
    mute = models.Mute(class_="red", prototype=0), models.Mute(class_=1, prototype=1)
    as_json = models.ExplainRequest(image=text, classes=["blue", 0], mute=[*mute], **options)
    as_form = models.ExplainFilesBody(
        image=[file()], classes=["blue", "0"], mute=["red:0", "1:1"], **options
    )
    answers = [call("answers", "explain", body=body) for body in (as_json, as_form)]
    assert answers[0] == answers[1]
    (found,) = answers[0].results
    assert {one.label for one in found.classes} == {"red", "blue"}
    assert len(found.before) == 3
    heatmap = found.classes[0].prototypes[0].heatmap
    kind = {"values": list, "none": type(None)}.get(heatmaps, str)
    assert type(heatmap) is kind


def test_explain_as_it_comes(call, models, text, file):
    bodies = (
        models.ExplainRequest(image=text),
        models.ExplainFilesBody(image=[file()]),
        file(),
        models.ExplainRequest(image=text, top=2),
    )
    answers = [call("answers", "explain", body=body) for body in bodies]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0].results[0].classes) == 2


def test_contrast(call, models, text, file):
    as_json = models.ContrastRequest(image=text, a="red", b=2)
    as_form = models.ContrastFilesBody(image=file(), a="red", b="2")
    answers = [call("answers", "contrast", body=body) for body in (as_json, as_form)]
    assert answers[0] == answers[1]
    assert (answers[0].a.label, answers[0].b.label) == ("red", "blue")
    as_json.mute = [models.Mute(class_="red", prototype=0)]
    assert call("answers", "contrast", body=as_json).a.prototypes[0].muted


@pytest.mark.parametrize("form", ["named", "bare", "tensor"])
def test_kserve(call, models, text, form):
    instance = {
        "named": {"image": {"b64": text}},
        "bare": {"b64": text},
        "tensor": np.full(SHAPE[1:], 0.5).tolist(),
    }[form]
    options = {"instances": [instance, instance]}
    to = {"tag": "k_serve_v_1", "name": "tiny"}
    body = models.PredictInstances(**options)
    assert len(call(operation="predict_instances", body=body, **to).predictions) == 2
    body = models.ExplainInstances(**options)
    assert len(call(operation="explain_instances", body=body, **to).explanations) == 2
    body = models.PredictInstances(**options, parameters=models.PredictOptions(top=1, logits=True))
    assert len(call(operation="predict_instances", body=body, **to).predictions[0].logits) == 3
    parameters = models.ExplainOptions(classes=["red", 2], heatmaps=models.Heatmaps.NONE)
    body = models.ExplainInstances(**options, parameters=parameters)
    assert len(call(operation="explain_instances", body=body, **to).explanations[0].classes) == 2


def test_infer(call, models, made):
    to = {"tag": "open_inference_protocol", "name": "tiny"}
    (declared,) = call(operation="model_metadata", **to).inputs
    tensor = {"name": declared.name, "shape": SHAPE, "datatype": declared.datatype}
    data = np.full(SHAPE, 0.5, "<f4")
    body = models.InferRequest(inputs=[models.InputTensor(**tensor, data=data.ravel().tolist())])
    answers = [
        call(operation="infer", body=body, **to),
        call(operation="infer_version", version="1", body=body, **to),
    ]
    size = models.InputTensorParameters.from_dict({"binary_data_size": data.nbytes})
    head = models.InferRequest(inputs=[models.InputTensor(**tensor, parameters=size)])
    head = json.dumps(head.to_dict()).encode()
    body = made(".types").File(payload=io.BytesIO(head + data.tobytes()))
    to |= {"body": body, "inference_header_content_length": len(head)}
    answers.append(call(operation="infer", **to))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].outputs[0].name == "logits"


def test_a_picture_comes_as_bytes(call):
    assert call("model", "get_sample", file="0.jpg").startswith(b"\xff\xd8\xff")


def test_a_problem_is_parsed(call, models, text):
    found = call("answers", "contrast", body=models.ContrastRequest(image=text, a="no", b=1))
    assert isinstance(found, models.Problem)
    assert "expected a label of this model, got 'no'" in found.detail


@pytest.fixture(scope="module")
def other(generate, server):
    """The package that openapi-generator makes for Python, and a client of the server."""
    if shutil.which("java") is None:
        pytest.skip("openapi-generator needs Java")
    package = ("--package-name", "other_client")
    generate("openapi-generator-cli", "-i", "openapi.json", "-g", "python", "-o", ".", *package)
    package = importlib.import_module("other_client")
    return package, package.ApiClient(package.Configuration(host=server.url))


def test_another_generator_answers_about_images(other, text):
    package, client = other
    api, key = package.AnswersApi(client), package.ClassKey
    found = api.predict(package.PredictRequest(image=text))
    assert found.results[0].classes[0].label == "red"
    found = api.predict(package.PredictRequest(images=[text], top=1, logits=True))
    assert len(found.results[0].logits) == 3
    found = api.explain(package.ExplainRequest(image=text))
    assert len(found.results[0].classes[0].prototypes[0].heatmap.actual_instance) == 12
    mute = [package.Mute(var_class=key("red"), prototype=0)]
    for heatmaps in package.Heatmaps:
        options = {"classes": [key("red"), key(2)], "mute": mute, "heatmaps": heatmaps}
        (found,) = api.explain(package.ExplainRequest(image=text, **options)).results
        assert len(found.classes) == 2
        assert found.before
    request = package.ContrastRequest(image=text, a=key("red"), b=key(2), mute=mute)
    assert api.contrast(request).a.prototypes[0].muted
    with pytest.raises(package.ApiException) as refused:
        api.contrast(package.ContrastRequest(image=text, a=key("no"), b=key(2)))
    assert "expected a label of this model, got 'no'" in refused.value.data.detail


def test_another_generator_speaks_the_protocols(other, text):
    package, client = other
    api = package.KServeV1Api(client)
    instances = {"instances": [{"image": {"b64": text}}, np.full(SHAPE[1:], 0.5).tolist()]}
    found = api.predict_instances("tiny", package.PredictInstances(**instances))
    assert len(found.predictions) == 2
    parameters = package.ExplainOptions(top=1, heatmaps=package.Heatmaps.PNG)
    request = package.ExplainInstances(**instances, parameters=parameters)
    assert len(api.explain_instances("tiny", request).explanations) == 2
    tensor = package.InputTensor(
        name="image", shape=SHAPE, datatype="FP32", data=np.full(SHAPE, 0.5).tolist()
    )
    api = package.OpenInferenceProtocolApi(client)
    request = package.InferRequest(inputs=[tensor])
    assert api.infer("tiny", request).outputs[0].name == "logits"
    assert api.infer_version("tiny", "1", request).outputs[0].name == "logits"
    assert package.ModelApi(client).get_sample("0.jpg").startswith(b"\xff\xd8\xff")
