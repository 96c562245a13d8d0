"""How long reading a GGUF header takes: 150,000 tokens, 150,000 merges, 800 tensors. Run by hand.

python -m benchmarks.read_gguf_header [FILE.gguf]
"""

import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from planner.readers.gguf import read_gguf
from tests.gguf_writer import Tensor, Value, write_gguf

N_TOKENS = 150_000
REPEATS = 15


def _write(path: Path) -> Path:
    metadata: dict[str, Value] = {
        "general.architecture": ("string", "llama"),
        "tokenizer.ggml.tokens": ("array", ("string", [f"tok{number}" for number in range(N_TOKENS)])),
        "tokenizer.ggml.token_type": ("array", ("int32", [1] * N_TOKENS)),
        "tokenizer.ggml.merges": (
            "array",
            ("string", [f"a{number} b{number}" for number in range(N_TOKENS)]),
        ),
    }
    tensors: list[Tensor] = [(f"blk.{number}.weight", (4096, 32), 0, 4096 * 32 * 4) for number in range(800)]
    return write_gguf(path, metadata, tensors)


def main() -> None:
    """Print times of the whole reading, and of the SHA-256 that is part of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else _write(Path(folder) / "model.gguf")
        times_s = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            file = read_gguf(path)
            times_s.append(time.perf_counter() - started)
        with path.open("rb") as opened:
            header = opened.read(file.header_bytes)
        started = time.perf_counter()
        hashlib.sha256(header)
        hashing_s = time.perf_counter() - started
    print(f"{path.name}: header {file.header_bytes / 2**20:.1f} MiB, {len(file.tensors)} tensors")
    print(f"  best {min(times_s) * 1e3:.1f} ms, median {statistics.median(times_s) * 1e3:.1f} ms")
    print(f"  of which SHA-256 {hashing_s * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
