"""How the server runs: one frozen record, filled from ``PROTOHEAD_*`` environment variables.

Every field is a variable: ``max_images`` is ``PROTOHEAD_MAX_IMAGES``. The defaults are safe for a
machine on a network that is not trusted.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from serving.errors import SettingsError
from serving.model.cuda import cuda_works
from serving.model.runtime import Provider

PREFIX = "PROTOHEAD_"
_SERVICE_LINK = re.compile(PREFIX + r"(SERVICE_(HOST|PORT.*)|PORT_\d+_(TCP|UDP|SCTP).*)")
_PREFIX_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,8}")
_ORIGIN = re.compile(r"\*|https?://[^/\s,]+")
Count = Annotated[int, Field(ge=1)]


def _listed(value: object) -> object:
    """The parts of a text, as a variable holds them."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class Settings(BaseModel):
    """What may be set, with its default.

    Attributes:
        artifact: Folder to serve, or a link to it; pointing the link elsewhere swaps the model.
        provider: ``cpu``, ``cuda``, or ``auto``: CUDA where it works.
        host: IP address to listen on.
        port: TCP port to listen on.
        workers: Processes; 0 takes one for each core, or one where it runs on CUDA.
        threads: Threads inside an operator, in each worker; 0 shares the cores between workers.
        max_body: Bytes of a request's body.
        max_pixels: Width times height of an image, checked before it is decoded.
        max_images: Images in a request.
        max_classes: Classes that a request may name.
        max_drawn: Pixels of all heatmaps that one request may have drawn as png.
        concurrency: Analyses that one worker has in hand, running or waiting; above it 429. Of
            bodies that still come in it takes four times as many.
        timeout: Seconds for receiving a request, and again for answering it.
        reload: Seconds between looks at the served link; 0 never looks.
        tokens: File with one bearer token a line, read again when it changes; without it everybody
            may ask.
        open_health: Health and metrics answer without a token.
        origins: Origins whose pages may ask from a browser, separated by commas; ``*`` is any.
        audit: File of the audit record, one JSON line an answered image; ``-`` is stdout.
        audit_size: Bytes above which that file is set aside and a new one begun; 0 never does.
        grpc_port: TCP port of the Open Inference Protocol over gRPC; 0 does not offer it.
        traces: Export OpenTelemetry traces, as the ``OTEL_*`` variables say.
        root_path: Prefix under which a proxy offers the server, such as ``/birds``.
        open_docs: The page, its samples and the OpenAPI description answer without a token.
        browser: Open the page in the browser of this machine once the server answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Path = Path("artifact")
    provider: Provider = "auto"
    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)
    workers: int = Field(default=0, ge=0, le=1024)
    threads: int = Field(default=0, ge=0, le=1024)
    max_body: Count = 20 * 2**20
    max_pixels: Count = 40_000_000
    max_images: Count = 16
    max_classes: Count = 64
    max_drawn: Count = 40_000_000
    concurrency: Count = 64
    timeout: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    reload: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    tokens: Path | None = None
    open_health: bool = True
    open_docs: bool = True
    audit: Path | None = None
    audit_size: int = Field(default=100 * 2**20, ge=0)
    grpc_port: int = Field(default=0, ge=0, le=65535)
    traces: bool = False
    root_path: str = ""
    origins: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    browser: bool = False

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"expected origins such as https://example.org, got {origin[:80]!r}"
                )
        return origins

    @field_validator("root_path")
    @classmethod
    def _prefix(cls, path: str) -> str:
        prefix = "/" + path.removeprefix("/").removesuffix("/")
        if prefix == "/":
            return ""
        if not is_prefix(prefix):
            raise ValueError(f"expected a path such as /birds, got {path[:80]!r}")
        return prefix

    @model_validator(mode="after")
    def _two_ports(self) -> Settings:
        if self.grpc_port and self.grpc_port == self.port:
            raise ValueError(f"expected another port for gRPC than the {self.port} of HTTP")
        return self

    @field_validator("host")
    @classmethod
    def _address(cls, host: str) -> str:
        if host == "localhost":
            return "127.0.0.1"
        try:
            return str(ip_address(host))
        except ValueError as error:
            raise ValueError(f"expected an IP address, got {host[:80]!r}") from error

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: object) -> object:
        """An empty variable is one that is not set, as container platforms write it."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: A variable is unknown or its value out of range.
        """
        values = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX) and not _is_service_link(name, value)
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = PREFIX + str((*first["loc"], "grpc_port")[0]).upper()
            raise SettingsError(f"{name}: {first['msg']}. Mend or unset it.") from error

    def to_environment(self) -> dict[str, str]:
        """The variables that :meth:`from_environment` reads these settings back from."""
        values = self.model_dump(mode="json", exclude_none=True)
        texts = {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in values.items()
        }
        return {PREFIX + name.upper(): text for name, text in texts.items()}

    @property
    def process_count(self) -> int:
        """Worker processes to start."""
        # Several processes on one GPU would each hold the model and wait for each other.
        on_gpu = self.provider == "cuda" or (self.provider == "auto" and cuda_works())
        return self.workers or (1 if on_gpu else core_count())

    @property
    def thread_count(self) -> int:
        """Threads inside an operator, in each worker."""
        return self.threads or self._cores_of_a_worker

    @property
    def calls_at_once(self) -> int:
        """Requests that one worker computes at a time; the others wait their turn.

        One more than its cores keeps them busy while one waits for the interpreter. More than
        that only fight for cores and interpreter (eight on two cores lose a tenth of the
        throughput of a small model), and each may hold a decoded image of the largest size. Three
        at least, so that one long request leaves a way past it.
        """
        return max(3, self._cores_of_a_worker + 1)

    @property
    def _cores_of_a_worker(self) -> int:
        return max(1, core_count() // self.process_count)


def is_prefix(path: str) -> bool:
    """Whether a path may stand before every path of ours: plain segments, none of them hidden."""
    return len(path) <= 200 and bool(_PREFIX_PATH.fullmatch(path))


def core_count(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may use: those it is bound to, or fewer by a container's quota.

    Args:
        quota: Where the control group says how much time of how much it may use.
    """
    if hasattr(os, "sched_getaffinity"):
        bound = len(os.sched_getaffinity(0))
    else:
        bound = os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return min(bound, max(1, math.ceil(int(allowed) / int(period))))
    except (OSError, ValueError):  # no control groups, or "max": no quota
        return bound


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes set a variable in the name of a Service called `protohead`."""
    return bool(_SERVICE_LINK.fullmatch(name)) or (name == f"{PREFIX}PORT" and "://" in value)
