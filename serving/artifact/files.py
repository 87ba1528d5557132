"""The names of an artifact's files, and of its format."""

from __future__ import annotations

from typing import Literal

FORMAT: Literal["protohead/1"] = "protohead/1"
MANIFEST = "manifest.json"
MANIFEST_HASH = "manifest.sha256"
MODEL = "model.onnx"
STEERABLE = "steerable.onnx"
PROTOTYPES = "prototypes.safetensors"
GOLDEN = "golden.npz"
TRUST = "trust.json"
PICTURES = "golden"
EVIDENCE = "evidence"
PARENTS = "parents"
SIGNATURE = "signature.json"
CARD = "README.md"
BESIDE = (SIGNATURE, CARD)
"""Files that may lie beside an artifact's own: no manifest lists them, and nothing reads them."""
REQUIRED = (MODEL, STEERABLE, PROTOTYPES, GOLDEN)
"""Files of every artifact, beside the manifest."""


def picture_file(number: int) -> str:
    """Where the golden picture of a number, from 0, is."""
    return f"{PICTURES}/{number}.png"


def parent_file(number: int, name: str) -> str:
    """Where an edited artifact keeps a file of the artifact before its edit ``number``, from 1."""
    return f"{PARENTS}/{number}/{name}"
