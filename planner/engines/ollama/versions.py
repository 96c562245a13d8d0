"""What changed in Ollama from version to version, as far as memory is concerned.

Read from ollama/ollama up to v0.33.0-rc2 (fb307609, 2026-08-21): LLAMA_CPP_VERSION, envconfig/config.go,
server/routes.go, server/sched.go.
"""

import re

from hardware.units import GIB
from planner.errors import MissingFactError

Version = tuple[int, int, int]

CURRENT: Version = (0, 33, 0)
# From here on Ollama starts llama.cpp's own server for every GGUF model (9db4bdbad, 2026-05-29).
FIRST_WITH_LLAMA_SERVER: Version = (0, 30, 0)
# First version with each build of llama.cpp in LLAMA_CPP_VERSION.
_BUILDS: tuple[tuple[Version, int], ...] = (
    ((0, 30, 0), 9452), ((0, 30, 1), 9479), ((0, 30, 4), 9493), ((0, 30, 5), 9509), ((0, 30, 9), 9626),
    ((0, 30, 10), 9672), ((0, 30, 11), 9781), ((0, 30, 12), 9840), ((0, 31, 2), 9888), ((0, 32, 2), 10069),
    ((0, 32, 6), 10242), ((0, 32, 8), 10353), ((0, 32, 10), 10380), ((0, 32, 14), 10434), ((0, 32, 15), 10488),
)  # fmt: skip
_FIRST_CONTEXT_4096: Version = (0, 6, 7)  # 44b466eeb, 2025-04-28; 2048 before
_FIRST_CONTEXT_BY_MEMORY: Version = (0, 15, 5)  # 0334ffa62, 2026-01-27
_FIRST_PARALLEL_2: Version = (0, 6, 7)  # fe5b9bb21, 2025-04-29; 4 before
_FIRST_PARALLEL_1: Version = (0, 9, 7)  # 20c3266e9, 2025-07-08
# Slightly less than the sizes that cards are sold with, as the program's own comment says.
_TIERS = ((47 * GIB, 262_144), (23 * GIB, 32_768))


def parse_version(text: str) -> Version:
    """The version in "0.30.2", "v0.30.2-rc1" or "ollama 0.30.2"; raises MissingFactError for anything else."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text, re.ASCII)
    if found is None:
        raise MissingFactError(f"{text[:40]!r} is no version of Ollama; write it as 0.33.0")
    return int(found[1]), int(found[2]), int(found[3])


def llama_cpp_build(version: Version = CURRENT) -> int:
    """The build of llama.cpp that a version starts; older ones carried a changed copy without a number."""
    found = None
    for first, build in _BUILDS:
        if version >= first:
            found = build
    if found is None:
        told = ".".join(map(str, version))
        raise MissingFactError(
            f"Ollama {told} carries its own changed copy of llama.cpp; only versions since 0.30.0 name a build"
        )
    return found


def default_context_tokens(version: Version, gpu_memory_bytes: int) -> int:
    """num_ctx when nobody sets it: by the memory of all GPUs together, a fixed size in older versions.

    `gpu_memory_bytes` is their total less OLLAMA_GPU_OVERHEAD each (server/routes.go, Serve).
    """
    if version < _FIRST_CONTEXT_4096:
        return 2048
    if version >= _FIRST_CONTEXT_BY_MEMORY:
        for least, tokens in _TIERS:
            if gpu_memory_bytes >= least:
                return tokens
    return 4096


def default_sequences(version: Version) -> int:
    """OLLAMA_NUM_PARALLEL when nobody sets it; versions before 0.9.7 lowered theirs to 1 where memory was short."""
    if version >= _FIRST_PARALLEL_1:
        return 1
    return 2 if version >= _FIRST_PARALLEL_2 else 4
