"""A stand-in for a server of OpenAI's protocol, with the faults that real ones have.

Events follow vLLM (vllm/entrypoints/openai) and llama-server (tools/server): a piece of text per token, the reason of
the end in the last one, then the usage with no choices, then [DONE]. `n_places` requests are served at a time at
`token_s` per token, others wait: a server whose capacity is known, n_places / (prefill_s + n · token_s).
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """How a stand-in answers."""

    models: tuple[str, ...] = ("tiny",)
    has_completions: bool = True
    takes_ignore_eos: bool = True
    counts_tokens: bool = True
    key: str | None = None
    n_places: int = 4
    prefill_s: float = 0.01
    token_s: float = 0.005
    fault: str | None = None  # "500", "break", "garbage", "error_event", "silence", "endless", "empty"
    fault_after: int = 0  # good answers before the fault
    shows_metrics: bool = True
    has_words: bool = (
        True  # False: every token is a part of a character that never ends, as random weights write them
    )
    seen: list[dict[str, Any]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None:
        """Says nothing: a test reads what it needs from `seen`."""

    def do_GET(self) -> None:
        how = self.server.how
        if how.key is not None and self.headers.get("Authorization") != f"Bearer {how.key}":
            self._whole(401, {"error": {"message": "no key"}})
        elif self.path == "/v1/models":
            self._whole(200, {"data": [{"id": name} for name in how.models]})
        elif self.path == "/metrics" and how.shows_metrics:
            text = (
                "# HELP vllm:prompt_tokens_total Number of prefill tokens processed.\n"
                f'vllm:prompt_tokens_total{{model_name="tiny"}} {self.server.n_prompt}.0\n'
                f'vllm:generation_tokens_total{{model_name="tiny"}} {self.server.n_output}.0\n'
                "vllm:cache_config_info{a=} nonsense\n"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        else:
            self._whole(404, {"error": "not found"})

    def do_POST(self) -> None:
        how = self.server.how
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path == "/v1/chat/completions"
        if not chat and not (self.path == "/v1/completions" and how.has_completions):
            self._whole(404, {"error": {"message": "no such call"}})
            return
        if "ignore_eos" in body and not how.takes_ignore_eos:
            self._whole(400, {"error": {"message": "unknown field ignore_eos"}})
            return
        with self.server.lock:
            how.seen.append(body)
            fault = how.fault if len(how.seen) > how.fault_after else None
        if fault == "500":
            self._whole(500, {"error": {"message": "CUDA error: an illegal memory access was encountered"}})
            return
        text = body["messages"][0]["content"] if chat else body["prompt"]
        n_prompt, n_output = len(text.split()) + (5 if chat else 1), body["max_tokens"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if chat:  # before the first token, as OpenAI does
            opening = {"delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            self._event(json.dumps({"choices": [opening]}).encode())
        with self.server.places:
            time.sleep(how.prefill_s)
            for index in range(n_output):
                if fault == "break" and index == n_output // 2:
                    return
                if fault == "silence" and index == 1:
                    self.server.released.wait(30)
                    return
                if fault == "garbage":
                    self._event(b"{not json")
                    return
                if fault == "error_event":
                    self._event(json.dumps({"error": {"message": "out of\x1b[31m memory"}}).encode())
                    return
                if fault == "endless":
                    self.wfile.write(b"data: " + b"x" * 3_000_000)
                    return
                if fault != "empty":
                    self._event(
                        json.dumps(
                            _piece(chat, " word" if how.has_words else "", last=index == n_output - 1)
                        ).encode()
                    )
                time.sleep(how.token_s)
        with self.server.lock:
            self.server.n_prompt += n_prompt
            self.server.n_output += n_output
        if how.counts_tokens:
            usage = {
                "prompt_tokens": n_prompt,
                "completion_tokens": n_output,
                "prompt_tokens_details": {"cached_tokens": 1},
            }
            self._event(json.dumps({"choices": [], "usage": usage}).encode())
        self._event(b"[DONE]")

    def _event(self, data: bytes) -> None:
        self.wfile.write(b"data: " + data + b"\n\n")
        self.wfile.flush()

    def _whole(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def _piece(chat: bool, text: str, *, last: bool) -> dict[str, Any]:
    reason = "length" if last else None
    if chat:
        return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}
    return {"choices": [{"text": text, "finish_reason": reason}]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, how: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.how = how
        self.lock = threading.Lock()
        self.places = threading.Semaphore(how.n_places)
        self.released = threading.Event()
        self.n_prompt = self.n_output = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def serving(how: Behaviour) -> Iterator[str]:
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
