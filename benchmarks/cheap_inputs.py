"""What inputs of a few bytes cost a server, and whoever else asks it meanwhile.

    python benchmarks/cheap_inputs.py ARTIFACT

ARTIFACT should resize the short side of its images. One worker serves it; while each input is sent,
a healthy client asks for /v1/model again and again on a connection of its own. The table has the
answer, the CPU time that the worker took, its largest memory above what it held, and the longest
that the healthy client waited.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import socket
import struct
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from load import HOST, post
from PIL import Image
from servers import free_port, protohead, running

_SECONDS = 45.0
_PIECE = 2**16


@dataclass(frozen=True)
class Input:
    """What is sent on each of some connections: the beginning, then the rest piece by piece."""

    begin: bytes
    rest: bytes = b""
    pieces: int = 0
    connections: int = 1
    grpc: bool = False


@dataclass(frozen=True)
class Call:
    """One message over gRPC, packed on its way or not."""

    message: bytes
    packed: bool = False


def _png(width: int, height: int, between: bytes = b"") -> bytes:
    row = bytes(1 + (width + 7) // 8)
    rows = zlib.compressobj(9)
    data = b"".join([*(rows.compress(row) for _ in range(height)), rows.flush()])
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + between + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _scans(side: int, count: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 60)).save(content, "JPEG", progressive=True)
    plain = content.getvalue()
    return plain[:-2] + plain[plain.rindex(b"\xff\xda") : -2] * count + plain[-2:]


def _bmp(width: int) -> bytes:
    data = b"\0\2\xff\xff" * 2  # skip 255 pixels and 255 rows
    head = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 8, 1, 8, 0, 0, 256, 0) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + 8, 0, 0, 14 + len(head)) + head + data


def _predict(image: bytes) -> Input:
    return Input(post("/v1/predict", image, "image/png"))


def _inputs() -> dict[str, Callable[[], Input | Call]]:
    with io.BytesIO() as content:
        Image.new("P", (8, 8)).save(content, "GIF")
        gif = content.getvalue()
    comment = b"\x21\xfe" + b"\1a" * 9_000_000 + b"\0,"
    head = b"GET /v1/model HTTP/1.1\r\nHost: x\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    form = part + b"\r\n--x-y" * 2_300_000 + b"\r\n--x--\r\n"
    mutes = {"image": "R0lGODlh", "mute": [{"class": 0, "prototype": 0}] * 300_000}
    offer = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA"
    end = b"\r\n\r\n"
    offered = _predict(gif).begin.replace(end, offer + end, 1)
    return {
        "an ordinary picture": lambda: _predict(_png(500, 375)),
        "a picture of the most pixels": lambda: _predict(_png(6300, 6300)),
        "PNG of 1 x 65535": lambda: _predict(_png(1, 65535)),
        "PNG of 1 x 12000": lambda: _predict(_png(1, 12000)),
        "PNG of 1,500,000 empty chunks": lambda: _predict(
            _png(8, 8, _chunk(b"abCd", b"") * 1_500_000)
        ),
        "GIF of 18 MB of comment": lambda: _predict(gif.replace(b",", comment, 1)),
        "BMP of 1 KB that skips": lambda: _predict(_bmp(8_000_000)),
        "JPEG of 6000 x 6000, 400 passes, 3 at once": lambda: Input(
            _predict(_scans(6000, 400)).begin, connections=3
        ),
        "300,000 mutes": lambda: Input(
            post("/v1/explain", json.dumps(mutes).encode(), "application/json")
        ),
        "a form of 16 MB that begins boundaries": lambda: Input(
            post("/v1/predict", form, "multipart/form-data; boundary=x")
        ),
        "a head of fields without end": lambda: Input(head, b"X: y\r\n" * (_PIECE // 6), 1280),
        "one field without end": lambda: Input(head + b"X: ", b"y" * _PIECE, 1280),
        "200 heads that are never finished": lambda: Input(head, connections=200),
        "POST that offers HTTP/2": lambda: Input(offered),
        "gRPC: 10,000,000 empty inputs": lambda: Call(b"\x2a\0" * 10_000_000),
        "gRPC: raw contents of no bytes": lambda: Call(b"\x3a\0" * 10_000_000),
        "gRPC: 1 GB of zeros, packed": lambda: Call(bytes(2**30), packed=True),
        "gRPC: 200 connections that say nothing": lambda: Input(b"", connections=200, grpc=True),
    }


class Watch:
    """A healthy client, and the worker's memory, until the block ends."""

    def __init__(self, port: int, worker: psutil.Process) -> None:
        self._port, self._worker = port, worker
        self._end = threading.Event()
        self.longest = 0.0
        self.memory = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Ask and look, many times a second."""
        threads = [threading.Thread(target=work) for work in (self._ask, self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in threads:
                thread.join()

    def _ask(self) -> None:
        while not self._end.wait(0.05):
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                url = f"http://{HOST}:{self._port}/v1/model"
                urllib.request.urlopen(url, timeout=_SECONDS).read()
            self.longest = max(self.longest, time.monotonic() - begun)

    def _look(self) -> None:
        before = self._worker.memory_info().rss
        while not self._end.wait(0.01):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.memory = max(self.memory, self._worker.memory_info().rss - before)


def _call(port: int, given: Call) -> str:
    """Send it; the status that it was answered with."""
    packing = grpc.Compression.Gzip if given.packed else grpc.Compression.NoCompression
    unlimited = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"{HOST}:{port}", options=unlimited) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            infer(given.message, timeout=_SECONDS, compression=packing)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _send(port: int, given: Input) -> str:
    """Send it on all its connections; what the last of them was answered."""
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((HOST, port), _SECONDS))
            for _ in range(given.connections)
        ]
        answer = "closed"
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.sendall(given.begin)
                for _ in range(given.pieces):
                    connection.sendall(given.rest)
        for connection in connections:
            connection.settimeout(_SECONDS)
            try:
                words = connection.recv(64).split()
                answer = words[1].decode() if len(words) > 1 else "closed"
            except TimeoutError:
                answer = f"nothing in {_SECONDS:g} s"
            except ConnectionError:
                answer = "closed"
            if answer.startswith("nothing"):
                break
        return answer


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--only", default="", help="inputs whose name holds this")
    options = parser.parse_args()
    print("| input | bytes | answer | CPU, s | memory, MiB | another waits at most, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, make in _inputs().items():
        if options.only not in name:
            continue
        given = make()
        port, grpc_port = free_port(), free_port()
        words = [*protohead(options.artifact, port, 1), "--grpc-port", str(grpc_port)]
        with running(words, port) as server:
            (worker,) = server.workers()
            watch = Watch(port, worker)
            urllib.request.urlopen(f"http://{HOST}:{port}/v1/model").read()
            before = sum(worker.cpu_times()[:2])
            with watch.watching():
                if isinstance(given, Call):
                    answer = _call(grpc_port, given)
                else:
                    answer = _send(grpc_port if given.grpc else port, given)
                time.sleep(1.0)
            try:
                cpu = f"{sum(worker.cpu_times()[:2]) - before:.2f}"
            except psutil.NoSuchProcess:
                cpu = "it died"
        if isinstance(given, Call):
            size = len(gzip.compress(given.message) if given.packed else given.message)
        else:
            size = len(given.begin) + given.pieces * len(given.rest)
        print(
            f"| {name} | {size:,} | {answer} | {cpu} | {watch.memory / 2**20:.0f} | "
            f"{watch.longest:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
