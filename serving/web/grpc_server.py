"""The Open Inference Protocol over gRPC, beside HTTP in each worker and under the same limits.

Workers share the port (``SO_REUSEPORT``), and the kernel spreads connections over them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import grpc.aio

from serving.answers.problems import Kind, ProblemError, as_problem
from serving.process import traces
from serving.process.account import Account, Names
from serving.process.tokens import Tokens
from serving.protocols.oip import VERSION, describe, infer, require_version
from serving.protocols.oip_grpc import (
    SERVICE,
    from_metadata,
    from_values,
    message,
    read,
    to_message,
)
from serving.protocols.oip_messages import ServerMetadata
from serving.web.guard import BODIES_PER_ANALYSIS, authorize
from serving.web.host import Host
from serving.web.protocol import HEAD_SECONDS, MAX_HEAD

_log = logging.getLogger("protohead")
_HEALTH = frozenset({"ServerLive", "ServerReady"})
_METHODS = _HEALTH | {"ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer"}
_CODES: Mapping[Kind, grpc.StatusCode] = {
    "unauthorized": grpc.StatusCode.UNAUTHENTICATED,
    "unknown-path": grpc.StatusCode.NOT_FOUND,
    "slow": grpc.StatusCode.DEADLINE_EXCEEDED,
    "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "internal": grpc.StatusCode.INTERNAL,
    "timeout": grpc.StatusCode.DEADLINE_EXCEEDED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}
"""Of problems; of all others INVALID_ARGUMENT."""


class GrpcServer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The server of one worker.

    Args:
        host: The running application.
        version: Of the server.
    """

    def __init__(self, host: Host, version: str) -> None:
        self._host = host
        self._version = version
        settings = host.settings
        self._tokens = Tokens(settings.tokens) if settings.tokens else None
        self._server: Any = None

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: The port is taken.
        """
        settings = self._host.settings
        most = BODIES_PER_ANALYSIS * settings.concurrency
        self._server = grpc.aio.server(
            handlers=[self],
            maximum_concurrent_rpcs=most,
            options=[
                ("grpc.max_receive_message_length", settings.max_body),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", most),
                ("grpc.max_metadata_size", MAX_HEAD // 4),
                ("grpc.absolute_max_metadata_size", MAX_HEAD // 4),
                ("grpc.server_handshake_timeout_ms", int(1000 * HEAD_SECONDS)),
                ("grpc.so_reuseport", 1),
            ],
        )
        self._server.add_insecure_port(address(settings.host, settings.grpc_port))
        await self._server.start()

    async def stop(self) -> None:
        """Take no further request, and finish what is in flight."""
        await self._server.stop(grace=2 * self._host.settings.timeout)

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method; None where there is no such method."""
        service, _, method = handler_call_details.method.lstrip("/").rpartition("/")
        if service != SERVICE or method not in _METHODS:
            return None

        # As if many messages could come: so the token is asked for before the body is read, and
        # the time limit holds for it. On the wire it is the same.
        async def answer(requests: AsyncIterator[bytes], context: Any) -> bytes:
            return await self._answer(method, requests, context)

        return grpc.stream_unary_rpc_method_handler(answer)

    async def _answer(self, method: str, requests: AsyncIterator[bytes], context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        path = f"/{SERVICE}/{method}"
        account = Account(metadata, client=_host_of(context.peer()), method="POST", path=path)
        problem: ProblemError | None = None
        answer = b""
        try:
            with traces.inside(account.span):
                await context.send_initial_metadata([("x-request-id", account.names.request)])
                if self._tokens and not (method in _HEALTH and self._host.settings.open_health):
                    authorize(self._tokens, metadata.get("authorization", ""))
                request = read(f"{method}Request", await self._receive(requests))
                answer = await self._call(method, request, account.names)
            account.status, account.bytes = 200, len(answer)
        except Exception as error:
            problem = as_problem(error)
            account.status = problem.status
            if problem.kind == "internal":
                _log.exception("request %s failed", account.names.request)
        finally:
            account.close(path, path, problem.kind if problem else None)
        if problem:
            code = _CODES.get(problem.kind, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, problem.detail)
        return answer

    async def _receive(self, requests: AsyncIterator[bytes]) -> bytes:
        seconds = self._host.settings.timeout
        try:
            async with asyncio.timeout(seconds):
                found = [await anext(requests, None), await anext(requests, None)]
        except TimeoutError as error:
            raise ProblemError("slow", f"expected the whole body within {seconds:g} s.") from error
        first, second = found
        if first is None or second is not None:
            raise ProblemError("malformed", "expected one message.")
        return first

    async def _call(self, method: str, request: Any, names: Names) -> bytes:
        host = self._host
        match method:
            case "ServerLive":
                return _reply("ServerLiveResponse", live=True)
            case "ServerReady":
                return _reply("ServerReadyResponse", ready=host.is_ready())
            case "ServerMetadata":
                described = ServerMetadata(version=self._version)
                return _reply("ServerMetadataResponse", **described.model_dump())
            case "ModelReady":
                require_version(request.version)
                host.answerer_named(request.name)
                return _reply("ModelReadyResponse", ready=host.is_ready())
            case "ModelMetadata":
                require_version(request.version)
                return from_metadata(describe(host.answerer_named(request.name).served))
            case _:
                return await self._infer(request, names)

    async def _infer(self, request: Any, names: Names) -> bytes:
        require_version(request.model_version)
        host = self._host
        answerer = host.answerer_named(request.model_name)

        def work() -> bytes:
            numbers = host.max_images * answerer.served.predictor.input_elements
            asked = to_message(request, numbers=numbers)
            values, _ = infer(answerer, asked, max_batch=host.max_images)
            return from_values(answerer.served.name, VERSION, request.id, values)

        return await host.analyse(answerer, names, work)


def address(host: str, port: int) -> str:
    """Where to listen, as gRPC writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reply(name: str, /, **fields: Any) -> bytes:
    content: bytes = message(name)(**fields).SerializeToString()
    return content


def _host_of(peer: str) -> str:
    """The address in ``ipv4:127.0.0.1:41234`` or ``ipv6:%5B::1%5D:41234``."""
    host = peer.partition(":")[2].rpartition(":")[0]
    return host.removeprefix("%5B").removesuffix("%5D").strip("[]")
