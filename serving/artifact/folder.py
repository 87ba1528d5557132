"""Read an artifact's folder, and check every file of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from serving.artifact.files import FORMAT, MANIFEST, MANIFEST_HASH
from serving.artifact.manifest import Manifest
from serving.errors import IntegrityError, ManifestError


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk whose manifest has been read and whose files match their hashes."""

    folder: Path
    manifest: Manifest = field(repr=False)  # thousands of lines of a large one

    def path(self, name: str) -> Path:
        """The path of a file that the manifest lists."""
        return self.folder / name


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact and check every file against its hash.

    Args:
        folder: The artifact's folder.

    Returns:
        The artifact; nothing of it has been executed or deserialised beyond the manifest.

    Raises:
        ManifestError: The manifest is missing, malformed or of another format version.
        IntegrityError: A file is missing, changed, or a link out of the folder.
    """
    manifest = read_manifest(folder / MANIFEST)
    _require_hash(folder)
    root = folder.resolve()
    for name, expected in manifest.files.items():
        path = root / name
        if not path.is_file():
            raise IntegrityError(
                f"{folder}: expected the file {name}, found none. Copy the artifact whole."
            )
        if not path.resolve().is_relative_to(root):
            raise IntegrityError(f"{folder}: {name} is a link that leaves the artifact's folder.")
        found = sha256_of(path)
        if found != expected:
            raise IntegrityError(
                f"{folder}: {name} has changed: expected sha256 {expected[:12]}…, "
                f"got {found[:12]}…. Export again, or copy the artifact again."
            )
    return Artifact(folder=root, manifest=manifest)


def _require_hash(folder: Path) -> None:
    """Refuse a manifest that is not the one that was written.

    An artifact from before 0.3 has no hash of its manifest, and none to be held to.
    """
    try:
        expected = (folder / MANIFEST_HASH).read_text(encoding="ascii")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"{folder}: expected the hash of the manifest in {MANIFEST_HASH}; cannot read it: "
            f"{error}. Copy the artifact again."
        ) from error
    if expected != _hash_line((folder / MANIFEST).read_bytes()):
        raise IntegrityError(
            f"{folder}: {MANIFEST} has changed: its sha256 is not that of {MANIFEST_HASH}. Export "
            "again, or copy the artifact again."
        )


def _hash_line(manifest: bytes) -> str:
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n"


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, its files unchecked.

    Raises:
        ManifestError: It is missing, malformed or of another format version.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path.parent}: expected an artifact, a folder with {MANIFEST}; "
            f"cannot read it: {error.strerror}."
        ) from error
    return parse_manifest(text, path)


def parse_manifest(content: bytes, path: Path | str) -> Manifest:
    """Read a manifest from its bytes, its files unchecked.

    Args:
        content: The bytes of ``manifest.json``.
        path: Where they are from, for messages.

    Raises:
        ManifestError: They are malformed or of another format version.
    """
    try:
        version = json.loads(content).get("format")
        if version != FORMAT:
            raise ManifestError(
                f"{path}: expected format {FORMAT!r}, got {version!r}. "
                "Export the model again with this version, or use the version that wrote it."
            )
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ManifestError(f"{path}: {where}: {first['msg']}.") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise ManifestError(f"{path}: expected a JSON object: {error}.") from error


def manifest_contents(manifest: bytes) -> dict[str, bytes]:
    """The files that hold a manifest, given its bytes: itself and its hash, by name."""
    return {MANIFEST: manifest, MANIFEST_HASH: _hash_line(manifest).encode()}


def dump_manifest(manifest: Manifest) -> bytes:
    """The bytes of ``manifest.json``: the same manifest gives the same bytes."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    return (text + "\n").encode()
