"""The Open Inference Protocol v2: preprocessed tensors in, every output of the graph out.

Specification: https://github.com/kserve/open-inference-protocol, with the binary tensor extension
of https://github.com/triton-inference-server/server/blob/main/docs/protocol.
"""

from __future__ import annotations

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


def infer(
    served: Served, body: bytes, header_length: str | None, *, max_batch: int
) -> tuple[bytes, int | None]:
    """Answer one ``infer`` request.

    Args:
        served: The model.
        body: The body of the request.
        header_length: Its header ``Inference-Header-Content-Length``, where there is one.
        max_batch: Images that one request may hold.

    Returns:
        The body of the answer, and the bytes of its JSON part where tensors follow it.

    Raises:
        ProblemError: The request does not fit the model.
    """
    model = describe(served)
    numbers = max_batch * served.predictor.input_elements
    message = tensors.parse(body, header_length, numbers=numbers)
    feeds = tensors.read_inputs(message, model.inputs, max_batch)
    binary = tensors.requested(message, model.outputs)
    values = run(served.predictor.session, list(binary), feeds)
    head = {"model_name": model.name, "model_version": VERSION}
    if message.header.id is not None:
        head["id"] = message.header.id
    return tensors.encode(head, values, binary)
