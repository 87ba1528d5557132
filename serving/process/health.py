"""Is the server of this container ready? Exits with 0 or 1; a container's health check.

Run as a file, and of the standard library alone: it starts anew at every check, and the packages
of the server would take ten times as long to import.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to ask, not to bind
_SECONDS = 4.0


def main() -> None:
    """Ask ``/readyz``; what is wrong is one line on stderr."""
    try:
        _ask(os.environ, _SECONDS)
    except (OSError, ValueError) as error:
        sys.exit(f"not ready: {error}")


def answers(environment: Mapping[str, str], seconds: float) -> bool:
    """Whether the server of these settings answers a request within so many seconds."""
    try:
        _ask(environment, seconds)
    except (OSError, ValueError):
        return False
    return True


def url_of(environment: Mapping[str, str]) -> str:
    """Where this machine finds the server of these settings."""
    host = environment.get("PROTOHEAD_HOST") or "127.0.0.1"
    host = _EVERYWHERE.get(host, host)
    port = environment.get("PROTOHEAD_PORT") or "3000"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _ask(environment: Mapping[str, str], seconds: float) -> None:
    request = urllib.request.Request(f"{url_of(environment)}/readyz")  # noqa: S310
    tokens = environment.get("PROTOHEAD_TOKENS")
    if tokens:  # health may be closed to those without one
        lines = map(str.strip, Path(tokens).read_text(encoding="utf-8").splitlines())
        token = next((line for line in lines if line and not line.startswith("#")), "")
        request.add_header("Authorization", f"Bearer {token}")
    urllib.request.urlopen(request, timeout=seconds).read()  # noqa: S310


if __name__ == "__main__":
    main()
