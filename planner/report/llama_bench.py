"""Benchmark runs in the formats that llama-bench prints, for tools that read those.

Names, order and rounding follow tools/llama-bench/llama-bench.cpp in the llama.cpp of llama-cpp-python 0.3.36. What our
runs do not vary has the value that llama-bench prints for its own defaults, which are the ones we run with.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hardware.units import GIB, GIGA, MEGA, MIB
from planner.estimate.measurement import BenchRun, Measurement

Row = dict[str, Any]
_NS = GIGA
_COMMIT = re.compile(r"\(([0-9A-Za-z._-]+)\)")
_BUILD_NUMBER = re.compile(r"\bb(\d{3,6})\b")
_MARKDOWN_COLUMNS = (
    ("model", -30),
    ("size", 10),
    ("params", 10),
    ("backend", -10),
    ("threads", 7),
    ("test", 15),
    ("t/s", 20),
)


def rows(runs: Sequence[BenchRun]) -> Iterator[Row]:
    """One object for each test, as `llama-bench -o json` has them."""
    for run in runs:
        for measured in run.measurements:
            if measured.n_sequences == 1:
                yield _row(run, measured)


def _row(run: BenchRun, measured: Measurement) -> Row:
    samples_ns = [round(sample * _NS) for sample in measured.samples_s]
    commit, number = _COMMIT.search(run.engine_build), _BUILD_NUMBER.search(run.engine_build)
    on_gpu = run.backend != "CPU"
    return {
        "build_commit": commit[1] if commit else "unknown",
        "build_number": int(number[1]) if number else 0,
        "cpu_info": "" if on_gpu else run.machine_name,
        "gpu_info": run.machine_name if on_gpu else "",
        "backends": run.backend,
        "model_filename": run.model_path or run.model_name,
        "model_type": f"{run.model_name} {run.quantization}{' (synthetic)' if run.synthetic else ''}",
        "model_size": run.model_bytes,
        "model_n_params": run.n_parameters,
        "n_batch": run.n_batch,
        "n_ubatch": run.n_ubatch,
        "n_threads": measured.n_threads or run.n_threads,
        "cpu_mask": "0x0",
        "cpu_strict": False,
        "poll": 50,
        "type_k": run.kv_type,
        "type_v": run.kv_type,
        "n_gpu_layers": run.n_gpu_layers,
        "n_cpu_moe": 0,
        "split_mode": "layer",
        "main_gpu": 0,
        "no_kv_offload": False,
        "flash_attn": int(run.flash_attention),
        "devices": "auto",
        "tensor_split": "0.00",
        "tensor_buft_overrides": "none",
        "load_mode": "auto",
        "lazy_mode": "auto",
        "embeddings": False,
        "no_op_offload": 0,
        "no_host": False,
        "repack": True,
        "fit_target": 0,
        "fit_min_ctx": 0,
        "n_prompt": measured.n_prompt_tokens,
        "n_gen": measured.n_generated_tokens,
        "n_depth": measured.n_depth_tokens,
        "test_time": run.measured_at.replace("+00:00", "Z"),
        "avg_ns": round(sum(samples_ns) / len(samples_ns)),
        "stddev_ns": round(_stddev(samples_ns)),
        "avg_ts": round(measured.mean_tokens_per_s, 6),
        "stddev_ts": round(measured.stddev_tokens_per_s, 6),
        "samples_ns": samples_ns,
        "samples_ts": [round(value, 6) for value in measured.rates_tokens_per_s],
    }


def _stddev(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5)


def as_json(runs: Sequence[BenchRun]) -> str:
    """What `llama-bench -o json` prints."""
    return json.dumps(list(rows(runs)), indent=2)


def as_jsonl(runs: Sequence[BenchRun]) -> str:
    """What `llama-bench -o jsonl` prints: one object a line."""
    return "\n".join(json.dumps(row) for row in rows(runs))


def as_markdown(runs: Sequence[BenchRun]) -> str:
    """What `llama-bench -o md` prints: a table with means and standard deviations."""
    lines = [
        "| " + " | ".join(_padded(name, width) for name, width in _MARKDOWN_COLUMNS) + " |",
        "| " + " | ".join(_rule(width) for _, width in _MARKDOWN_COLUMNS) + " |",
    ]
    for row in rows(runs):
        depth = f" @ d{row['n_depth']}" if row["n_depth"] else ""
        test = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
        cells = (
            row["model_type"].replace("|", "/"),
            _size(row["model_size"]),
            _count(row["model_n_params"]),
            row["backends"],
            str(row["n_threads"]),
            test + depth,
            f"{row['avg_ts']:.2f} ± {row['stddev_ts']:.2f}",
        )
        widths = (width for _, width in _MARKDOWN_COLUMNS)
        lines.append("| " + " | ".join(map(_padded, cells, widths)) + " |")
    builds = dict.fromkeys(f"build: {row['build_commit']} ({row['build_number']})" for row in rows(runs))
    return "\n".join([*lines, "", *builds])


def _padded(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def _rule(width: int) -> str:
    return "-" * -width if width < 0 else "-" * (width - 1) + ":"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / MIB:.2f} MiB" if n_bytes < GIB else f"{n_bytes / GIB:.2f} GiB"


def _count(n: int) -> str:
    return f"{n / MEGA:.2f} M" if n < GIGA else f"{n / GIGA:.2f} B"


AS_LLAMA_BENCH: Mapping[str, Callable[[Sequence[BenchRun]], str]] = MappingProxyType(
    {"json": as_json, "jsonl": as_jsonl, "md": as_markdown}
)
