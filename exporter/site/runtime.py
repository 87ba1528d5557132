"""onnxruntime-web, which runs the graph in a browser: fetched by npm once, held to its hashes."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.errors import MissingExtraError, OutputError, UnreachableError
from exporter.hub.cache import cache_folder
from exporter.writing.atomic import replace_files, writing

VERSION = "1.30.0"
SCRIPT = "ort.wasm.bundle.min.mjs"
BINARY = "ort-wasm-simd-threaded.wasm"
_PACKAGE = f"onnxruntime-web@{VERSION}"
_HASHES = {
    SCRIPT: "sha512-1KcF8CWAZeqtTcvLgKPtOMXIbkWeh++LDCQpDhQ5ARVx"
    "HAL1VNL5rr0OI+MxTbmNIANldE/A/q+O4gSKgSMjWQ==",
    BINARY: "sha512-Gt7e1iIDIZ/PXEhM/OVleqWHVom0kEI/hs8cod0crXcV"
    "9jDGM39B23HuQnlOOgDOC3x4k5pxIgtdgzaL9up3MA==",
}
_OTHERWISE = f"pass `onnxruntime_web` with a folder or .tgz of {_PACKAGE}"
_PATIENCE = 600.0  # seconds that npm may take


def runtime_files(given: Path | None = None) -> dict[str, bytes]:
    """The files of onnxruntime-web that a site holds, by name.

    Args:
        given: The unpacked package or its .tgz; by default npm fetches it, once for this machine.

    Raises:
        MissingExtraError: npm is needed and not there.
        UnreachableError: npm cannot fetch it.
        OutputError: What was given is not this version, or the cache cannot be written.
    """
    if given is not None:
        return _checked(_read(given), given)
    kept = cache_folder() / f"onnxruntime-web-{VERSION}"
    try:
        return _checked(_from_folder(kept), kept)
    except OutputError:  # not there yet, or damaged: fetched again
        found = _fetched()
    with writing(kept):
        kept.mkdir(parents=True, exist_ok=True)
        replace_files({kept / name: content for name, content in found.items()})
    return found


def _fetched() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            f"expected npm, which fetches {_PACKAGE}, found none. Install it, or {_OTHERWISE}."
        )
    with TemporaryDirectory() as folder:
        command = [npm, "pack", _PACKAGE, "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and no word of it is from outside
                command, capture_output=True, text=True, timeout=_PATIENCE, cwd=folder
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreachableError(f"npm cannot be run: {error}. Or {_OTHERWISE}.") from error
        packed = next(Path(folder).glob("*.tgz"), None)
        if done.returncode != 0 or packed is None:
            said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            reason = said[0].removeprefix("npm error").strip() if said else "it does not say why"
            raise UnreachableError(
                f"npm cannot fetch {_PACKAGE}: {reason}. Try again where there is a network, or "
                f"{_OTHERWISE}."
            )
        return _checked(_from_archive(packed), packed)


def _read(given: Path) -> dict[str, bytes]:
    return _from_folder(given) if given.is_dir() else _from_archive(given)


def _from_folder(folder: Path) -> dict[str, bytes]:
    """From an unpacked package, or from its dist/ alone."""
    place = folder / "dist" if (folder / "dist").is_dir() else folder
    return _collect(folder, lambda name: (place / name).read_bytes())


def _from_archive(path: Path) -> dict[str, bytes]:
    def member(archive: tarfile.TarFile, name: str) -> bytes:
        file = archive.extractfile(f"package/dist/{name}")
        if file is None:
            raise KeyError(name)
        with file:
            return file.read()

    try:
        with tarfile.open(path) as archive:
            return _collect(path, lambda name: member(archive, name))
    except (OSError, tarfile.TarError) as error:
        raise _unfit(path, "cannot be read") from error


def _collect(where: Path, read: Callable[[str], bytes]) -> dict[str, bytes]:
    try:
        return {name: read(name) for name in _HASHES}
    except (OSError, KeyError) as error:
        raise _unfit(where, "a file is missing") from error


def _checked(files: Mapping[str, bytes], where: Path) -> dict[str, bytes]:
    for name, content in files.items():
        if integrity(content) != _HASHES[name]:
            raise _unfit(where, f"{name} is another file")
    return {**files}


def integrity(content: bytes) -> str:
    """The hash of a file as npm and browsers write it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def _unfit(where: Path, why: str) -> OutputError:
    return OutputError(f"{where}: expected a folder or .tgz of {_PACKAGE}: {why}.")
