"""Fuzzes the readers of measurement files: raw bytes, then samples cut and joined. See the package."""

import json

from tests.fuzz.choices import Choices
from tests.fuzz.harness import instrumented, main
from tests.planner.readers.measurements.sampled import SAMPLES

with instrumented():
    from planner.errors import MissingFactError
    from planner.estimate.serving_speed.latency_rows import COLUMNS as LATENCY_COLUMNS
    from planner.readers.measurements.given import Given
    from planner.readers.measurements.registry import parse_measurements
    from planner.readers.measurements.text import text_of
    from planner.readers.speed_rows.bench_row import rows_from

_GIVEN = Given(
    device="2x H100 SXM", backend="CUDA", model="Qwen/Qwen3-32B", engine="vllm", quantization="Q4_K_M", processor="x"
)  # fmt: skip
_WHOLE = [path.read_bytes() for path in sorted(SAMPLES.iterdir()) if path.name != "README.md"]
_PIECES = (
    b"[", b"]", b"{", b"}", b",", b"\n", b"|", b'"', b"NaN", b"-Infinity", b"1e999", b"null", b"-1", b"9" * 400, b"[" * 3000,
    b'{"model_type": "x", "avg_ts": 1}', b'"n_cpu_moe": 999999999', b'"devices": "CUDA99"', b"| model | size | params | test | t/s |",
    b"  Device 0: x, VMM: no", b"build: f (1)", b"\x1b[31m", b"\xff\xfe", b"\xe2\x80\xae",
)  # fmt: skip


def target(data: bytes) -> None:
    """Read what the bytes say as rows; benchmarks also as records."""
    choices = Choices(data)
    content = choices.rest() if choices.number() < 128 else _joined(choices)
    table = parse_measurements(text_of(content, "file"), _GIVEN)
    if table.has(LATENCY_COLUMNS):
        return
    try:
        rows_from(table.rows, "file")
    except MissingFactError as error:
        raise AssertionError("a record asked for what only a file can lack") from error


def _joined(choices: Choices) -> bytes:
    """A sample with a piece of another or something odd in its middle."""
    whole = choices.pick(_WHOLE)
    at = choices.number() * len(whole) // 256
    cut = choices.number() * len(whole) // 4096
    middle = b"".join(choices.pick((*_PIECES, *_WHOLE[:2])) for _ in range(choices.number() % 5))
    return whole[:at] + middle + whole[at + cut :]


def seeds() -> list[bytes]:
    """Every sample as it is, and some put together."""
    line = json.dumps(json.loads(_WHOLE[0])).encode() if _WHOLE[0].startswith(b"{") else _WHOLE[0]
    return [
        *(b"\0" + whole for whole in _WHOLE),
        b"\0" + line,
        *(bytes([200, n, 9 * n % 256, n, n % 5, n, 2 * n, 3 * n]) for n in range(30)),
    ]


if __name__ == "__main__":
    main("measurements", target, seeds())
