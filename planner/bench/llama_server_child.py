"""The process that starts a `llama-server`, asks it for completions, and reports the server's own timings.

Run as `python -P -m planner.bench.llama_server_child`; the server belongs to its process group and goes with it. The
prompts are token ids, so no text and no template plays a part, and the server's prompt cache is off.
"""

import http.client
import json
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from hardware.units import MIB, MILLI
from planner.bench.child_process import Reporter, serve
from planner.bench.llama_cpp_memory import EngineError
from planner.bench.schedule import Pacing, done_fraction, tokens_that_fit, wants_another
from planner.estimate.measurement import Phase

_HOST = "127.0.0.1"
_ANSWER_LIMIT_S = 600.0
_MAX_ANSWER_BYTES = 16 * MIB
_POLL_S = 0.1
_PROBE_TOKENS = 32
_LOADING_SHARE = 0.1
_DEVICE = re.compile(r"^\s*([A-Za-z]+)\d+:", re.MULTILINE)  # "  CUDA0: NVIDIA …" of --list-devices
_LEAST_S = 1e-4  # a test that took less was not run: the server had it from somewhere else


def server_command(program: str, request: dict[str, Any], port: int, n_context_tokens: int) -> list[str]:
    """The server's command: one slot, our context, the request's flags."""
    flash = {None: "auto", True: "on", False: "off"}[request["flash_attention"]]
    threads = [] if request["n_threads"] is None else ["-t", str(request["n_threads"])]
    layers = [] if request["n_gpu_layers"] < 0 else ["-ngl", str(request["n_gpu_layers"])]
    return [
        program, "-m", request["model_path"], "--host", _HOST, "--port", str(port), "-np", "1",
        "-c", str(n_context_tokens), "-b", str(request["n_batch"]), "-ub", str(request["n_ubatch"]),
        "-ctk", request["kv_type"], "-ctv", request["kv_type"], "-fa", flash, *threads, *layers,
    ]  # fmt: skip


class _Server:
    """A running server and how to ask it."""

    def __init__(self, request: dict[str, Any], n_context_tokens: int) -> None:
        with socket.socket() as free:
            free.bind((_HOST, 0))
            self._port = int(free.getsockname()[1])
        command = server_command(request["program"], request, self._port, n_context_tokens)
        # Its words go where ours go: the parent keeps the last of them for when it dies.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)  # noqa: S603

    def wait(self) -> None:
        """Until it has loaded the model; the parent limits the time."""
        while True:
            if self._process.poll() is not None:
                sys.exit(abs(self._process.returncode) or 1)  # its last words are with the parent
            try:
                status, _ = self._ask("GET", "/health")
            except OSError:
                status = 0
            if status == http.client.OK:
                return
            time.sleep(_POLL_S)

    def get(self, path: str) -> dict[str, Any]:
        """What a page answers; nothing where there is no such page in this build."""
        status, answer = self._ask("GET", path)
        return answer if status == http.client.OK else {}

    def complete(self, tokens: Sequence[int], n_predict: int) -> dict[str, Any]:
        """The timings of one completion."""
        body = {
            "prompt": list(tokens), "n_predict": n_predict, "cache_prompt": False, "ignore_eos": True,
            "temperature": 0.0, "stream": False,
        }  # fmt: skip
        try:
            status, answer = self._ask("POST", "/completion", body)
        except OSError as error:
            code = self._process.poll()
            ended = f" and ended with status {code}" if code is not None else ""
            raise EngineError(f"llama-server did not answer ({error}){ended}") from error
        timings = answer.get("timings")
        if status != http.client.OK or not isinstance(timings, dict):
            raise EngineError(f"llama-server answered {status}: {json.dumps(answer)[:200]}")
        return timings

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_ANSWER_LIMIT_S)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read(_MAX_ANSWER_BYTES)
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__} from {path}") from error
        finally:
            connection.close()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {}
        return response.status, answer if isinstance(answer, dict) else {}


def _handle(request: dict[str, Any], reporter: Reporter) -> None:
    backend = "CPU" if request["n_gpu_layers"] == 0 else _backend(request["program"])
    n_context_tokens = max(request["n_prompt"], request["n_gen"]) + max(request["depths"]) + _PROBE_TOKENS
    server = _Server(request, n_context_tokens)
    try:
        server.wait()
        facts = _model_facts(server)
        build = str(server.get("/props").get("build_info", "unknown build"))
        reporter.send("engine", build=f"llama-server {build}", system_info="", backend=backend)
        reporter.send(
            "model",
            model_bytes=facts["size"],
            n_parameters=facts["n_params"],
            n_threads=request["n_threads"] or 0,
            n_gpu_layers=0 if backend == "CPU" else request["n_gpu_layers"],
            done_fraction=_LOADING_SHARE,
            text="warming up",
        )
        _measure(server, facts["n_vocab"], request, reporter)
    finally:
        server.stop()


def _backend(program: str) -> str:
    try:
        answer = subprocess.run([program, "--list-devices"], capture_output=True, timeout=60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise EngineError(f"{program} --list-devices took longer than 60 s") from None
    found = _DEVICE.search(answer.stdout.decode("utf-8", "replace"))
    return found[1] if found else "CPU"


def _model_facts(server: _Server) -> dict[str, int]:
    """Size of file and vocabulary, from the server's list of models."""
    models = server.get("/v1/models").get("data")
    meta = (
        models[0].get("meta") if isinstance(models, list) and models and isinstance(models[0], dict) else None
    )
    facts = meta if isinstance(meta, dict) else {}
    found = {name: facts.get(name) for name in ("n_vocab", "n_params", "size")}
    if not all(isinstance(value, int) and value > 0 for value in found.values()):
        raise EngineError("llama-server did not tell its model's size at /v1/models; use a newer build")
    return {name: int(value or 0) for name, value in found.items()}


def _measure(server: _Server, n_vocab: int, request: dict[str, Any], reporter: Reporter) -> None:
    chance = random.Random(1)  # noqa: S311 (token ids only)

    def tokens(n: int) -> list[int]:
        return [chance.randrange(n_vocab) for _ in range(n)]

    started, pacing = time.monotonic(), Pacing()
    probe = server.complete(tokens(_PROBE_TOKENS), _PROBE_TOKENS)
    probe = server.complete(tokens(_PROBE_TOKENS), _PROBE_TOKENS)
    each_s = {
        "prefill": _seconds(probe, "prompt", _PROBE_TOKENS) / _PROBE_TOKENS,
        "decode": _seconds(probe, "predicted", _PROBE_TOKENS) / (_PROBE_TOKENS - 1),
    }
    share_s = request["budget_s"] / (4 * len(request["depths"]))
    tests: list[tuple[Phase, int, int]] = []
    for depth in request["depths"]:
        if (
            request["n_prompt"] and not depth
        ):  # behind a depth, the server's time is that of all of the prompt
            tests.append(("prefill", tokens_that_fit(request["n_prompt"], each_s["prefill"], share_s), 0))
        if request["n_gen"]:
            tests.append(("decode", tokens_that_fit(request["n_gen"], each_s["decode"], share_s), depth))
    samples: list[list[float]] = [[] for _ in tests]
    going = True
    while going:
        going = False
        for (phase, n_tokens, depth), found in zip(tests, samples, strict=True):
            if not wants_another(found, time.monotonic() - started, request["budget_s"], pacing):
                continue
            going = True
            if phase == "prefill":
                sample_s = _seconds(server.complete(tokens(n_tokens), 1), "prompt", n_tokens)
            else:
                # The first token comes with the prompt: the time of the others is what is told.
                timings = server.complete(tokens(max(1, depth)), n_tokens + 1)
                sample_s = _seconds(timings, "predicted", n_tokens + 1)
            found.append(sample_s)
            done = done_fraction(
                min(map(len, samples)), time.monotonic() - started, request["budget_s"], pacing
            )
            reporter.send(
                "sample", phase=phase, n_tokens=n_tokens, n_depth=depth, n_sequences=1, n_threads=None,
                sample_s=sample_s, cpu_s=None, energy_j=None,
                done_fraction=_LOADING_SHARE + (1 - _LOADING_SHARE) * done, text=f"{n_tokens / sample_s:,.1f} tok/s",
            )  # fmt: skip


def _seconds(timings: dict[str, Any], part: str, n_wanted: int) -> float:
    """Seconds of prompt or generation; EngineError when the server did something else than asked."""
    n, milliseconds, cached = timings.get(f"{part}_n"), timings.get(f"{part}_ms"), timings.get("cache_n", 0)
    if n != n_wanted or cached:
        raise EngineError(
            f"llama-server ran {n} tokens of the {part} ({cached} from its cache) where {n_wanted} were asked for"
        )
    if not isinstance(milliseconds, int | float) or milliseconds * MILLI < _LEAST_S:
        raise EngineError(f"llama-server told {milliseconds} ms for {n} tokens of the {part}")
    return float(milliseconds) * MILLI


if __name__ == "__main__":
    sys.exit(serve(_handle))
