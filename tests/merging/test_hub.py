"""Hub ids against a local server that speaks the hub's layout, in a fresh process with a cache of its own."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from merging import hub
from tests.merging import tiny

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import sys
from merging import Recipe, merge_to_folder
from merging.errors import MergeError
try:
    merge_to_folder(Recipe.single(sys.argv[1]), sys.argv[2])
    print("merged")
except MergeError as error:
    print("refused:", error)
"""


class Hub(BaseHTTPRequestHandler):
    """`org/tiny` with the files of a folder, `org/pickled` with pickles only; anything else does not exist."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")
        self.asked.append(self.path)
        names = {"tiny": set(self.files), "pickled": {"config.json", "pytorch_model.bin"}}
        if path[:2] == ["api", "models"] and len(path) >= 4 and path[2] == "org" and path[3] in names:
            if len(path) > 5 and path[5] not in ("main", COMMIT, "v1"):
                return self.fail("RevisionNotFound")
            members = sorted(names[path[3]])
            if "tree" in path:
                entries = [
                    {"type": "file", "path": n, "size": len(self.files.get(n, b"x")), "oid": "0"} for n in members
                ]
                return self.send(json.dumps(entries).encode(), body=body)
            tree = {"id": f"org/{path[3]}", "sha": COMMIT, "siblings": [{"rfilename": n} for n in members]}
            return self.send(json.dumps(tree).encode(), body=body)
        if path[:1] == ["org"] and len(path) == 5 and path[1] in names and path[4] in names[path[1]]:
            return self.send(self.files.get(path[4], b"pickle"), body=body)
        return self.fail("RepoNotFound")

    def send(self, data: bytes, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def fail(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    folder = tiny.write_model(tmp_path / "model", tiny.weights(0, torch.bfloat16), ["u", "a"])
    Hub.files = {path.name: path.read_bytes() for path in folder.iterdir()} | {"pytorch_model.bin": b"pickle"}
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(name: str, tmp_path: Path, endpoint: str, **environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": endpoint}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **environment}
    command = [sys.executable, "-c", SCRIPT, name, str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def test_fetches_safetensors_and_never_a_pickle(endpoint: str, tmp_path: Path) -> None:
    assert run("org/tiny@v1", tmp_path, endpoint) == "merged"
    assert (tmp_path / "out" / "tokenizer.json").exists()
    assert any("model.safetensors" in path for path in Hub.asked)
    assert not any(".bin" in path for path in Hub.asked)
    (tmp_path / "out").rename(tmp_path / "first")
    assert run(f"org/tiny@{COMMIT}", tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1") == "merged"  # from the cache


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("org/gone", "no such model on the hub", id="no such model"),
        pytest.param("org/tiny@v9", "no revision 'v9'", id="no such revision"),
        pytest.param("org/pickled", "holds no model.safetensors", id="pickles only"),
    ],
)
def test_refused(endpoint: str, tmp_path: Path, name: str, words: str) -> None:
    said = run(name, tmp_path, endpoint)
    assert said.startswith("refused:") and words in said and len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_offline_says_what_to_do(tmp_path: Path) -> None:
    said = run("org/tiny", tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert said.startswith("refused:") and "hub cannot be reached" in said and "HF_HUB_OFFLINE" in said


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("org/repo", True),
        ("org/repo@v1.0", True),
        ("a/b/c", False),
        ("./a", False),
        ("/a/b", False),
        ("a", False),
        ("~/a", False),
    ],
)
def test_what_reads_as_a_hub_id(name: str, is_id: bool) -> None:
    assert hub.is_hub_id(name) is is_id
