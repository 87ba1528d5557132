"""Artifacts that verbs read by address, kept by the hash of their manifest.

``CACHE/<sha256 of the manifest>/``      an artifact, checked again whenever it is read
``CACHE/addresses/<sha256 of the address>``   of a fixed address, the hash of its manifest
``CACHE/onnxruntime-web-<version>/``     what static sites hold of it: exporter/site/runtime.py

CACHE is ``$XDG_CACHE_HOME/protohead``, by default ``~/.cache/protohead``. Nothing is removed from
it; any of it may be.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from exporter.errors import UnreachableError
from exporter.hub.address import Address, parse_address
from exporter.hub.pull import Offer, fetch_beside, read_offer, take
from exporter.hub.stores import Store, open_store
from exporter.progress import Progress, silent
from exporter.writing.atomic import replace_files, writing
from serving.artifact import MANIFEST, SIGNATURE, load_artifact, sha256_of
from serving.errors import ArtifactError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def cache_folder() -> Path:
    """Where pulled artifacts are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "protohead"


def cached(address: str, *, progress: Progress = silent) -> Path:
    """An artifact of an address as a folder of this machine.

    Of an address that can change, the manifest is read again each time; of a commit that is here
    already, nothing is: it works without a network.

    Args:
        address: Where it lives.
        progress: Called as files arrive.

    Returns:
        Its folder in the cache; it is not for writing.

    Raises:
        TransferError: It cannot be pulled.
        MissingExtraError: The package that reaches it is not installed.
        OutputError: The cache cannot be written.
    """
    place = parse_address(address)
    note = cache_folder() / "addresses" / hashlib.sha256(place.text.encode()).hexdigest()
    if place.fixed and (known := _known(note)) is not None:
        return known
    store = open_store(place)
    try:
        offer = read_offer(store, place)
    except UnreachableError as error:
        raise UnreachableError(
            f"{error} Without a network, only hf:// addresses with a commit behind the @ are read "
            "from the cache, once they were pulled."
        ) from error
    folder = _filled(store, place, offer, progress)
    if place.fixed:
        with writing(note):
            note.parent.mkdir(parents=True, exist_ok=True)
            replace_files({note: offer.sha256.encode()})
    return folder


def _known(note: Path) -> Path | None:
    try:
        digest = note.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    folder = cache_folder() / digest
    return folder if _SHA256.fullmatch(digest) and _intact(folder) else None


def _filled(store: Store, address: Address, offer: Offer, progress: Progress) -> Path:
    folder = cache_folder() / offer.sha256
    if not _intact(folder):
        take(store, address, offer, folder, overwrite=True, progress=progress)
    else:
        with writing(folder):
            (folder / SIGNATURE).unlink(missing_ok=True)  # who signs changes no manifest
            fetch_beside(store, SIGNATURE, folder)
    return folder


def _intact(folder: Path) -> bool:
    """Whether the artifact that the folder is named after is there, whole."""
    try:
        load_artifact(folder)
        return sha256_of(folder / MANIFEST) == folder.name
    except (ArtifactError, OSError):
        return False
