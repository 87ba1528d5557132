"""The page and the server's answers about a model, as files: what a static site holds.

The routes themselves are asked, in this process, so that a file says what the server would say.
What is asked about a picture is computed in the visitor's browser (exporter/site).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from serving.errors import IntegrityError
from serving.process.settings import Settings
from serving.web.api import PAGE, create_app
from serving.web.guard import SECURITY_HEADERS
from serving.web.host import Host

_LARGEST_FILE = 200 * 2**20  # bytes of a picture; it stays in the visitor's browser
_API = "page/api.js"
SERVER_API = "page/server.js"
"""The page's own ``api.js``, under the name by which that of a static site imports it."""


def frozen(artifact: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a static site, but for what answers about a picture.

    Args:
        artifact: The artifact's folder.

    Yields:
        Names with forward slashes, and contents: ``index.html``, ``page/``, and ``v1/``, where a
        route without an ending has that of JSON.

    Raises:
        ArtifactError: It cannot be served, or changes meanwhile.
    """
    host = Host(Settings(artifact=artifact, provider="cpu", reload=0, max_body=_LARGEST_FILE))
    host.start()
    try:
        with asyncio.Runner() as runner:
            app = create_app(host)
            yield from _page()
            yield from _answers(host, lambda path: runner.run(_get(app, path)))
    finally:
        host.stop()


def _page() -> Iterator[tuple[str, bytes]]:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    yield "index.html", index.replace("<head>", f"<head>{_policy()}", 1).encode()
    for path in sorted(PAGE.iterdir()):
        name = f"page/{path.name}"
        if path.is_file() and path.name != "index.html":
            yield SERVER_API if name == _API else name, path.read_bytes()


def _policy() -> str:
    """The server's policy as a site without headers can say it, with leave to compile the graph."""
    rules = SECURITY_HEADERS["Content-Security-Policy"].split("; ")
    kept = [rule for rule in rules if not rule.startswith("frame-ancestors")]  # of headers alone
    policy = "; ".join(kept).replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}" />'


def _answers(host: Host, get: Any) -> Iterator[tuple[str, bytes]]:
    model = json.loads(get("/v1/model"))
    model["provider"] = {"asked": "cpu", "running": ["wasm"], "doubt": None}
    yield "v1/model.json", _dump(model)
    yield "v1/classes.json", get("/v1/classes")
    samples = get("/v1/samples")
    yield "v1/samples.json", samples
    pictures = set(_urls(json.loads(samples)))
    for record in host.predictor.manifest.classes:
        answer = get(f"/v1/classes/{_key(host, record.index)}/prototypes")
        yield f"v1/classes/{record.index}/prototypes.json", answer
        pictures |= set(_urls(json.loads(answer)))
    for url in sorted(pictures):
        yield urlsplit(url).path.lstrip("/"), get(url)


def _key(host: Host, index: int) -> str:
    """A class in a path: its id, with zeros before it where it would be taken for a label."""
    text = str(index)
    while text in host.predictor.manifest.labels:
        text = f"0{text}"
    return text


def _urls(answer: Any) -> Iterator[str]:
    """Every address of a picture in an answer."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name == "url":
                yield value
            else:
                yield from _urls(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _urls(value)


def _dump(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


async def _get(app: FastAPI, url: str) -> bytes:
    """What the application answers to a GET."""
    parts = urlsplit(url)
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [],
        "client": None,
        "server": None,
        "state": {"prefix": ""},
    }
    status, body = 500, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    if status != 200:
        raise IntegrityError(f"{url}: expected an answer about the artifact, got {body.decode()}")
    return body
