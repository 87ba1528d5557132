"""A static site of an artifact: its files, put together in a new folder.

``index.html``, ``page/``, ``v1/``   the page, and what the server says of the model
``graph.json``       what running the graph needs beside it, and where its pieces are
``graph/``           ``steerable.onnx`` in pieces: hosts of pages refuse large files
``page/runtime/``    onnxruntime-web
``site.json``        which files are of the site, so that it can be replaced by another one
``.nojekyll``        has GitHub Pages leave the files alone
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from exporter.errors import OutputError
from exporter.site.runtime import BINARY
from exporter.writing.folder import new_folder
from exporter.writing.ownership import files_below
from serving.artifact import PROTOTYPES, STEERABLE, Artifact
from serving.artifact.values import inside

PIECE = 48 * 2**20
"""Bytes of the graph in one file: GitHub warns above 50 MiB, and refuses above 100."""

_HERE = Path(__file__).parent
_FORMAT, _SITE = "protohead-site/1", "site.json"
_LARGEST_LIST = 2**28  # bytes; another program's file of this name may be of any size


def write_site(
    artifact: Artifact,
    out: Path,
    *,
    answers: Iterable[tuple[str, bytes]],
    runtime: Mapping[str, bytes],
    overwrite: bool = False,
    piece: int = PIECE,
) -> int:
    """Write a site, or nothing.

    Args:
        artifact: The artifact.
        out: The folder that appears, whole.
        answers: Names and contents of the page's files and of the server's answers, with the page's
            own ``api.js`` under another name.
        runtime: The files of onnxruntime-web by name.
        overwrite: Replace a site that stands at ``out``.
        piece: Bytes of the graph in one file.

    Returns:
        Bytes that a visitor loads to see a first explanation, beside the page itself.

    Raises:
        OutputError: ``out`` is in the way, or cannot be written.
    """
    with new_folder(out, own=_replaceable(out, overwrite)) as folder:
        for name, content in (*_own_files(runtime), *_files_of(artifact, runtime, piece)):
            _write(folder / name, content)
        for name, content in answers:
            _write(folder / name, content)
        _write(folder / ".nojekyll", b"")
        listed = {"format": _FORMAT, "files": [*files_below(folder), _SITE]}
        _write(folder / _SITE, _json(listed))
    return artifact.path(STEERABLE).stat().st_size + len(runtime[BINARY])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _own_files(runtime: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """What takes the server's place in the browser."""
    for path in sorted((_HERE / "page").glob("*.js")):
        yield f"page/{path.name}", path.read_bytes()
    for path in sorted((_HERE / "kit").glob("*.js")):
        yield f"page/kit/{path.name}", path.read_bytes()
    for name, content in sorted(runtime.items()):
        yield f"page/runtime/{name}", content
    license_file = _HERE / "onnxruntime-web.LICENSE.txt"
    yield "page/runtime/LICENSE.txt", license_file.read_bytes()


def _files_of(
    artifact: Artifact, runtime: Mapping[str, bytes], piece: int
) -> Iterator[tuple[str, bytes]]:
    """The graph in pieces, and what running it needs."""
    manifest = artifact.manifest
    pieces: list[dict[str, Any]] = []
    version = manifest.files[STEERABLE][:12]
    with artifact.path(STEERABLE).open("rb") as file:
        while content := file.read(piece):
            name = f"graph/{STEERABLE}.{len(pieces)}"
            # The hash: a browser must not put pieces of two models together.
            pieces.append({"url": f"{name}?v={version}", "bytes": len(content)})
            yield name, content
    binary = {"url": f"page/runtime/{BINARY}", "bytes": len(runtime[BINARY])}
    bias = load_file(artifact.path(PROTOTYPES))["bias"].tolist()
    said = {"prefix": manifest.prefix, "runtime": binary, "pieces": pieces, "bias": bias}
    yield "graph.json", _json(said)


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _replaceable(out: Path, overwrite: bool) -> frozenset[str]:
    """The files of the site at ``out``; none where there is no site."""
    files = _listed(out / _SITE)
    if files and not overwrite:
        raise OutputError(
            f"{out}: a site is already here. Pass `overwrite` to replace it, or choose another "
            "`out`."
        )
    return files


def _listed(path: Path) -> frozenset[str]:
    """The files that a site lists as its own; none where no format line proves that it is one."""
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size < _LARGEST_LIST else None
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            return frozenset()
        return frozenset(map(inside, found["files"]))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return frozenset()
