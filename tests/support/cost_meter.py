"""What an input costs a process that does nothing else: CPU seconds, and memory at its peak.

    python cost_meter.py < inputs > costs

An input is a line of JSON, ``[target, base64]``; its cost a line ``[seconds, bytes, outcome]``.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from serving.answers.intake import read_intake
from serving.answers.problems import ProblemError
from serving.artifact import Preprocessing
from serving.errors import ArtifactError
from serving.model.preprocess import SERVED, decode, preprocess
from serving.protocols import kserve, oip_grpc, oip_tensors

MAX_PIXELS = 4_000_000
_SHORT = Preprocessing(resize=256, crop=224)
_FORM = "multipart/form-data; boundary=x"


def _image(content: bytes) -> None:
    image = decode(content, max_pixels=MAX_PIXELS, formats=SERVED, preprocessing=_SHORT)
    preprocess(image, _SHORT)


TARGETS: dict[str, Callable[[bytes], object]] = {
    "image": _image,
    "json": lambda body: read_intake("application/json", body, (), max_images=16),
    "form": lambda body: read_intake(_FORM, body, (), max_images=16),
    "kserve": lambda body: kserve.parse(body, numbers=1000),
    "grpc": lambda body: oip_grpc.to_message(
        oip_grpc.read("ModelInferRequest", body), numbers=1000
    ),
    "oip": lambda body: oip_tensors.parse(body, None, numbers=1000),
}


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def measure(target: str, content: bytes) -> tuple[float, int, str]:
    """CPU seconds, bytes above what the process held before, and how it ended."""
    _forget_peak()
    before, begun = _peak(), time.process_time()
    try:
        TARGETS[target](content)
        outcome = "taken"
    except (ProblemError, ArtifactError) as error:
        outcome = type(error).__name__
    return time.process_time() - begun, _peak() - before, outcome


if __name__ == "__main__":
    for line in sys.stdin:
        target, text = json.loads(line)
        sys.stdout.write(json.dumps(measure(target, base64.b64decode(text))) + "\n")
