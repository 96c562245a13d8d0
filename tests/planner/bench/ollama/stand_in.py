"""A stand-in for Ollama, after server/routes.go and api/types.go of v0.33.0-rc2 (fb307609, 2026-08-21).

Counts and durations are left out where they are 0 (`omitempty`), answers are NDJSON when streamed and one object when
not, errors are {"error": …} with a status before the first part and a part of their own after it. A prompt that was
seen before is cached and has no prompt_eval_count, as llama-server's cache has it. Time is counted, not spent:
`prompt_tokens_per_s` and `tokens_per_s` become durations of the answer at once.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NS = 10**9


@dataclass
class Behaviour:
    """How a stand-in answers."""

    version: str = "0.33.0"
    models: list[str] = field(default_factory=lambda: ["smollm2:135m"])
    pullable: tuple[str, ...] = ("qwen3:8b",)
    prompt_tokens_per_s: float = 1000.0
    tokens_per_s: float = 50.0
    stops_after: int | None = None  # tokens, where the model ends its answers itself
    caches: bool = False  # every prompt comes from the cache
    vram_share: float = 0.0
    load_error: str | None = None
    fault: str | None = (
        None  # "error_part", "half", "hang", "broken_off", "not_json", "endless", "crash_status"
    )
    fault_after: int = 4  # answers before it
    has_ps: bool = True
    remote: str | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        how = self.server.how
        if self.path == "/api/version":
            self._object(200, {"version": how.version})
        elif self.path == "/api/tags":
            rows = [
                {"name": name, "model": name, "size": 92_000_000, "digest": "ab" * 32} for name in how.models
            ]
            if how.remote:
                rows = [{**row, "remote_host": how.remote} for row in rows]
            self._object(200, {"models": rows})
        elif self.path == "/api/ps" and how.has_ps:
            rows = [
                {
                    "name": name, "model": name, "size": 200_000_000, "digest": "ab" * 32,
                    "size_vram": int(200_000_000 * how.vram_share), "context_length": 4096,
                }
                for name in self.server.loaded
            ]  # fmt: skip
            self._object(200, {"models": rows})
        else:
            self._plain(404, b"404 page not found")

    def do_POST(self) -> None:
        how = self.server.how
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        how.asked.append((self.path, body))
        name = body.get("model", "")
        if self.path == "/api/pull":
            self._pull(name)
            return
        if self.path != "/api/generate":
            self._plain(404, b"404 page not found")
            return
        full = name if ":" in name else f"{name}:latest"
        if full not in how.models:
            self._object(404, {"error": f"model '{name}' not found"})
            return
        if how.load_error:
            self._object(500, {"error": how.load_error})
            return
        self.server.loaded.add(full)
        if not body.get("prompt"):
            self._object(
                200,
                {"model": name, "response": "", "done": True, "done_reason": "load", "load_duration": 2 * NS},
            )
            return
        self._generate(name, body)

    def _generate(self, name: str, body: dict[str, Any]) -> None:
        how = self.server.how
        self.server.n_answers += 1
        fault = how.fault if self.server.n_answers > how.fault_after else None
        wanted = int(body["options"]["num_predict"])
        n = min(wanted, how.stops_after or wanted)
        n_prompt = 0 if how.caches and self.server.n_answers > 2 else len(body["prompt"].split()) + 1
        last: dict[str, Any] = {
            "model": name, "response": "", "done": True, "done_reason": "length" if n == wanted else "stop",
            "total_duration": 5 * NS, "load_duration": 26_233_700, "eval_count": n,
            # The clock of an answer starts after its first token.
            "eval_duration": int((n - 1) / how.tokens_per_s * NS),
        }  # fmt: skip
        if n_prompt:
            last |= {
                "prompt_eval_count": n_prompt,
                "prompt_eval_duration": int(n_prompt / how.prompt_tokens_per_s * NS),
            }
        last = {key: value for key, value in last.items() if value or key in ("response", "done")}
        if fault == "crash_status":
            self._object(500, {"error": "llama runner process has terminated: signal: killed"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if fault == "hang":
            self.server.released.wait(30)
            return
        for _ in range(min(n, 3)):
            self._part({"model": name, "response": " word", "done": False})
        if fault == "error_part":
            self._part({"error": "an error was encountered while running the model: CUDA error\x1b[31m"})
        elif fault == "half":
            return  # the connection ends without a last part
        elif fault == "broken_off":
            self.wfile.write(b'{"model": "smollm2", "done": tr')
        elif fault == "not_json":
            self.wfile.write(b"<html>502 Bad Gateway</html>\n")
        elif fault == "endless":
            self.wfile.write(b"x" * 3_000_000)
        else:
            self._part(last)

    def _pull(self, name: str) -> None:
        how = self.server.how
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self._part({"status": "pulling manifest"})
        if name not in how.pullable:
            self._part({"error": "pull model manifest: file does not exist"})
            return
        for done in (0, 50, 100):
            self._part({"status": "pulling ab12", "digest": "sha256:ab12", "total": 100, "completed": done})
        self._part({"status": "success"})
        how.models.append(name)

    def _part(self, content: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(content).encode() + b"\n")
        self.wfile.flush()

    def _object(self, status: int, content: dict[str, Any]) -> None:
        self._plain(status, json.dumps(content).encode())

    def _plain(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, how: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.how = how
        self.loaded: set[str] = set()
        self.n_answers = 0
        self.released = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def ollama(how: Behaviour) -> Iterator[str]:
    """The address of a stand-in that runs while the block does."""
    server = _Server(how)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
