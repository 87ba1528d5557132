"""Servers under measurement: started on the loopback interface, stopped with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from load import HOST


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: Where it listens.
        process: Its first process; the others are below it.
    """

    port: int
    process: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """The process and all below it that still run."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU time of all of them since they started, user and system."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> int:
        """Bytes that only they hold."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().uss
        return total

    def workers(self) -> list[psutil.Process]:
        """The processes below the first that hold a session of onnxruntime."""
        found = []
        for process in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any("onnxruntime" in entry.path for entry in process.memory_maps()):
                    found.append(process)
        return found


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def protohead(artifact: Path, port: int, workers: int, provider: str = "cpu") -> list[str]:
    """The command line of ``protohead serve`` with one onnxruntime thread a worker."""
    return [
        *(sys.executable, "-m", "exporter.cli", "serve", str(artifact), "--port", str(port)),
        *("--workers", str(workers), "--threads", "1", "--provider", provider),
    ]


def bare(model: Path, artifact: Path, port: int) -> list[str]:
    """The command line of the bare server beside this file."""
    program = Path(__file__).with_name("bare_server.py")
    return [sys.executable, str(program), str(model), str(artifact), str(port)]


@contextlib.contextmanager
def running(
    command: list[str], port: int, ready: str = "/readyz", seconds: float = 60
) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it and everything below it.

    Args:
        command: Its command line.
        port: Where it will listen.
        ready: Path that answers once it serves.
        seconds: How long to wait for that.

    Yields:
        The server.

    Raises:
        RuntimeError: It ends or does not answer in time; the message holds the end of its log.
    """
    # Python would end at once and leave the servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ)
        )
        try:
            if not _answers(process, f"http://{HOST}:{port}{ready}", seconds):
                log.seek(0)
                raise RuntimeError(f"{command} does not answer:\n{log.read()[-2000:].decode()}")
            yield Server(port, psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(process: subprocess.Popen[bytes], url: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return True
        time.sleep(0.1)
    return False
