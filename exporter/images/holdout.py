"""The images of a folder that an export leaves for measuring, found again by their names.

An image is held out where the number that seed and name give, 0 to 1, is below the share. Nothing
else decides: images that are added or taken away move no other to the other side, so what a
prototype was found on is never measured on.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.errors import DatasetError
from exporter.images.subfolders import folders_in
from serving.artifact import Manifest

_BYTES = 8  # of the hash that are read as a number
_NUMBERS = 1 << 64  # that they can be


@dataclass(frozen=True)
class Split:
    """One side of a folder's images.

    Attributes:
        share: Of the images that are held out, about: 0 to 1.
        seed: Another one holds out others.
        held_out: Whether those are this side, or the rest.
    """

    share: float
    seed: int
    held_out: bool = False

    @property
    def rest(self) -> Split:
        """The other side."""
        return replace(self, held_out=not self.held_out)

    def has(self, image: str) -> bool:
        """Whether an image is on this side.

        Args:
            image: Its path below the data folder, with forward slashes.
        """
        # Some systems write ü as one character, some as two.
        name = unicodedata.normalize("NFC", image)
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()[:_BYTES]
        number = int.from_bytes(digest) / _NUMBERS
        return (number < self.share) == self.held_out


def held_out_of(manifest: Manifest, root: Path) -> Split:
    """The images that the export of an artifact held out.

    Args:
        manifest: Of the artifact.
        root: The folder that it was exported from.

    Raises:
        DatasetError: Nothing was held out, or it is another folder.
    """
    share = manifest.method.holdout
    if share is None:
        raise DatasetError(
            f"{root}: the export of this artifact held no images out, so none of its folder are "
            "new to it. Export with `holdout`, or give a folder of other images without it."
        )
    trained = [e.image for c in manifest.classes for p in c.prototypes for e in p.evidence]
    if trained and not any((root / image).is_file() for image in trained):
        below = [folder for folder in folders_in(root) if (folder / trained[0]).is_file()]
        what_to_do = "Give that folder, or other images without `holdout`."
        raise DatasetError(
            f"{root}: expected the folder that the artifact was exported from, because the names "
            f"in it tell what was held out; it has none of the training images known, such as "
            f"{trained[0]!r}. {f'Did you mean {below[0]}?' if below else what_to_do}"
        )
    return Split(share, manifest.method.seed, held_out=True)


def sides_of(manifest: Manifest, root: Path, training: Path | None) -> tuple[Split, Split | None]:
    """What is measured on, and what of the training images is taken; None is all of them.

    Args:
        manifest: Of the artifact.
        root: The folder that it was exported from.
        training: Where the training images are: if in the same folder, the rest of it.

    Raises:
        DatasetError: As of :func:`held_out_of`.
    """
    held_out = held_out_of(manifest, root)
    same = training is not None and training.resolve() == root.resolve()
    return held_out, held_out.rest if same else None
