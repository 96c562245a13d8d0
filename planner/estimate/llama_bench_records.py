"""What llama-bench prints for a test, as a run of ours: its own fields, by the names of tools/llama-bench/llama-bench.cpp."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from hardware.units import GIGA
from planner.estimate.measurement import BenchRun, Measurement

Record = Mapping[str, object]
# What may differ between the tests of one run.
_OF_A_TEST = ("n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts",
              "samples_ns", "samples_ts")  # fmt: skip
_MAX_SAMPLES = 10_000


class RecordError(ValueError):
    """A record that is none; the message says what was found and what expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What llama-bench does not say: which model and machine these are."""

    model_fingerprint: str = ""
    machine_fingerprint: str = ""
    machine_name: str | None = None  # None: as llama-bench names processor or GPU
    model_name: str | None = None  # None: as llama-bench names the model
    quantization: str | None = None


def runs_of_records(records: Sequence[Record], filed: Filed) -> Iterator[BenchRun]:
    """A run for each setting, with all tests that were made with it; tests that mix both phases are left out."""
    by_setting: dict[str, list[Record]] = {}
    for record in records:
        setting = repr([(key, value) for key, value in sorted(record.items()) if key not in _OF_A_TEST])
        by_setting.setdefault(setting, []).append(record)
    for group in by_setting.values():
        measurements = tuple(
            found for record in group if (found := measurement_of_record(record)) is not None
        )
        if measurements:
            yield replace(_run(group[-1], filed), measurements=measurements)


def measurement_of_record(record: Record) -> Measurement | None:
    """One test with its raw times; None for one that reads a prompt and generates behind it."""
    n_prompt, n_gen = _count(record, "n_prompt"), _count(record, "n_gen")
    if bool(n_prompt) == bool(n_gen):
        return None
    return Measurement(
        phase="prefill" if n_prompt else "decode",
        n_prompt_tokens=n_prompt,
        n_generated_tokens=n_gen,
        n_depth_tokens=_count(record, "n_depth", default=0),
        samples_s=_samples_s(record),
    )


def _samples_s(record: Record) -> tuple[float, ...]:
    """Raw times, or the mean where an older build left them out."""
    samples = record.get("samples_ns")
    if samples is None:
        samples = [record.get("avg_ns")]
    if not isinstance(samples, list | tuple) or not 0 < len(samples) <= _MAX_SAMPLES:
        raise RecordError("samples_ns is no list of times")
    found = []
    for value in samples:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
            raise RecordError(f"a time is {str(value)[:40]!r}, expected nanoseconds above 0")
        found.append(value / GIGA)
    return tuple(found)


def _run(record: Record, filed: Filed) -> BenchRun:
    backend = _word(record, "backends") or "CPU"
    model_type = _word(record, "model_type")
    device = _word(record, "gpu_info" if backend != "CPU" else "cpu_info")
    return BenchRun(
        model_name=filed.model_name or model_type or "unknown model",
        model_path=_word(record, "model_filename"),
        model_fingerprint=filed.model_fingerprint,
        model_bytes=_count(record, "model_size", default=0),
        n_parameters=_count(record, "model_n_params", default=0),
        quantization=filed.quantization or " ".join(model_type.split()[2:]),
        engine="llama.cpp",
        engine_build=f"llama-bench {_word(record, 'build_commit')} ({_count(record, 'build_number', default=0)})",
        backend=backend,
        machine_fingerprint=filed.machine_fingerprint,
        machine_name=filed.machine_name or device or "unknown machine",
        n_threads=_count(record, "n_threads", default=1),
        n_gpu_layers=_whole(record, "n_gpu_layers", default=0) if backend != "CPU" else 0,
        n_batch=_count(record, "n_batch", default=2048),
        n_ubatch=_count(record, "n_ubatch", default=512),
        n_context_tokens=sum(_count(record, key, default=0) for key in ("n_prompt", "n_gen", "n_depth")),
        kv_type=_word(record, "type_k") or "f16",
        # -1 is "auto": the engine's choice, which is on wherever the kernels have it.
        flash_attention=record.get("flash_attn") not in (0, False, "0"),
        measured_at=_word(record, "test_time").replace("Z", "+00:00"),
        measurements=(),
        memory=None,
    )


def _word(record: Record, key: str) -> str:
    value = record.get(key)
    return " ".join(value.split())[:500] if isinstance(value, str) else ""


def _whole(record: Record, key: str, default: int | None = None) -> int:
    value = record.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise RecordError(f"{key} is {str(value)[:40]!r}, expected a whole number")
    return value


def _count(record: Record, key: str, default: int | None = None) -> int:
    value = _whole(record, key, default)
    if value < 0:
        raise RecordError(f"{key} is {value}, expected 0 or more")
    return value
