"""A stand-in for llama-server: /health, /props, /v1/models and /completion, as tools/server of llama.cpp answers them.

FAKE_LLAMA_SERVER says what goes wrong: "crash" at the third completion, "cached" (part of a prompt came from a cache),
"exit" before it is ready, "old" (no sizes in its list of models) or "hang" in an endless prompt.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

TROUBLE = os.environ.get("FAKE_LLAMA_SERVER", "")
N_VOCAB = 49152
asked = {"health": 0, "completions": 0}


def timings(n_prompt: int, n_predict: int) -> dict[str, object]:
    # 1,000 prompt tokens and 100 generated ones a second; the first token comes with the prompt (server_slot_stats).
    prompt_ms, steps = float(n_prompt), n_predict - 1
    predicted_ms = 10.0 * steps if steps else 0.001
    return {
        "cache_n": 10 if TROUBLE == "cached" else 0,
        "prompt_n": n_prompt, "prompt_ms": prompt_ms, "prompt_per_token_ms": prompt_ms / n_prompt,
        "prompt_per_second": 1000.0, "predicted_n": n_predict, "predicted_ms": predicted_ms,
        "predicted_per_token_ms": predicted_ms / max(1, steps), "predicted_per_second": 100.0,
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def log_message(self, _format: str, *arguments: object) -> None:
        pass

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/health":
            asked["health"] += 1
            if asked["health"] < 3:
                loading = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
                self.answer(503, {"error": loading})
            else:
                self.answer(200, {"status": "ok"})
        elif self.path == "/props":
            self.answer(200, {"total_slots": 1, "build_info": "b11434-0c1e570"})
        elif self.path == "/v1/models":
            meta = {"vocab_type": 2, "n_vocab": N_VOCAB, "n_params": 134515008, "size": 96576768}
            self.answer(200, {"data": [{"id": "x.gguf", "meta": None if TROUBLE == "old" else meta}]})
        else:
            self.answer(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked["completions"] += 1
        assert body["cache_prompt"] is False
        assert body["ignore_eos"] is True
        assert all(0 <= token < N_VOCAB for token in body["prompt"])
        if TROUBLE == "crash" and asked["completions"] == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if TROUBLE == "hang":
            time.sleep(600)
        told = timings(len(body["prompt"]), body["n_predict"])
        self.answer(200, {"content": "", "timings": told, "stop": True})


if "--list-devices" in sys.argv:
    print("Available devices:")
    sys.exit(0)
if TROUBLE == "exit":
    sys.stderr.write("error: failed to load model\n")
    sys.exit(1)
assert sys.argv[sys.argv.index("-np") + 1] == "1"
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
