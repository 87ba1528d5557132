"""What there is to doubt about a part is in every answer that names it."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from fastapi import FastAPI, Request
from starlette.testclient import TestClient
from trusted import with_trust

from serving.answers.answerer import Answerer
from serving.answers.schema import ExplainOptions
from serving.artifact.trust import dump_trust, read_trust
from serving.process.live import Served
from serving.process.settings import Settings
from serving.web.routes_model import router

MIXED = {"kind": "mixed", "says": "Its training images do not look alike."}


@pytest.fixture(scope="module")
def served(tiny_export, tmp_path_factory):
    """The tiny classifier; the images of the second part of its second class are mixed."""
    own = read_trust(tiny_export[1])
    sound = {"likeness": 0.5, "halves": 0.9, "border": 0.0, "same_place": None}
    classes = [[part.model_copy(update=sound) for part in parts] for parts in own.training.classes]
    classes[1][1] = classes[1][1].model_copy(update={"likeness": 0.0})
    training = own.training.model_copy(update={"classes": tuple(map(tuple, classes))})
    content = dump_trust(own.model_copy(update={"training": training}))
    folder = tmp_path_factory.mktemp("trusted") / "artifact"
    with_trust(tiny_export[1], folder, content)
    return Served.load(folder, Settings(artifact=folder, provider="cpu", threads=1))


@pytest.fixture(scope="module")
def client(served):
    app = FastAPI()

    @app.middleware("http")
    async def without_prefix(request: Request, call_next):
        request.state.prefix = ""
        return await call_next(request)

    app.include_router(router(SimpleNamespace(served=served, predictor=served.predictor)))
    return TestClient(app)


def test_classes_say_how_many_of_their_parts_are_doubted(client):
    assert [found["doubts"] for found in client.get("/v1/classes").json()["classes"]] == [0, 1, 0]


def test_prototypes_say_why_they_are_doubted(client):
    found = client.get("/v1/classes/1/prototypes").json()["prototypes"]
    assert [prototype["doubts"] for prototype in found] == [[], [MIXED]]


def test_explanations_say_why_their_parts_are_doubted(served):
    answerer = Answerer(
        served=served,
        max_pixels=10**6,
        max_classes=3,
        max_drawn=10**6,
        deadline=np.inf,
        observe=lambda _label, _residual: None,
    )
    tensor = served.predictor.preprocess(tiny.image(1, 50))[1]
    (found,) = answerer.explanations([tensor], ExplainOptions(classes=(1,), heatmaps="none"))
    doubts = [prototype["doubts"] for prototype in found["classes"][0]["prototypes"]]
    assert [[doubt.says for doubt in each] for each in doubts] == [[], [MIXED["says"]]]
    explained = served.predictor.explain(tiny.image(1, 50), classes=[1]).classes[0]
    assert [p.doubts for p in explained.prototypes] == [tuple(each) for each in doubts]
