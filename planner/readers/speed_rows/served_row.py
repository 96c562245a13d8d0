"""Rows of served throughput that llama.cpp's own tools made, as the tests that those tools time.

Two of them are known. llama-batched-bench generates for B sequences at once after their prompts (its S_TG). Argonne's
LLM-Inference-Bench ran `llama-bench -p P -n N -pg P,N -b BATCH` on F16 files (llama.cpp/*/*.sh): its "batch" is the most
tokens of one step, not a number of sequences, so that latency = P / rate of prompts in steps of BATCH + N / rate of
generation behind them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from planner.estimate.served.names import candidates
from planner.estimate.serving_speed.row_sources import SourceDevice
from planner.readers.measurements.llama_bench_fields import COLUMNS
from planner.readers.speed_rows.models import UnplacedError
from profiles.loader import model_rows
from profiles.model_names import name_index

_SEQUENCES: Final = re.compile(r"B=(\d+)", re.ASCII)
_BATCH: Final = re.compile(r"batch=(\d+)", re.ASCII)
_LATENCY: Final = re.compile(r"\blatency_s=(\d+(?:\.\d+)?)", re.ASCII)
_TYPE: Final = re.compile(r"-(Q\d_[K0-9](?:_[SML])?|F16|BF16)(?:-GGUF)?$", re.ASCII)
# What the llama-bench tables on the pages of such rows say of files whose names do not (llama.cpp, benches/*/*.md).
_PAGES_SAY: Final[Mapping[str, str]] = {"gemma-3-4b-it-qat": "Q4_0", "GLM-4.7-Flash": "Q8_0"}
_ORIGIN: Final = "argonne-lcf/LLM-Inference-Bench"
_BUILD: Final = "(3720)"  # of September 2024, when its nvidia-smi was printed (llama.cpp/H100/README.MD)
_NEAR: Final = 0.01
# Backends that llama.cpp builds take by themselves on these devices.
_BACKENDS: Final = (("NVIDIA", "CUDA"), ("Apple", "Metal"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTest:
    """Tests of llama.cpp that one figure stands for: seconds add up, `n_tokens` are counted over them."""

    tests: tuple[Mapping[str, str], ...]  # rows of a table of llama-bench
    n_tokens: tuple[float, ...]  # that each of them takes in the figure
    counted: float  # tokens that the figure divides by the seconds
    tokens_per_s: float


def served_test(row: Mapping[str, str], told: SourceDevice | None) -> ServedTest:
    """The tests behind a row; raises UnplacedError with the reason where they cannot be told."""
    if row.get("origin", "") == _ORIGIN:
        return _prompt_and_generation(row, told)
    if (found := _SEQUENCES.fullmatch(row["concurrency_or_request_rate"].strip())) is not None:
        return _generation(row, int(found[1]))
    raise UnplacedError("which of llama.cpp's tools timed it is not said")


def _generation(row: Mapping[str, str], n_sequences: int) -> ServedTest:
    rate = _number(row, "output_tok_s")
    backend = next((name for start, name in _BACKENDS if row["hardware"].startswith(start)), None)
    if backend is None:
        raise UnplacedError(f"which backend ran on {row['hardware'][:40]!r} is not said")
    name = row["model"].rpartition("/")[2].removesuffix("-GGUF")
    stored = _TYPE.search(row["model"])
    test = _test(row, row["hardware"], 1, backend) | {
        "model": _catalogue_id(name),
        "quant": row.get("quant", "") or (stored[1] if stored else _PAGES_SAY.get(name, "")),
        "n_gen": row["osl"],
        "n_depth": row["isl"],
        "n_sequences": str(n_sequences),
        "tok_s": str(rate),
    }
    return ServedTest(tests=(test,), n_tokens=(1.0,), counted=1.0, tokens_per_s=rate)


def _prompt_and_generation(row: Mapping[str, str], told: SourceDevice | None) -> ServedTest:
    if told is None:
        raise UnplacedError(f"which device {row['hardware'][:40]!r} is, its source does not say")
    batch = _BATCH.fullmatch(row["concurrency_or_request_rate"].strip())
    latency = _LATENCY.search(row.get("notes", ""))
    rate, n_in, n_out = _number(row, "total_tok_s"), _number(row, "isl"), _number(row, "osl")
    if batch is None or latency is None or abs(rate * float(latency[1]) / (n_in + n_out) - 1) > _NEAR:
        raise UnplacedError("its rate is not that of one prompt and its generation")
    n_devices = int(_number(row, "n_gpu")) * told.n_accelerators
    test = _test(row, told.accelerator, n_devices, told.backend) | {
        "model": _catalogue_id(row["model"]),
        "quant": "F16",
        "build": _BUILD,
        "tok_s": str(rate),
    }
    prompt = test | {"n_prompt": row["isl"], "n_ubatch": batch[1]}
    generation = test | {"n_gen": row["osl"], "n_depth": row["isl"]}
    return ServedTest(
        tests=(prompt, generation), n_tokens=(n_in, n_out), counted=n_in + n_out, tokens_per_s=rate
    )


@cache
def _ids() -> Mapping[str, str]:
    return name_index(model_rows())


def _catalogue_id(name: str) -> str:
    """The catalogue's id of a model that a row names, else the name itself."""
    return next((id_ for found, _ in candidates(name) if (id_ := _ids().get(found.casefold()))), name)


def _test(row: Mapping[str, str], device: str, n_devices: int, backend: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {
        "device": device,
        "n_devices": str(n_devices),
        "backend": backend,
        "engine": "llama.cpp",
        "build": row.get("version", ""),
        "n_prompt": "0",
        "n_gen": "0",
        "n_depth": "0",
        "n_sequences": "1",
        "origin": row.get("origin", ""),
    }


def _number(row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row.get(column) or "")
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UnplacedError(f"{column} is {(row.get(column) or '')[:40]!r}, no number")
    return value
