"""What the records of a manifest are made of: their base, and the values that have limits."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def inside(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: It would leave the artifact's folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise ValueError(f"expected a plain relative path with forward slashes, got {name!r}")
    return name


FileName = Annotated[str, AfterValidator(inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, le=16384)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Record(BaseModel):
    """A part of the manifest: it is frozen, and no other field than these is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
