"""Manifests that a test writes itself, with the hash that belongs to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from serving.artifact import Manifest, dump_manifest, manifest_contents


def write_manifest(folder: Path, manifest: Manifest | dict[str, Any]) -> None:
    """Put a manifest into an artifact as an export would: itself and its hash."""
    is_whole = isinstance(manifest, Manifest)
    content = dump_manifest(manifest) if is_whole else json.dumps(manifest).encode()
    for name, written in manifest_contents(content).items():
        (folder / name).write_bytes(written)
