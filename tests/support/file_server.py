"""A plain HTTP server of a few files on the loopback interface, which can be told to misbehave."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class FileServer:
    """What it has, what it does wrong, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(files: dict[str, bytes] | None = None) -> Iterator[FileServer]:
    """Serve files by their path behind the slash, until the block ends."""
    state = FileServer(dict(files or {}))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            state.asked.append(name)
            state.headers.append(dict(self.headers))
            if name in state.faults:
                state.faults[name](self)
            elif name in state.files:
                answer(self, state.files[name])
            else:
                self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # closing it waits for every answer to end
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, content: bytes, length: int | None = None) -> None:
    """Answer with a content that says it has this length."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


def broken(content: bytes) -> Fault:
    """Half of the content under the length of all, then nothing."""
    return lambda handler: answer(handler, content[: len(content) // 2], len(content))


def large(length: int) -> Fault:
    """A content that says it is this large; the reader must not wait for it."""
    return lambda handler: answer(handler, b"{", length)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A content without a length and without an end."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):  # until the reader has enough
        while True:
            handler.wfile.write(bytes(1 << 16))


def redirect(target: str) -> Fault:
    """A redirect."""

    def answer_(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer_
