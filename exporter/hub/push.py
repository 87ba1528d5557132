"""An artifact of this machine -> an address."""

from __future__ import annotations

from pathlib import Path

from exporter.hub.address import parse_address
from exporter.hub.card import CardOptions, write_card
from exporter.hub.stores import open_store
from serving.artifact import BESIDE, CARD, MANIFEST, MANIFEST_HASH, load_artifact, manifest_contents


def push(
    artifact: Path | str,
    address: str,
    *,
    public: bool = False,
    card: CardOptions | None = None,
) -> str:
    """Put an artifact where others can pull it.

    Its own files are pushed, its signature and its card; a model hub gets a card written where
    there is none, neither here nor there.

    Args:
        artifact: The artifact; every file is held to its hash first.
        address: Where it shall live.
        public: Whether a repository that has to be made may be seen by everybody.
        card: What a card says beside the artifact.

    Returns:
        The address that names what was pushed: on a hub, its commit.

    Raises:
        ArtifactError: The artifact is damaged.
        TransferError: The address cannot be pushed to.
        MissingExtraError: The package that reaches it is not installed.
    """
    place = parse_address(address)
    store = open_store(place, public=public)
    found = load_artifact(Path(artifact))
    manifest = (found.folder / MANIFEST).read_bytes()
    files: dict[str, Path | bytes] = {name: found.path(name) for name in found.manifest.files}
    for name in BESIDE:
        if found.path(name).is_file():
            files[name] = found.path(name)
    own = manifest_contents(manifest)
    files |= {name: own[name] for name in (MANIFEST_HASH, MANIFEST)}  # the manifest last
    if place.scheme == "hf" and CARD not in files and not store.has(CARD):
        files[CARD] = write_card(found, card or CardOptions(), address=place.text).encode()
    title = found.manifest.source.file
    return store.write(files, f"Artifact of {title}, manifest {_short(own[MANIFEST_HASH])}")


def _short(line: bytes) -> str:
    return line[:12].decode()
