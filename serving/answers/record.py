"""What the audit record says of one answered image; docs/serving.md, Audit record.

It names the image by its hash and holds nothing of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

_OF_A_CLASS = (
    "id",
    "label",
    "logit",
    "probability",
    "bias",
    "common",
    "unplaced",
    "rounding",
    "contributions",
)


def record(
    verb: str,
    artifact: str,
    picture: bytes | NDArray[Any],
    classes: Sequence[dict[str, Any]],
    muted: Iterable[tuple[int, int]] = (),
) -> dict[str, Any]:
    """One record, but for the request's own names.

    Args:
        verb: What was asked: predict, explain, contrast or infer.
        artifact: Hash of the artifact's manifest.
        picture: The bytes of the image file as they came, or an input tensor.
        classes: The classes of the answer, in its own words.
        muted: Pairs of class id and prototype that the request switched off.
    """
    content = picture if isinstance(picture, bytes) else picture.tobytes()
    return {
        "answer": verb,
        "artifact": artifact,
        "image": hashlib.sha256(content).hexdigest(),
        "muted": [list(pair) for pair in sorted(muted)],
        "classes": [_class(found) for found in classes],
    }


def _class(found: dict[str, Any]) -> dict[str, Any]:
    kept = {name: found[name] for name in _OF_A_CLASS if name in found}
    if "prototypes" in found:
        kept["contributions"] = [part["contribution"] for part in found["prototypes"]]
    return kept
