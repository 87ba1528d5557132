"""The server as it runs in production: BentoML's supervisor with its workers, as processes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import tiny
from http_server import Address
from waiting import PATIENCE, until

PNG = {"content-type": "image/png"}


def image(label: int = 0) -> bytes:
    """A picture that the tiny classifier knows, as PNG."""
    content = io.BytesIO()
    tiny.image(label, 50).save(content, "PNG")
    return content.getvalue()


def alive(process: psutil.Process) -> bool:
    """Whether it runs."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # reaped since it was listed
        return False


@dataclass(frozen=True)
class Server(Address):
    """The supervisor, and where its output goes."""

    process: psutil.Process
    log: Path

    def workers(self) -> list[psutil.Process]:
        """Those that run now."""
        return [child for child in self.process.children() if alive(child)]

    def ready(self) -> bool:
        """Whether it says so itself."""
        with contextlib.suppress(httpx.TransportError):
            return self.get("/readyz").status_code == 200
        return False


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Where BentoML keeps its files, and nothing of this process's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROTOHEAD_")}
    # Warnings are errors in here, not in the libraries of the server.
    kept.pop("PYTHONWARNINGS", None)
    return {**kept, "XDG_CACHE_HOME": str(folder), "BENTOML_HOME": str(folder / "home"),
            **variables}  # fmt: skip


@contextlib.contextmanager
def started(
    words: Sequence[str | Path],
    port: int,
    folder: Path,
    within: Path | None = None,
    **variables: str,
) -> Iterator[Server]:
    """Run a server, within a folder of its own or another; at the end nothing of it is left."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, env=environment(folder, **variables), stdout=output, stderr=output,
            start_new_session=True, cwd=within or folder,
        )  # fmt: skip
    server = Server(port, psutil.Process(process.pid), log)
    try:
        until(lambda: server.ready() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    # Whoever collects the logs of a fleet parses every line of them: uvicorn's, BentoML's, ours.
    for line in log.read_text().splitlines():
        assert json.loads(line).keys() >= {"time"}, line


def listening_on(process: psutil.Process, port: int = 0) -> set[str]:
    """The addresses on which it takes TCP connections, at one port or any."""
    found = (x for x in process.net_connections("tcp") if x.status == psutil.CONN_LISTEN)
    return {x.laddr.ip for x in found if port in (0, x.laddr.port)}
