"""Clients of other kinds beside a load: gRPC, slow senders, and those that go away."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import tritonclient.grpc as triton
from load import HOST
from tritonclient.utils import InferenceServerException

_PATIENCE = 60.0
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: close at once, with a reset


class Others:
    """Two clients of each kind, asking again and again.

    Args:
        port: Of HTTP.
        grpc_port: Of the Open Inference Protocol.
        request: A request over HTTP, as bytes.
        shape: Of the model's input, without the batch.
        model: Name of the model.
    """

    def __init__(
        self, port: int, grpc_port: int, request: bytes, shape: tuple[int, ...], model: str
    ) -> None:
        self._port, self._grpc_port = port, grpc_port
        self._request = request
        self._batch = np.zeros((1, *shape), np.float32)
        self._model = model
        self._end = threading.Event()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the block ends."""
        kinds = {"gRPC": self._grpc, "slow": self._slow, "aborted": self._abort}
        threads = [
            threading.Thread(target=self._again, args=(kind, ask))
            for kind, ask in kinds.items()
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in threads:
                thread.join()

    def _again(self, kind: str, ask: Callable[[], None]) -> None:
        while not self._end.is_set():
            try:
                ask()
            except (OSError, InferenceServerException, RuntimeError) as error:
                self.failed[f"{kind}: {error}"[:80]] += 1
            else:
                self.done[kind] += 1

    def _grpc(self) -> None:
        tensor = triton.InferInput("image", list(self._batch.shape), "FP32")
        tensor.set_data_from_numpy(self._batch)
        with triton.InferenceServerClient(f"{HOST}:{self._grpc_port}") as client:
            for _ in range(20):
                client.infer(self._model, [tensor], client_timeout=_PATIENCE)

    def _slow(self) -> None:
        """Send a request in ten pieces over two seconds."""
        step = len(self._request) // 10 + 1
        with socket.create_connection((HOST, self._port), _PATIENCE) as connection:
            for at in range(0, len(self._request), step):
                connection.sendall(self._request[at : at + step])
                time.sleep(0.2)
            answer = connection.recv(64)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {answer[:40]!r}")

    def _abort(self) -> None:
        """Go away, in turn within the body and while the answer is made."""
        for size in (len(self._request) // 2, len(self._request)):
            with socket.create_connection((HOST, self._port), _PATIENCE) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.sendall(self._request[:size])
            time.sleep(0.1)
