"""An application on a real port, in a thread of the test process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from serving.process.settings import Settings
from serving.web.api import create_app
from serving.web.guard import Guard
from serving.web.host import Host


@dataclass(frozen=True)
class Address:
    """Where the application listens, on the loopback interface."""

    port: int

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[Address]:
    """Serve an artifact until the block ends, without BentoML."""
    application = Guard(create_app(Host(settings)), settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()  # the socket listens already: the first request waits for the start
        yield Address(listener.getsockname()[1])
        server.should_exit = True
        thread.join(10)
        if thread.is_alive():
            raise RuntimeError("expected the server to end within 10 s")
