"""What every artifact that is made of another one goes through before it is put in place."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from exporter.errors import VerificationError
from exporter.progress import Progress
from exporter.verification.run import verify
from exporter.writing.artifact import add_verification


def require_verified(folder: Path, what: str, images: list[Path], progress: Progress) -> None:
    """Hold an artifact to every promise, and record what was measured in its manifest.

    Args:
        folder: The artifact, not yet in place.
        what: How it was made, for the error: "edited".
        images: Images to compare on.
        progress: Called as images are done.

    Raises:
        VerificationError: A gate failed.
    """
    gates = verify(
        folder,
        images=images,
        threads=1,  # what is measured goes into the manifest, whatever the number of cores
        progress=partial(progress, "verify"),
    )
    failed = [f"{gate.name}: {gate.detail}" for gate in gates if gate.state == "failed"]
    if failed:
        raise VerificationError(
            f"the {what} artifact was not put in place, {len(failed)} of {len(gates)} gates "
            f"failed: {'; '.join(failed)}"
        )
    add_verification(folder, gates)
