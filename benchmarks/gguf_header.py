"""How long reading a GGUF header takes, and how much of a remote one is fetched. Run by hand.

python -m benchmarks.gguf_header [FILE.gguf]

Without a file, one of Kimi-K2's shape is written: a trillion weights (a hole in the file), 163,840 tokens and as many
merges. Prints medians: the reader alone, and `planner model FILE` as a whole, in processes of its own.
"""

import hashlib
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from planner.readers.gguf.file import parse_gguf_header, read_gguf
from tests.conformance.headers import PUBLISHED
from tests.gguf_writer import Tensor, Value, gguf_header, write_gguf

Q4_K = 12
REPEATS = 15
PROCESSES = 5


def vocabulary(n_tokens: int, n_merges: int) -> dict[str, Value]:
    """Tokens that grow longer, as byte-pair encoding makes them, and merges of two of them each."""
    tokens = [f"{number:012x}"[-1 - number * 10 // n_tokens :] for number in range(n_tokens)]
    merges = [f"{tokens[n % n_tokens]} {tokens[n * 7 % n_tokens]}" for n in range(n_merges)]
    return {
        "tokenizer.ggml.tokens": ("array", ("string", tokens)),
        "tokenizer.ggml.token_type": ("array", ("int32", [1] * n_tokens)),
        "tokenizer.ggml.merges": ("array", ("string", merges)),
        "tokenizer.chat_template": ("string", "{{ message }}\n" * 300),
    }


def four_bits(tensor: Tensor) -> Tensor:
    """The tensor in Q4_K where its rows allow it."""
    name, shape, _, _ = tensor
    if len(shape) < 2 or shape[0] % 256:
        return tensor
    return name, shape, Q4_K, math.prod(shape) // 256 * 144


def write_kimi_k2(path: Path) -> Path:
    """A header of a trillion weights in four bits; on disk it takes the room of the header."""
    model = PUBLISHED["kimi-k2"]
    metadata = model.metadata() | vocabulary(163_840, 163_328)
    return write_gguf(path, metadata, [four_bits(tensor) for tensor in model.tensors()])


def median_s(repeats: int, work: Callable[[], object]) -> float:
    """The median of some runs' wall times."""
    times_s = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started)
    return statistics.median(times_s)


def print_local(path: Path) -> None:
    """Times of reading a file on this machine."""
    file = read_gguf(path)
    with path.open("rb") as opened:
        header = opened.read(file.header_bytes)
    command = [sys.executable, "-c", "from planner.cli.main import main; main()", "model", str(path)]
    print(
        f"{path.name}: {file.file_bytes / 1e9:,.0f} GB, header {file.header_bytes / 2**20:.2f} MiB, "
        f"{len(file.tensors):,} tensors"
    )
    print(f"  header with its SHA-256    {median_s(REPEATS, lambda: read_gguf(path)) * 1e3:6.1f} ms")
    print(f"  the SHA-256 alone          {median_s(REPEATS, lambda: hashlib.sha256(header)) * 1e3:6.1f} ms")
    whole_s = median_s(PROCESSES, lambda: subprocess.run(command, check=True, capture_output=True))
    print(f"  planner model, as a whole  {whole_s * 1e3:6.1f} ms")


def print_remote() -> None:
    """What is fetched of headers of several lengths, each in a file of 100 GB."""
    one_norm: list[Tensor] = [(f"blk.{number}.attn_norm.weight", (32,), 0, 128) for number in range(1096)]
    for label, metadata, tensors in (
        ("a part without vocabulary", {}, one_norm[:750]),
        ("30,000 tokens", vocabulary(30_000, 30_000), one_norm[:300]),
        ("163,840 tokens", vocabulary(163_840, 163_328), one_norm),
        ("262,144 tokens", vocabulary(262_144, 514_906), one_norm),
    ):
        header = gguf_header(metadata, tensors)
        asked: list[int] = []

        def read(offset: int, size: int, header: bytes = header, asked: list[int] = asked) -> bytes:
            asked.append(size)
            return header[offset : offset + size].ljust(size, b"\0")

        parse_gguf_header(read, 10**11, label)
        print(
            f"{label}: header {len(header) / 1e6:.2f} MB, fetched {sum(asked) / len(header):.3f} times that "
            f"in {len(asked)} requests"
        )


def main() -> None:
    """Measure a given file or the written one, then the remote reading."""
    with tempfile.TemporaryDirectory() as folder:
        print_local(Path(sys.argv[1]) if len(sys.argv) > 1 else write_kimi_k2(Path(folder) / "kimi-k2.gguf"))
    print_remote()


if __name__ == "__main__":
    main()
