"""An address -> an artifact of this machine, whole and checked, or nothing.

Whoever answers may be hostile. The manifest is read first, within a limit, and says which files
there are; each is read within a limit and held to its hash as it arrives; what was not asked for is
never fetched. Only then does the artifact appear.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from exporter.errors import MissingFileError, TransferError, UnreachableError
from exporter.hub.address import Address, parse_address
from exporter.hub.stores import Store, open_store
from exporter.progress import Progress, silent
from exporter.writing.ownership import LARGEST_MANIFEST, listed_files, remove_files
from exporter.writing.work import WorkFolder, named
from serving.artifact import (
    BESIDE,
    EVIDENCE,
    MANIFEST,
    MANIFEST_HASH,
    Artifact,
    Manifest,
    load_artifact,
    manifest_contents,
    parse_manifest,
    sha256_of,
)
from serving.errors import ArtifactError

_LARGEST_FILE = 1 << 31  # bytes: what the largest ONNX file can have, which is one protobuf message
_LARGEST_CROP = 1 << 24
_LARGEST_BESIDE = 1 << 22
_LARGEST_HASH = 1 << 10
_TAKEN = {MANIFEST, MANIFEST_HASH, *BESIDE}  # what no manifest can list
_UNNAMED = set('<>:"|?*')  # what no file of Windows may have in its name


@dataclass(frozen=True)
class Offer:
    """What an address has, before its files are fetched.

    Attributes:
        content: The bytes of its manifest.
        manifest: What they say.
        hashed: Whether its hash is there too, as it is since 0.3.
    """

    content: bytes
    manifest: Manifest
    hashed: bool

    @property
    def sha256(self) -> str:
        """The hash of the manifest, which names the artifact wherever it lives."""
        return hashlib.sha256(self.content).hexdigest()


class _PullFolder(WorkFolder):
    """The work folder of one pull: it keeps whole files, so that a broken pull goes on."""

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        super().__init__(out, "pull", overwrite=overwrite)

    def begin(self, offer: Offer) -> None:
        """Keep what an earlier pull of the same manifest left, and remove all else."""
        self.require_no_export()
        mark = self.mark()
        fingerprint = {"manifest": offer.sha256}
        if mark is not None and (mark.get("work"), mark.get("of")) != ("pull", fingerprint):
            self.remove_own()
        self.write_mark(fingerprint)

    def remove_own(self) -> None:
        """Remove what this pull has fetched so far, but for mark and lock."""
        if self.artifact.exists():
            remove_files(self.artifact, [*(listed_files(self.artifact) or ()), *BESIDE])
        super().remove_own()


def pull(
    address: str, out: Path | str, *, overwrite: bool = False, progress: Progress = silent
) -> Artifact:
    """Fetch an artifact; it appears at ``out`` whole and checked, or not at all.

    Args:
        address: Where it lives.
        out: Where it appears.
        overwrite: Replace an artifact at ``out``.
        progress: Called as files arrive.

    Returns:
        The artifact at ``out``.

    Raises:
        TransferError: The address cannot be read, or what it has is not what its manifest says.
        MissingExtraError: The package that reaches it is not installed.
        OutputError: ``out`` cannot be written.
    """
    place = parse_address(address)
    store = open_store(place)
    return take(store, place, read_offer(store, place), Path(out), overwrite, progress)


def read_offer(store: Store, address: Address) -> Offer:
    """Read and check the manifest of an address.

    Raises:
        TransferError: It cannot be read, or is not one.
    """
    try:
        content = b"".join(store.read(MANIFEST, LARGEST_MANIFEST))
        manifest = parse_manifest(content, f"{address.text}/{MANIFEST}")
    except MissingFileError as error:
        raise TransferError(f"{error} Expected an artifact, a folder with {MANIFEST}.") from error
    except ArtifactError as error:
        raise TransferError(" ".join(str(error).split())) from error
    _require_plain(manifest.files, address)
    line = _optional(store, MANIFEST_HASH, _LARGEST_HASH)
    if line not in (None, manifest_contents(content)[MANIFEST_HASH]):
        raise TransferError(
            f"{address.text}: {MANIFEST} has changed: its sha256 is not that of {MANIFEST_HASH}. "
            "Ask whoever keeps it; nothing was fetched."
        )
    return Offer(content, manifest, hashed=line is not None)


def take(
    store: Store,
    address: Address,
    offer: Offer,
    out: Path,
    overwrite: bool,
    progress: Progress = silent,
) -> Artifact:
    """Fetch what was offered, and let it appear at ``out``. See :func:`pull`."""
    out = named(out)
    with _PullFolder(out, overwrite=overwrite) as work, _cleaning(work):
        with work.writing():
            work.begin(offer)
            own = manifest_contents(offer.content)
            for name in (MANIFEST, MANIFEST_HASH) if offer.hashed else (MANIFEST,):
                (work.artifact / name).write_bytes(own[name])
            files = offer.manifest.files
            for number, (name, expected) in enumerate(files.items(), start=1):
                _fetch(store, address, name, expected, work.artifact / name)
                progress("pull", number, len(files))
            beside = [name for name in BESIDE if fetch_beside(store, name, work.artifact)]
        work.publish(offer.manifest.all_files | set(beside))
    return load_artifact(out)


def fetch_beside(store: Store, name: str, folder: Path) -> bool:
    """Fetch a file that may lie beside an artifact without being of it; whether there is one."""
    content = _optional(store, name, _LARGEST_BESIDE)
    if content is not None:
        (folder / name).write_bytes(content)
    return content is not None


def _fetch(store: Store, address: Address, name: str, expected: str, path: Path) -> None:
    if path.is_file() and sha256_of(path) == expected:
        return  # of an earlier pull that broke off
    path.parent.mkdir(parents=True, exist_ok=True)
    limit = _LARGEST_CROP if name.startswith(f"{EVIDENCE}/") else _LARGEST_FILE
    found = hashlib.sha256()
    try:
        with path.open("wb") as file:
            for piece in store.read(name, limit):
                found.update(piece)
                file.write(piece)
    except MissingFileError as error:
        raise TransferError(f"{error} The manifest lists it: the artifact is not whole.") from error
    if found.hexdigest() != expected:
        raise TransferError(
            f"{address.text}/{name}: expected sha256 {expected[:12]}…, got "
            f"{found.hexdigest()[:12]}…. It is not what the manifest says; ask whoever keeps it."
        )


@contextmanager
def _cleaning(work: _PullFolder) -> Iterator[None]:
    """Keep what has arrived where trying again may help, and remove it where it cannot."""
    try:
        yield
    except UnreachableError as error:
        raise UnreachableError(
            f"{error} Nothing appeared at {work.out}; what has arrived is kept in {work.folder}: "
            "run it again to go on."
        ) from error
    except TransferError as error:
        work.discard()
        raise TransferError(f"{error} Nothing appeared at {work.out}.") from error


def _optional(store: Store, name: str, limit: int) -> bytes | None:
    try:
        return b"".join(store.read(name, limit))
    except MissingFileError:
        return None


def _require_plain(names: Collection[str], address: Address) -> None:
    """Refuse names that another system reads as another place, or hides, or that are in the way."""
    for name in names:
        path = PurePosixPath(name)
        hidden = any(part.startswith(".") or part.endswith((".", " ")) for part in path.parts)
        plain = name.isprintable() and not hidden and not _UNNAMED.intersection(name)
        taken = name in _TAKEN or any(str(parent) in names for parent in path.parents)
        if not plain or taken:
            raise TransferError(
                f"{address.text}: expected plain names of an artifact's files, got {name!r:.80}. "
                "Nothing was fetched."
            )
