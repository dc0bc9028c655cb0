"""A stand-in for the hub: repositories from folders, with listings, file metadata, cards and range requests."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".gguf", ".bin")  # what the hub keeps as large files, and tells the sha256 of


@dataclass
class Repository:
    """A repository: its files by path, the front matter of its card, whether its terms must be accepted."""

    files: Mapping[str, bytes]
    card: Mapping[str, Any] = field(default_factory=dict)
    is_gated: bool = False


def from_folder(folder: Path, **more: Any) -> Repository:
    return Repository({path.name: path.read_bytes() for path in folder.iterdir()}, **more)


@dataclass
class Hub:
    """The running server: where it listens and what it was asked.

    Attributes:
        asked: (path, bytes sent) of every request, in order.
    """

    url: str
    repositories: dict[str, Repository]
    asked: list[tuple[str, int]]

    def sent(self, suffix: str) -> dict[str, int]:
        """Bytes sent of every file whose name ends so, by path; a file only asked about has 0."""
        found: dict[str, int] = {}
        for path, size in self.asked:
            if path.endswith(suffix) and not path.startswith("/api"):
                found[path] = found.get(path, 0) + size
        return found


@contextmanager
def serve(repositories: Mapping[str, Repository]) -> Iterator[Hub]:
    """Serve repositories by name (`org/name`, a data set as `datasets/org/name`) at COMMIT, branch main and tag v1."""
    hub = Hub("", dict(repositories), [])
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = unquote(self.path.partition("?")[0]).strip("/").split("/")
        is_api = path[0] == "api"
        parts = path[1:] if is_api else path
        prefix = "datasets/" if parts[0] == "datasets" else ""
        parts = parts[1:] if parts[0] in ("datasets", "models") else parts
        repository = self.hub.repositories.get(prefix + "/".join(parts[:2]))
        if repository is None:
            return self.fail(404, "RepoNotFound")
        revision = next((parts[i + 1] for i, word in enumerate(parts) if word in ("revision", "tree", "resolve")), None)
        if revision not in (None, "main", "v1", COMMIT):
            return self.fail(404, "RevisionNotFound")
        if is_api:
            listing = self.tree(repository) if "tree" in parts else self.info("/".join(parts[:2]), repository)
            return self.send(json.dumps(listing).encode(), body=body)
        if repository.is_gated:
            return self.fail(403, "GatedRepo")
        name = "/".join(parts[4:])  # after org/name/resolve/revision
        if name not in repository.files:
            return self.fail(404, "EntryNotFound")
        return self.send(repository.files[name], body=body)

    def info(self, name: str, repository: Repository) -> dict[str, Any]:
        siblings = [
            {"rfilename": n, "size": len(d), "blobId": _oid(d), **_large(n, d)} for n, d in _members(repository)
        ]
        return {"id": name, "sha": COMMIT, "siblings": siblings, "cardData": dict(repository.card)}

    def tree(self, repository: Repository) -> list[dict[str, Any]]:
        return [{"type": "file", "path": n, "size": len(d), "oid": _oid(d)} for n, d in _members(repository)]

    def send(self, data: bytes, *, body: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        piece = data[int(asked[1]) : int(asked[2] or len(data)) + 1] if asked else data
        self.send_response(206 if asked else 200)
        if asked:
            start = int(asked[1])
            self.send_header("Content-Range", f"bytes {start}-{start + len(piece) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("ETag", f'"{_oid(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(piece)
        self.hub.asked.append((self.path, len(piece) if body else 0))

    def fail(self, status: int, code: str) -> None:
        self.hub.asked.append((self.path, 0))
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _members(repository: Repository) -> list[tuple[str, bytes]]:
    return sorted(repository.files.items())


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _large(name: str, data: bytes) -> dict[str, Any]:
    if not name.endswith(LARGE):
        return {}
    return {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
