"""Start the server: this process becomes BentoML's supervisor.

``python -m serving.web.launch`` starts it by ``PROTOHEAD_*`` variables alone, as a container does.
"""

from __future__ import annotations

import importlib.util
import math
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from serving.errors import ArtifactError, RuntimeSetupError, SettingsError
from serving.process.audit import STDOUT, Audit
from serving.process.live import Served
from serving.process.settings import Settings
from serving.process.tokens import Tokens

_ROOT = Path(__file__).parents[2]
_BUNDLED = _ROOT / "artifact"
"""Where a Bento carries its artifact."""
_CACHE = "XDG_CACHE_HOME"
_HOME = "BENTOML_HOME"
_ALLOCATOR = {
    # glibc keeps a heap for each thread; two hold memory flat under load at no cost in speed.
    "MALLOC_ARENA_MAX": "2",
    # It learns from large buffers to keep them: a worker of 160 MiB held 440 to 940 after a peak of
    # large pictures, with these 174 at no cost that shows. The first alone costs some 5 %: it also
    # makes glibc give back whatever exceeds 128 KiB (benchmarks/peak_memory.py; docs/deploy.md).
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**20),
}


def main() -> None:
    """Serve as the environment says; what stops the start is one line on stderr."""
    try:
        launch(environment_settings())
    except ArtifactError as error:
        sys.exit(f"protohead: {error}")


def environment_settings() -> Settings:
    """The settings of the environment; inside a Bento its own artifact is the default.

    Raises:
        SettingsError: A variable is unknown or its value out of range.
    """
    bundled = {"PROTOHEAD_ARTIFACT": str(_BUNDLED)} if _BUNDLED.is_dir() else {}
    return Settings.from_environment({**bundled, **os.environ})


def launch(settings: Settings) -> NoReturn:
    """Check the artifact, then serve it until SIGTERM or SIGINT.

    Raises:
        ArtifactError: The artifact or a setting cannot be used; nothing was started.
    """
    require_usable(settings)
    if settings.grpc_port:  # workers share it, so two servers would share it in silence
        _require_free(settings.host, settings.grpc_port)
    absolute = settings.model_copy(
        update={
            # Not resolved: a link must stay one, so that pointing it elsewhere swaps the model.
            "artifact": settings.artifact.absolute(),
            "tokens": settings.tokens and settings.tokens.absolute(),
            "audit": settings.audit
            if settings.audit in (None, STDOUT)
            else settings.audit.absolute(),
        }
    )
    environment = {**os.environ, **absolute.to_environment(), "BENTOML_DO_NOT_TRACK": "True"}
    environment[_HOME] = environment.get(_HOME) or str(_home(settings))
    for name, value in _ALLOCATOR.items():
        environment.setdefault(name, value)
    os.execve(sys.executable, command(absolute), environment)  # noqa: S606 - our own command


def require_usable(settings: Settings) -> None:
    """Try all that a worker will need.

    Raises:
        ArtifactError: The artifact or a setting cannot be used, or an extra is not installed.
    """
    Served.load(settings.artifact, settings)
    if settings.tokens:
        Tokens(settings.tokens)
    if settings.audit:
        Audit(settings.audit, settings.audit_size).close()
    for wanted, module, extra in (
        (settings.grpc_port, "grpc", "grpc"),
        (settings.traces, "opentelemetry.exporter.otlp.proto.http", "otel"),
    ):
        if wanted and not _is_installed(module):
            raise RuntimeSetupError(
                f"expected the package {module}, found none. Run: pip install 'protohead[{extra}]'."
            )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is part of
        return False


def _require_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port), family=_family(host)):
            pass
    except OSError as error:
        raise SettingsError(
            f"--grpc-port: expected a free port, {port} of {host} is not: {error}."
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def command(settings: Settings) -> list[str]:
    """The supervisor's command line."""
    options = {
        "--working-dir": str(_ROOT),
        "--host": settings.host,
        "--port": str(settings.port),
        # Long enough for whatever may be in flight, by the application's own limits.
        "--timeout-graceful-shutdown": str(math.ceil(2 * settings.timeout) + 5),
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "bentoml", "serve", "serving.service:Service", *words]


def _home(settings: Settings) -> Path:
    """BentoML keeps the metrics of one server in its home: one for each address."""
    cache = Path(os.environ.get(_CACHE) or Path.home() / ".cache")
    home = cache / "protohead" / f"{settings.host}-{settings.port}".replace(":", "_")
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"{_HOME}: expected to make the folder {home}, got {error.strerror}. Set it to a "
            "folder that can be written."
        ) from error
    return home


if __name__ == "__main__":
    main()
