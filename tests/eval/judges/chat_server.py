"""A stand-in of an OpenAI-compatible endpoint on 127.0.0.1: it answers by a script and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[dict[str, Any], int], "str | tuple[int, str] | dict[str, Any]"]
"""(the material of the question, how many requests came before) -> answer text, (status, message), or a whole body."""


@dataclass
class Endpoint:
    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def questions(self) -> list[dict[str, Any]]:
        return [json.loads(one["messages"][1]["content"]) for one in self.requests]


@contextmanager
def serving(script: Script) -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with endpoint.lock:
                before = len(endpoint.requests)
                endpoint.requests.append(asked)
                endpoint.keys.append(self.headers["Authorization"])
                endpoint.now += 1
                endpoint.most_at_once = max(endpoint.most_at_once, endpoint.now)
            try:
                said = script(json.loads(asked["messages"][1]["content"]), before)
            finally:
                with endpoint.lock:
                    endpoint.now -= 1
            status, body = 200, said
            if isinstance(said, tuple):
                status, body = said[0], {"error": {"message": said[1]}}
            elif isinstance(said, str):
                message = {"role": "assistant", "content": said}
                body = {
                    "id": "x", "object": "chat.completion", "created": 0, "model": asked["model"],
                    "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                    "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
                }  # fmt: skip
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
