"""The Open Inference Protocol v2: preprocessed tensors in, every output of the graph out.

Specification: https://github.com/kserve/open-inference-protocol, with the binary tensor extension
of https://github.com/triton-inference-server/server/blob/main/docs/protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from serving.answers.answerer import Answerer
from serving.answers.problems import ProblemError
from serving.answers.record import record
from serving.model.runtime import run
from serving.process.live import Served
from serving.protocols import oip_tensors as tensors
from serving.protocols.oip_messages import ModelMetadata

VERSION = "1"
"""The one version of the one model; an artifact's hash tells models apart, see ``/v1/model``."""


def describe(served: Served) -> ModelMetadata:
    """What the model takes and gives, as its graph declares it."""
    return ModelMetadata(
        name=served.name,
        inputs=tensors.describe(served.predictor.session.get_inputs()),
        outputs=tensors.describe(served.predictor.session.get_outputs()),
    )


def require_version(version: str) -> None:
    """Refuse a version that is not served; an empty one leaves the choice to the server.

    Raises:
        ProblemError: It is another one.
    """
    if version not in ("", VERSION):
        raise ProblemError(
            "unknown-path", f"expected the version {VERSION!r}, got {version[:80]!r}."
        )


def infer_json(
    answerer: Answerer, body: bytes, header_length: str | None, *, max_batch: int
) -> tuple[bytes, int | None]:
    """Answer one ``infer`` request over HTTP.

    Args:
        answerer: Who answers.
        body: The body of the request.
        header_length: Its header ``Inference-Header-Content-Length``, where there is one.
        max_batch: Images that one request may hold.

    Returns:
        The body of the answer, and the bytes of its JSON part where tensors follow it.

    Raises:
        ProblemError: The request does not fit the model.
    """
    numbers = max_batch * answerer.served.predictor.input_elements
    message = tensors.parse(body, header_length, numbers=numbers)
    head = {"model_name": answerer.served.name, "model_version": VERSION}
    if message.header.id is not None:
        head["id"] = message.header.id
    return tensors.encode(head, *infer(answerer, message, max_batch=max_batch))


def infer(
    answerer: Answerer, message: tensors.Message, *, max_batch: int
) -> tuple[dict[str, NDArray[Any]], dict[str, bool]]:
    """Run the graph on the tensors of a request.

    Args:
        answerer: Who answers.
        message: The request.
        max_batch: Images that one request may hold.

    Returns:
        Every output that was asked for, by name, and whether it was asked for as bytes.

    Raises:
        ProblemError: The request does not fit the model.
    """
    predictor = answerer.served.predictor
    model = describe(answerer.served)
    feeds = tensors.read_inputs(message, model.inputs, max_batch)
    binary = tensors.requested(message, model.outputs)
    values = run(predictor.session, list(binary), feeds)
    if answerer.records is not None:
        picture = feeds[predictor.manifest.input.name]
        answerer.records.extend(_records(answerer.served, picture, values))
    return values, binary


def _records(
    served: Served, batch: NDArray[Any], values: Mapping[str, NDArray[Any]]
) -> Iterator[dict[str, Any]]:
    """What the answer tells of each image: the explained classes, or else the best one."""
    manifest = served.predictor.manifest
    logits = values.get(manifest.head.logits)
    if logits is not None:
        logits = logits.reshape(-1, len(manifest.classes))
    chosen, shares = (manifest.prefix + name for name in ("class_ids", "contributions"))
    for number, tensor in enumerate(batch):
        ids: list[int] = []
        if chosen in values:
            ids = values[chosen][number].tolist()
        elif logits is not None:
            ids = [int(logits[number].argmax())]
        classes: list[dict[str, Any]] = [
            {"id": index, "label": manifest.classes[index].label} for index in ids
        ]
        if logits is not None:
            for found in classes:
                found["logit"] = logits.item(number, found["id"])
        if chosen in values and shares in values:
            for slot, found in enumerate(classes):
                found["contributions"] = values[shares][number, slot].tolist()
        yield record("infer", served.sha256, tensor, classes)
