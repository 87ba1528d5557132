"""Examples of requests and answers, for the description of the API."""

from __future__ import annotations

from typing import Any

_LOGITS = {"id": 3, "label": "fenpiper", "logit": 7.25, "probability": 0.93}
_MODEL = {"name": "toybirds", "sha256": "b026" + 60 * "0", "artifact": "77aa" + 60 * "0"}
_PROTOTYPE = {
    "index": 0,
    "name": "prototype 0",
    "contribution": 4.5,
    "share": 0.75,
    "muted": False,
    "heatmap": [[0.0, 9.0], [9.0, 0.0]],
    "evidence": [
        {
            "url": "/v1/evidence/00003/0-0.jpg?v=0123456789ab",
            "image": "fenpiper/0012.jpg",
            "value": 9.5,
            "context": {
                "url": "/v1/evidence/00003/0-0-context.jpg?v=ba9876543210",
                "box": [0.25, 0.125, 0.5, 0.4375],
            },
        }
    ],
    "doubts": [{"kind": "mixed", "says": "Its training images do not look alike."}],
}
_CLASS = {
    **_LOGITS,
    "bias": 0.25,
    "common": 2.5,
    "unplaced": 0.0,
    "rounding": 0.0,
    "placed": 1.0,
    "whole": False,
    "prototypes": [_PROTOTYPE],
}
SMALL_GIF = "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="

EXAMPLES: dict[str, Any] = {
    "predict": {"results": [{"classes": [_LOGITS]}]},
    "explain": {
        "model": _MODEL,
        "heatmap_grid": [2, 2],
        "results": [
            {
                "view": {"width": 128, "height": 128},
                "classes": [_CLASS],
                "residual": 0.0,
                "before": None,
            }
        ],
    },
}
