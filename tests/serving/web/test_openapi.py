"""/openapi.json: it is true, and clients can be made from it."""

import base64
import io
import itertools
import json

import numpy as np
import pytest
import schemathesis
import tiny
from http_server import listening
from hypothesis import HealthCheck, given, settings
from jsonschema_rs import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from waiting import PATIENCE

from serving.process.settings import Settings
from serving.web.api import create_app
from serving.web.host import Host

ANSWERS = ("/v1/predict", "/v1/explain", "/v1/contrast")
LENGTH = "Inference-Header-Content-Length"
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
generated = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tiny_export):
    limits = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, max_classes=7)
    with listening(limits) as address:
        yield address


@pytest.fixture(scope="module")
def described(server):
    return server.get("/openapi.json").json()


@pytest.fixture(scope="module")
def image():
    content = io.BytesIO()
    tiny.image(0, 7).save(content, "PNG")
    return content.getvalue()


def operations(described):
    for path, found in described["paths"].items():
        for method, operation in found.items():
            yield method, path, operation


def nodes(node):
    """Every object within a description."""
    if isinstance(node, dict):
        yield node
    for item in node.values() if isinstance(node, dict) else node:
        if isinstance(item, dict | list):
            yield from nodes(item)


def resolved(described, schema):
    """A schema with all components in reach of its references."""
    return json.loads(
        json.dumps({**schema, "$defs": described["components"]["schemas"]}).replace(
            "#/components/schemas/", "#/$defs/"
        )
    )


def content_of(described, path, kind="application/json"):
    return described["paths"][path]["post"]["requestBody"]["content"][kind]


def component(described, path):
    return described["components"]["schemas"][
        content_of(described, path)["schema"]["$ref"].rpartition("/")[2]
    ]


def test_every_public_route_is_described(described):
    ours = {
        *ANSWERS,
        *("/v1/model", "/v1/classes", "/v1/classes/{id}/prototypes"),
        "/v1/evidence/{folder}/{file}",
    }
    assert ours <= described["paths"].keys()
    for _, _, operation in operations(described):
        assert operation["summary"]
        for problem in ("4XX", "5XX"):
            kinds = operation["responses"][problem]["content"].keys()
            assert kinds == {"application/problem+json"}


def test_operations_have_the_names_that_clients_call(described):
    assert [operation["operationId"] for _, _, operation in operations(described)] == [
        *("predict", "explain", "contrast", "get_model", "list_classes", "list_prototypes"),
        *("get_evidence", "list_samples", "get_sample"),
        *("server_live", "server_ready", "server_metadata", "model_metadata"),
        *("model_version_metadata", "model_ready", "model_version_ready", "infer"),
        *("infer_version", "list_models", "predict_instances", "explain_instances"),
        "get_model_state",
    ]


def test_an_option_is_described_in_one_place(described):
    for _, path, operation in operations(described):
        parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
        if "requestBody" not in operation:
            continue
        fields = component(described, path)["properties"]
        assert not parameters.keys() & fields.keys()
        # What a client sends unasked is the default of a parameter: there is none.
        assert not any("default" in parameter["schema"] for parameter in parameters.values())


def test_json_comes_first_and_has_a_model_with_a_name(described):
    for _, path, operation in operations(described):
        if "requestBody" in operation:
            first, *_ = operation["requestBody"]["content"]
            assert first == "application/json"
            fields = component(described, path)
            assert fields["type"] == "object"
            assert not {"oneOf", "anyOf", "allOf"} & fields.keys()


def test_parts_of_bodies_are_components_of_their_own(described):
    fields = component(described, "/v1/explain")["properties"]
    assert fields["mute"]["items"] == {"$ref": "#/components/schemas/Mute"}
    assert fields["classes"]["items"] == {"$ref": "#/components/schemas/ClassKey"}
    assert fields["heatmaps"]["$ref"] == "#/components/schemas/Heatmaps"
    for path in ANSWERS:  # no generator knows what is null and may be left out
        assert {"type": "null"} not in list(nodes(component(described, path)))


def test_a_form_has_the_fields_of_the_json_body_as_text(described):
    for path in ANSWERS:
        form = content_of(described, path, "multipart/form-data")["schema"]
        assert "title" not in form  # openapi-generator would import a class it does not write
        assert form["properties"].keys() | {"images"} == component(described, path)[
            "properties"
        ].keys() | {"images"}
        assert "anyOf" not in json.dumps(form["properties"])


def test_several_kinds_of_a_body_come_with_an_optional_parameter(described):
    """Else a client of openapi-python-client 0.29 uses a name that it does not import."""
    for _, _, operation in operations(described):
        if len(operation.get("requestBody", {}).get("content", ())) > 1:
            assert any(not parameter["required"] for parameter in operation["parameters"])


def test_the_limits_of_the_server_are_in_the_description(described):
    fields = component(described, "/v1/explain")["properties"]
    assert (fields["images"]["maxItems"], fields["classes"]["maxItems"]) == (16, 7)
    assert fields["mute"]["maxItems"] == 1000
    form = content_of(described, "/v1/explain", "multipart/form-data")["schema"]["properties"]
    assert (form["image"]["maxItems"], form["classes"]["maxItems"]) == (16, 7)
    instances = component(described, "/v1/models/{name}:predict")["properties"]["instances"]
    assert instances["maxItems"] == 16


def test_the_largest_number_of_classes_that_is_described_is_taken(server, described, image):
    most = component(described, "/v1/predict")["properties"]["top"]["maximum"]
    answer = server.post("/v1/predict", files={"image": image}, data={"top": str(most)})
    assert len(answer.json()["results"][0]["classes"]) == 3


BODIES = [
    (images | {"top": 1}, valid)
    for images, valid in [
        ({"image": "AAAA"}, True),
        ({"images": ["AAAA"]}, True),
        ({"image": "AAAA", "images": ["AAAA"]}, False),
        ({"images": []}, False),
        ({}, False),
        ({"image": "AAAA", "classes": [1, "red"]}, False),  # with top
    ]
]


@pytest.mark.parametrize(("body", "valid"), BODIES)
def test_the_schema_of_a_body_says_what_goes_together(described, body, valid):
    schema = resolved(described, component(described, "/v1/explain"))
    assert Draft202012Validator(schema).is_valid(body) == valid


def test_every_example_fits_its_schema(described):
    found = 0
    for node in nodes(described["paths"]):
        if "schema" in node and "example" in node:
            Draft202012Validator(resolved(described, node["schema"])).validate(node["example"])
            found += 1
    assert found > 12


def test_every_example_of_a_request_is_answered(server, described):
    answered = 0
    for method, path, operation in operations(described):
        content = operation.get("requestBody", {}).get("content", {})
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and "example" in parameter:
                path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        for body in content.values():
            if "example" in body:
                assert server.request(method, path, json=body["example"]).status_code == 200
                answered += 1
    assert answered == 5


def test_the_description_names_the_model_that_is_served(described):
    for _, path, operation in operations(described):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"] == "name":
                assert parameter["example"] == "tiny", path


def test_the_description_waits_for_no_model(tiny_export):
    settings = Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1)
    described = create_app(Host(settings)).openapi()  # not started
    (name,) = described["paths"]["/v2/models/{name}"]["get"]["parameters"]
    assert "example" not in name


def each_operation(described):
    api = schemathesis.openapi.from_dict(described)
    found = [operation.ok() for operation in api.get_all_operations()]
    assert len(found) > 15
    return found


def test_the_description_holds_for_generated_requests(server, described):
    for operation in each_operation(described):

        @generated
        @given(case=operation.as_strategy())
        def check(case):
            answer = case.call(base_url=server.url, timeout=PATIENCE)
            case.validate_response(answer, checks=CHECKS)

        check()


class Real:
    """Puts into a generated request what no schema can say of this server's model.

    Images and tensors, the names of classes, how many prototypes and explained classes there are,
    and what paths lead to. Everything else stays as it was generated.
    """

    def __init__(self, server, image):
        self.image = image
        self.text = base64.b64encode(image).decode()
        self.keys = itertools.cycle([0, "green", "2", 1, "red"])
        self.classes = [("red", "1"), (2, "green"), ("blue", 0)]
        crop = server.get("/v1/classes/red/prototypes").json()["prototypes"][0]["evidence"][0]
        _, _, _, self.folder, link = crop["url"].split("/")
        self.crop, _, self.version = link.partition("?v=")

    def fill(self, case):
        places = {"name": "tiny", "version": "1", "id": "red", "folder": self.folder}
        places["file"] = self.crop if "evidence" in case.path else "0.jpg"
        for name in case.path_parameters or ():
            case.path_parameters[name] = places[name]
        if case.query and "v" in case.query:
            case.query["v"] = self.version if "evidence" in case.path else ""
        if case.headers:
            case.headers.pop(LENGTH, None)
        if case.method == "POST":
            self._fill_body(case)

    def _fill_body(self, case):
        explained = case.path.endswith("explain")
        if case.path.startswith("/v2/"):
            self._fill_tensors(case)
        elif not isinstance(case.body, dict):  # a bare image
            case.media_type, case.body = case.media_type.replace("*", "png"), self.image
        elif "instances" in case.body:
            self._options(case.body.get("parameters", {}), explained=explained)
            case.body["instances"] = [self._instance(one) for one in case.body["instances"]]
        else:
            form = case.media_type == "multipart/form-data"
            self._options(case.body, explained=explained, form=form)
            one = self.image if form else self.text
            for name in {"image", "images"} & case.body.keys():
                several = isinstance(case.body[name], list)
                case.body[name] = [one for _ in case.body[name]] if several else one

    def _options(self, options, *, explained, form=False):
        if explained and "top" in options:
            options["top"] = 1 + options["top"] % 2  # so many classes of this model are explained
        if "classes" in options:
            options["classes"] = [self._key(form) for _ in options["classes"]]
        if "a" in options:
            options["a"], options["b"] = ("red", "1") if form else next(iter(self.classes))
        if "mute" in options:
            options["mute"] = [
                f"{self._key(form)}:{number % 2}"
                if form
                else {"class": self._key(form), "prototype": number % 2}
                for number, _ in enumerate(options["mute"])
            ]

    def _key(self, form):
        key = next(self.keys)
        return str(key) if form else key

    def _instance(self, instance):
        if isinstance(instance, list):
            return np.full((3, tiny.SIZE, tiny.SIZE), 0.5).tolist()
        return {"b64": self.text} if "b64" in instance else {"image": {"b64": self.text}}

    def _fill_tensors(self, case):
        shape = (1, 3, tiny.SIZE, tiny.SIZE)
        tensor = {"name": "image", "shape": shape, "datatype": "FP32"}
        data = {"data": np.full(shape, 0.5).tolist()}
        if isinstance(case.body, dict):
            case.body["inputs"] = [tensor | data]
            case.body["outputs"] = case.body.get("outputs", [])[:1]
            for output in case.body["outputs"]:
                output["name"] = "logits"
        else:
            size = 4 * int(np.prod(shape))
            binary = tensor | {"parameters": {"binary_data_size": size}}
            head = json.dumps({"inputs": [binary]}).encode()
            case.headers = {**(case.headers or {}), LENGTH: str(len(head))}
            case.body = head + bytes(size)


def test_no_valid_request_is_refused(server, described, image):
    real = Real(server, image)
    for operation in each_operation(described):

        @generated
        @given(case=operation.as_strategy(schemathesis.GenerationMode.POSITIVE))
        def check(case):
            real.fill(case)
            answer = case.call(base_url=server.url, timeout=PATIENCE)
            assert answer.status_code in (200, 304), (case.body, answer.text)
            case.validate_response(answer, checks=CHECKS)

        check()
