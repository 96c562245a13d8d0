"""Measure a model in a running Ollama, and keep what was measured."""

import os
import socket
from dataclasses import replace
from urllib.parse import urlsplit

from hardware.inspect import machine_fingerprint
from planner.api.benchmarks import BenchAnswer, bench_subject
from planner.api.inspecting import inspect
from planner.api.machines import bench_folder, speed_facts
from planner.api.models import described_models, open_model
from planner.bench.ollama.client import OllamaClient
from planner.bench.ollama.run import OllamaRequest, bench_ollama, find_in_ollama
from planner.bench.store import save_run
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import BenchError
from planner.estimate.fit import fit_row
from planner.estimate.own_bench import with_operators
from planner.progress import Progress, stretch
from planner.readers.ollama.local import server_url

_PULLED = 0.3  # of the progress display


def bench_in_ollama(
    request: OllamaRequest, *, host: str | None = None, save: bool = True, progress: Progress | None = None
) -> BenchAnswer:
    """Measures a model in the Ollama of this machine; `host` or OLLAMA_HOST say where it listens.

    Raises BenchError for an Ollama on another machine: what that one does says nothing of this one.
    """
    url = server_url({"OLLAMA_HOST": host} if host else os.environ)
    if not _is_here(url):
        raise BenchError(
            f"the Ollama at {url} runs on another machine; run this there, or load it with `planner load {url}`"
        )
    client = OllamaClient(url)
    try:
        find_in_ollama(client, request, stretch(progress, 0.0, _PULLED))
        opened = open_model(f"ollama:{request.model}")
        model = described_models(opened)[0]
        machine = inspect()
        facts, _ = speed_facts(machine, "ollama")
        flags = LlamaCppFlags(n_context_tokens=request.n_context)
        row = fit_row(model, machine, flags, facts)
        subject = replace(
            bench_subject(model, machine_fingerprint(machine), machine.name),
            model_name=request.model,  # the file itself often has no name
            n_parameters=model.storage.n_elements,
        )
        run = bench_ollama(client, request, subject, progress=stretch(progress, _PULLED, 1.0))
        run = with_operators(run, model, machine)
    finally:
        client.close()
    if save:
        save_run(run, bench_folder())
    return BenchAnswer(run=run, predicted={"prefill": row.prefill, "decode": row.decode})


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "0.0.0.0", "::", "::1", socket.gethostname()) or host.startswith("127.")  # noqa: S104
