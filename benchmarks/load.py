"""A small HTTP/1.1 load generator, cheap enough to share two cores with the server it drives."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

HOST = "127.0.0.1"


@dataclass
class Outcome:
    """What a run of requests came to."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def throughput(self) -> float:
        """Requests answered with 200 per second."""
        return len(self.latencies) / self.seconds


def post(path: str, body: bytes, content_type: str) -> bytes:
    """The bytes of a POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def drive(
    port: int,
    requests: Sequence[bytes],
    *,
    count: int,
    clients: int,
    reuse: int = 200,
    progress: Callable[[int], None] = lambda _: None,
    timeout: float = 30.0,
) -> Outcome:
    """Send requests in turn from a number of clients, each waiting for its answer.

    Args:
        port: Port on the loopback interface.
        requests: What is sent, over and over.
        count: Requests in all.
        clients: Connections at a time.
        reuse: Requests on one connection before it is closed, so that new workers get some.
        progress: Called with the number of requests done, at each.
        timeout: Seconds after which an answer counts as a failure.

    Returns:
        Time, latencies of the answers with 200, and a line for every other.
    """
    outcome, numbers, done = Outcome(), iter(range(count)), itertools.count(1)

    async def client() -> None:
        connection = Connection(port, reuse)
        for number in numbers:
            start = time.perf_counter()
            try:
                status = await asyncio.wait_for(
                    connection.send(requests[number % len(requests)]), timeout
                )
            except (OSError, EOFError, TimeoutError) as error:
                connection.close()
                outcome.failures.append(repr(error))
            else:
                if status == 200:
                    outcome.latencies.append(time.perf_counter() - start)
                else:
                    outcome.failures.append(f"status {status}")
            progress(next(done))
        connection.close()

    async def everyone() -> None:
        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        outcome.seconds = time.perf_counter() - start

    asyncio.run(everyone())
    return outcome


class Connection:
    """A connection that is opened when needed and closed after a number of requests."""

    def __init__(self, port: int, reuse: int) -> None:
        self._port, self._reuse = port, reuse
        self._left = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> int:
        """Send one request, read its whole answer, return the status."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
            self._left = self._reuse
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_content_length(head))
        self._left -= 1
        if self._left == 0:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    raise EOFError(f"expected a Content-Length: {head[:200]!r}")
