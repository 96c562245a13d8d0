"""The process that runs llama.cpp for a benchmark or asks it about memory.

Run as `python -P -m planner.bench.llama_cpp_child`.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from planner.bench.child_process import Reporter, serve
from planner.bench.llama_cpp_library import LlamaLibrary, engine_threads
from planner.bench.llama_cpp_memory import EngineError
from planner.bench.measuring import Benchmark


def main() -> int:
    """Serves one request."""
    return serve(_handle)


def _handle(request: dict[str, Any], reporter: Reporter) -> None:
    library, backend = _open(reporter, request["n_gpu_layers"])
    if request["mode"] == "memory":
        _memory(request, reporter, library)
    else:
        Benchmark(request, reporter, library, backend, _context_options(request)).run()


def _open(reporter: Reporter, n_gpu_layers: int) -> tuple[LlamaLibrary, str]:
    library = LlamaLibrary()
    backend = (library.gpu_backend() if n_gpu_layers else None) or "CPU"
    reporter.send("engine", build=library.build, system_info=library.system_info, backend=backend)
    return library, backend


def _context_options(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "n_batch": request["n_batch"],
        "n_ubatch": request["n_ubatch"],
        "n_threads": request["n_threads"] or engine_threads(),
        "flash_attention": request["flash_attention"],
        "kv_type": request["kv_type"],
    }


def _memory(request: dict[str, Any], reporter: Reporter, library: LlamaLibrary) -> None:
    model = library.load(Path(request["model_path"]), request["n_gpu_layers"], allocate=request["allocate"])
    context = model.context(
        n_context_tokens=request["n_context_tokens"],
        n_sequences=request["n_sequences"],
        kv_unified=request["kv_unified"],
        swa_full=request["swa_full"],
        **_context_options(request),
    )
    memory, buffers = context.memory()
    if not request["allocate"] and buffers is None:
        raise EngineError(
            "this build of llama-cpp-python cannot add sizes up without loading; ask with allocate=True"
        )
    reporter.send(
        "memory",
        **asdict(memory),
        buffers=[asdict(buffer) for buffer in buffers or ()],
        n_context_tokens=context.n_context_tokens,
        flash_attention=context.flash_attention,
    )


if __name__ == "__main__":
    sys.exit(main())
