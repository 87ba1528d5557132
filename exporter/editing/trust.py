"""Figures of held-out images, read for the artifact that they were measured of."""

from __future__ import annotations

from pathlib import Path

from exporter.errors import EditError
from serving.artifact import MANIFEST, Artifact, sha256_of
from serving.artifact.trust import Trust, parse_trust, read_trust


def read_held_out(path: Path, artifact: Artifact) -> Trust:
    """Read what ``protohead report --trust`` wrote.

    Args:
        path: The file.
        artifact: The artifact it has to be of.

    Returns:
        The artifact's own figures and those of held-out images.

    Raises:
        EditError: It cannot be read, holds no held-out figures, or is of another artifact.
        IntegrityError: It is no such file, or the artifact's own figures are damaged.
    """
    try:
        trust = parse_trust(path.read_bytes(), str(path))
    except OSError as error:
        raise EditError(f"{path}: cannot read the figures: {error.strerror}.") from error
    if trust.held_out is None:
        raise EditError(
            f"{path}: expected figures of held-out images, found those of the export alone. "
            "Report the artifact with `trust` and give that file."
        )
    found, expected = trust.held_out.artifact, sha256_of(artifact.folder / MANIFEST)
    own = read_trust(artifact)
    if found != expected or trust.training != (own and own.training):
        raise EditError(
            f"{path}: expected figures of this artifact, whose manifest has the sha256 "
            f"{expected[:12]}…, got those of {found[:12]}…. Report {artifact.folder} with `trust` "
            "and give that file."
        )
    try:
        trust.require_fits(artifact.manifest)
    except ValueError as error:
        raise EditError(f"{path}: {error}. Report again.") from error
    return trust
