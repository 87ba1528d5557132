"""What a graph says of its classes, for whoever holds the file alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LABELS = "protohead/labels"
SCALE = "protohead/scale_sha256"


def class_notes(labels: Sequence[str], scale: NDArray[np.float32]) -> dict[str, str]:
    """The metadata that both graphs of an artifact carry beside their nodes.

    ``verify`` holds the manifest and ``prototypes.safetensors`` to it, whose values no node reads.

    Args:
        labels: Of each class, in the order of the logits.
        scale: (c, k), alpha of equation (5).

    Returns:
        The labels as a JSON list, and the sha256 of the scale's little-endian float32 values.
    """
    digest = hashlib.sha256(scale.astype("<f4").tobytes()).hexdigest()
    return {LABELS: json.dumps(list(labels)), SCALE: digest}
