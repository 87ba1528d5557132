"""An application on a real port, in a thread of the test process."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from waiting import PATIENCE

from serving.process.settings import Settings
from serving.web.api import create_app
from serving.web.guard import guarded
from serving.web.host import Host
from serving.web.protocol import LimitedProtocol

TLS = ssl.create_default_context()  # httpx would make one for every call


@dataclass(frozen=True)
class Address:
    """Where the application listens, on the loopback interface."""

    port: int

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        """A client that keeps its connections."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE, verify=TLS)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request on a connection of its own."""
        return httpx.request(method, self.url + path, timeout=PATIENCE, verify=TLS, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """The same by GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """The same by POST."""
        return self.request("POST", path, **options)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def begin(self, path: str, sent: bytes, length: int) -> socket.socket:
        """Send the beginning of a body; returns once the application has begun to read it.

        Whoever expects to be told to continue is told so by the application's first read
        (RFC 9110, section 10.1.1).
        """
        connection = self.connect()
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        heard = b""
        while not heard.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)  # no byte of the answer behind it
            assert piece, heard
            heard += piece
        assert heard.startswith(b"HTTP/1.1 100"), heard
        connection.sendall(sent)
        return connection


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[Address]:
    """Serve an artifact until the block ends, without BentoML."""
    application = guarded(create_app(Host(settings)), settings)
    # A server that closes an idle connection may close it under a client's next request. Here only
    # the client does, who knows.
    config = uvicorn.Config(
        application, http=LimitedProtocol, log_level="warning", timeout_keep_alive=3600
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()  # the socket listens already: the first request waits for the start
        try:
            yield Address(listener.getsockname()[1])
        finally:  # a thread left running would keep the whole test run from ending
            server.should_exit = True
            thread.join(PATIENCE)
        if thread.is_alive():
            raise RuntimeError(f"expected the server to end within {PATIENCE:g} s")
