"""Copies of an artifact with other figures of trust."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from manifests import write_manifest

from serving.artifact import MANIFEST, TRUST, Artifact, load_artifact, sha256_of


def with_trust(artifact: Artifact, folder: Path, content: bytes | None) -> Artifact:
    """A copy of an artifact with this trust.json, or without one, hashed as its own."""
    shutil.copytree(artifact.folder, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    if content is None:
        (folder / TRUST).unlink()
        del manifest["files"][TRUST]
    else:
        (folder / TRUST).write_bytes(content)
        manifest["files"][TRUST] = sha256_of(folder / TRUST)
    write_manifest(folder, manifest)
    return load_artifact(folder)
