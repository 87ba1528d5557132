"""The endpoints of a model hub that huggingface_hub asks to push and read a model repository."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_this_test"
LARGE = (".onnx", ".npz", ".safetensors", ".jpg")
_REPOSITORY = "([^/]+/[^/]+)"


@dataclass
class Hub:
    """Its repositories: of each, commits by hash, and branches."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def head(self, repository: str, revision: str) -> str | None:
        """The commit that a revision names."""
        if revision in self.commits:
            return revision
        return self.branches.get(f"{repository}@{revision}")

    def commit(self, repository: str, revision: str, changes: dict[str, bytes]) -> str:
        """Put files on a branch."""
        files = {**self.commits[self.branches[f"{repository}@{revision}"]], **changes}
        digest = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[digest] = files
        self.branches[f"{repository}@{revision}"] = digest
        return digest


@contextlib.contextmanager
def hub() -> Iterator[Hub]:
    """A hub on the loopback interface, until the block ends."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.resolve(body=False)

        def do_GET(self) -> None:
            state.asked.append(self.path)
            path = unquote(urlsplit(self.path).path)
            if found := re.fullmatch(rf"/api/models/{_REPOSITORY}(?:/revision/(.+))?", path):
                head = state.head(found[1], found[2] or "main")
                if head is None:
                    return self.missing()
                return self.told({"id": found[1], "sha": head, "siblings": []})
            return self.resolve(body=True)

        def resolve(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            found = re.fullmatch(rf"/{_REPOSITORY}/resolve/([^/]+)/(.+)", path)
            head = state.head(found[1], found[2]) if found else None
            if head is None or found is None or found[3] not in state.commits[head]:
                return self.missing()
            content = state.commits[head][found[3]]
            self.send_response(200)
            self.send_header("X-Repo-Commit", head)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)
            return None

        def do_PUT(self) -> None:
            state.uploads[self.path.rpartition("/")[2]] = self.body()
            self.told({})

        def do_POST(self) -> None:
            state.asked.append(self.path)
            path, body = unquote(urlsplit(self.path).path), self.body()
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.send_response(401)
                self.end_headers()
            elif path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                hidden = asked.get("private") or asked.get("visibility") == "private"
                state.private.setdefault(name, bool(hidden))
                state.commits.setdefault("0" * 40, {})
                state.branches.setdefault(f"{name}@main", "0" * 40)
                self.told({"url": f"{state.url}/{name}", "name": name, "id": "1"})
            elif path == "/api/validate-yaml":
                self.told({"errors": [], "warnings": []})
            elif re.fullmatch(rf"/api/models/{_REPOSITORY}/preupload/(.+)", path):
                files = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(body)["files"]
                ]
                self.told({"files": files})
            elif path.endswith(".git/info/lfs/objects/batch"):
                objects = [
                    {**item, "actions": {"upload": {"href": f"{state.url}/upload/{item['oid']}"}}}
                    for item in json.loads(body)["objects"]
                ]
                self.told({"transfer": "basic", "objects": objects})
            elif found := re.fullmatch(rf"/api/models/{_REPOSITORY}/commit/(.+)", path):
                self.commit(found[1], found[2], body)
            else:
                self.missing()

        def commit(self, repository: str, branch: str, body: bytes) -> None:
            changes = {}
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    changes[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    changes[value["path"]] = state.uploads[value["oid"]]
            digest = state.commit(repository, branch, changes)
            url = f"{state.url}/{repository}/commit/{digest}"
            self.told({"success": True, "commitOid": digest, "commitUrl": url})

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while length := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def told(self, content: object) -> None:
            text = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def missing(self) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
