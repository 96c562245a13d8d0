"""One result of llama-bench, whatever it was printed as, as a row of a table of benchmarks.

Field names are those of `test::get_fields` in llama.cpp's tools/llama-bench (examples/llama-bench until 2025), from
2023 to 2026: booleans for each backend until `backends` came, flags printed as numbers, words or booleans, `-1` layers
for "as many as fit". ik_llama.cpp prints fields of its own beside the older ones.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hardware.units import GIB, GIGA, KIB, MEGA, MIB, TIB
from planner.errors import MissingFactError
from planner.quoting import quoted
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import Given, needed
from planner.readers.measurements.numbers import number, positive, words

COLUMNS: Final = (
    "device", "hardware", "n_devices", "backend", "engine", "build", "model", "arch", "quant", "file_size_gib",
    "params_b", "ngl", "offload", "fa", "n_ubatch", "type_k", "threads", "cpu", "n_depth", "n_prompt", "n_gen",
    "n_sequences", "tok_s", "test", "origin", "notes", "left_out",
)  # fmt: skip
# Printed one by one, nearest to what does the work first, by builds that have no `backends`.
_BACKENDS: Final = (
    ("cuda", "CUDA"), ("sycl", "SYCL"), ("vulkan", "Vulkan"), ("kompute", "Kompute"), ("metal", "Metal"),
    ("opencl", "OpenCL"),
)  # fmt: skip
_NO_BACKENDS: Final = frozenset(("BLAS", "CPU", "RPC", "ZenDNN"))  # named beside what does the work
_NO_PROCESSORS: Final = frozenset(("Accelerate", "BLAS", "OpenBLAS", "BLIS", "MKL"))
_FORK_FIELDS: Final = frozenset(
    ("mla_attn", "fused_moe", "attn_max_batch", "mla", "fmoe", "amb", "rtr", "ser")
)
_TEST: Final = re.compile(
    r"(?:pp ?(?P<pp>\d+))?\+?(?:tg ?(?P<tg>\d+))?(?: ?@ ?(?:d|pp) ?(?P<depth>\d+))?", re.ASCII
)
_MOST_LAYERS: Final = 1_000
EXTRAPOLATED: Final = "extrapolated from a few layers of random weights, not measured"
PROMPTS_TOGETHER: Final = "prompts of several sequences at once are not timed"
_SYNTHETIC: Final = " (synthetic)"  # behind the type, as `planner bench export` writes it
_SIZES: Final = {"KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}
_COUNTS: Final = {"M": MEGA, "B": GIGA, "T": MEGA * MEGA}


def bench_table(name: str, records: Sequence[Mapping[str, Any]], given: Given) -> MeasurementTable:
    """The rows of a file's results."""
    rows = tuple(_row(name, index, record, given) for index, record in enumerate(records))
    return MeasurementTable(name=name, columns=COLUMNS, rows=rows)


def _row(file: str, index: int, record: Mapping[str, Any], given: Given) -> dict[str, str]:
    backend = given.backend or backend_of(record)
    model_type = words(record, "model_type")
    architecture, quantization = label_parts(model_type.removesuffix(_SYNTHETIC))
    depth = _whole(record, "n_depth")
    row = {
        "backend": backend,
        "engine": given.engine or ("ik_llama.cpp" if _FORK_FIELDS & set(record) else "llama.cpp"),
        "build": given.build or _build(record),
        "model": given.model or needed(model_type, file, "which model ran", "--model"),
        "arch": "" if given.model else architecture,
        "quant": given.quantization or needed(quantization, file, "how the weights are stored", "--quant"),
        "file_size_gib": f"{positive(record, file, index, 'model_size') / GIB:.12g}",
        "params_b": f"{positive(record, file, index, 'model_n_params') / GIGA:.12g}",
        "ngl": _layers(record),
        "offload": _overrides(record),
        "fa": _flash(record),
        "n_ubatch": _whole(record, "n_ubatch"),
        "type_k": words(record, "type_k") or _cache_type(record),
        "threads": _whole(record, "n_threads"),
        "cpu": given.processor or _processor(record),
        "n_depth": depth or "0",
        "n_prompt": _whole(record, "n_prompt") or "0",
        "n_gen": _whole(record, "n_gen") or "0",
        "n_sequences": "1",
        "tok_s": f"{positive(record, file, index, 'avg_ts'):.12g}",
        "origin": file,
        "left_out": EXTRAPOLATED if model_type.endswith(_SYNTHETIC) else "",
        "notes": f"{words(record, 'gpu_info')} {_batch(record)}".strip(),
    }
    test = words(
        record, "test"
    )  # of the fork, which generates behind a prompt without a word for it elsewhere
    if test:
        row |= test_counts(test, file)
    row["test"] = test or _test_name(row)
    return row | devices_of(record, row["backend"], row["cpu"], given, file)


def _test_name(row: Mapping[str, str]) -> str:
    parts = [f"{word}{row[name]}" for word, name in (("pp", "n_prompt"), ("tg", "n_gen")) if row[name] != "0"]
    return "+".join(parts) + (f" @ d{row['n_depth']}" if row["n_depth"] != "0" else "")


def test_counts(test: str, file: str) -> dict[str, str]:
    """Tokens of "pp512", "tg128 @ d4096", "pp512+tg128", "tg128@pp512" (the fork's) or "tg 128" (of 2023)."""
    found = _TEST.fullmatch(test.strip())
    if found is None or not (found["pp"] or found["tg"]):
        raise MissingFactError(
            f"{quoted(file)}: the test {quoted(test)} is not known; expected pp512, tg128 or the like"
        )
    return {
        "n_prompt": found["pp"] or "0",
        "n_gen": found["tg"] or "0",
        "n_depth": found["depth"] or "0",
    }


def label_parts(model_type: str) -> tuple[str, str]:
    """Architecture and type of "qwen3moe 30B.A3B Q4_K - Medium"; older builds say "mostly" before the type."""
    parts = model_type.split(maxsplit=2)
    if len(parts) < 3:
        return (parts[0].casefold() if parts else ""), ""
    return parts[0].casefold(), parts[2].removeprefix("mostly ").removeprefix("all ")


def backend_of(record: Mapping[str, Any]) -> str:
    """What multiplies: of several named backends the first that is no library beside it."""
    named = words(record, "backends") or words(record, "backend")
    if named:
        parts = [part.strip() for part in named.split(",")]
        return next((part for part in parts if part not in _NO_BACKENDS), "CPU")
    return next((name for key, name in _BACKENDS if _is_true(record.get(key))), "CPU")


def devices_of(record: Mapping[str, Any], backend: str, cpu: str, given: Given, file: str) -> dict[str, str]:
    """The device's name, as written and bare, and how many there are."""
    if given.device_name is not None:
        return {"device": given.device_name, "hardware": given.device_name, "n_devices": str(given.n_devices)}
    if backend == "CPU":
        name = needed(cpu, file, "which processor ran it", "--device, such as --device 'Ryzen 9 7950X'")
        return {"device": name, "hardware": name, "n_devices": "1"}
    info = words(record, "gpu_info") or (cpu if backend in ("Metal", "MTL") else "")
    names = _used([name.strip() for name in re.split(r", |/", info) if name.strip()], record)
    if not names:
        needed(None, file, "which device ran it", "--device, such as --device 'RTX 4090' or '2x RTX 3090'")
    kinds = list(dict.fromkeys(names))
    if len(kinds) == 1:
        return {"device": kinds[0], "hardware": kinds[0], "n_devices": str(len(names))}
    mixed = " + ".join(f"{names.count(kind)}x {kind}" for kind in kinds)
    return {"device": mixed, "hardware": mixed, "n_devices": str(len(names))}


def _used(names: list[str], record: Mapping[str, Any]) -> list[str]:
    """The GPUs that took part: all, those that `devices` names by number, or one where nothing is split."""
    chosen = words(record, "devices")
    if chosen and chosen not in ("auto", "none"):
        numbers = [re.search(r"(\d+)$", part) for part in chosen.split("/")]
        picked = [names[int(n[1])] for n in numbers if n and int(n[1]) < len(names)]
        return picked or names
    if words(record, "split_mode") == "none":
        main = int(number(record, "main_gpu") or 0)
        return names[main : main + 1] or names[:1]
    return names


def _processor(record: Mapping[str, Any]) -> str:
    parts = [part.strip() for part in words(record, "cpu_info").split(", ")]
    return ", ".join(part for part in parts if part and part not in _NO_PROCESSORS)


def _build(record: Mapping[str, Any]) -> str:
    build_number = number(record, "build_number")
    commit = words(record, "build_commit")
    return f"{commit} ({build_number:.0f})" if build_number is not None else commit


def _layers(record: Mapping[str, Any]) -> str:
    """Layers on the GPU; negative numbers leave it to the engine, which takes as many as fit."""
    said = number(record, "n_gpu_layers")
    return "" if said is None else "all" if said < 0 else f"{said:.0f}"


def _overrides(record: Mapping[str, Any]) -> str:
    """Options that send tensors to main memory."""
    options = []
    n_experts = min(_MOST_LAYERS, int(number(record, "n_cpu_moe") or 0))
    if n_experts > 0:
        layers = "|".join(str(layer) for layer in range(n_experts))
        options.append(rf"-ot blk\.({layers})\.ffn_(up|down|gate)_exps=CPU")
    said = words(record, "tensor_buft_overrides") or words(record, "override_tensor")
    if said and said != "none":
        options += [f"-ot {part}" for part in re.split(r"[;,]", said) if part and part != "none"]
    return " ".join(options)


def _flash(record: Mapping[str, Any]) -> str:
    """1, 0, or nothing where the engine decides (-1, auto)."""
    said = record.get("flash_attn", record.get("fa"))
    text = str(int(said)) if isinstance(said, bool) else str(said).strip().casefold()
    return {"1": "1", "true": "1", "on": "1", "0": "0", "false": "0", "off": "0"}.get(text, "")


def _batch(record: Mapping[str, Any]) -> str:
    """The option that bounds a micro-batch from above."""
    n_batch = _whole(record, "n_batch")
    return f"-b {n_batch}" if n_batch else ""


def _cache_type(record: Mapping[str, Any]) -> str:
    """Of builds before `type_k`, which could only choose between halves and floats."""
    said = record.get("f16_kv")
    return "" if said is None or _is_true(said) else "f32"


def _whole(record: Mapping[str, Any], field: str) -> str:
    found = number(record, field)
    return "" if found is None or found < 0 else f"{found:.0f}"


def _is_true(value: Any) -> bool:
    return value is True or str(value).strip().casefold() in ("1", "true")


def size_bytes(text: str) -> float | None:
    """Bytes of "3.56 GiB"."""
    value, _, unit = text.strip().partition(" ")
    factor = _SIZES.get(unit.strip())
    amount = number({"value": value}, "value")
    return None if factor is None or amount is None else amount * factor


def parameter_count(text: str) -> float | None:
    """The number that "6.74 B" is."""
    value, _, unit = text.strip().partition(" ")
    factor = _COUNTS.get(unit.strip())
    amount = number({"value": value}, "value")
    return None if factor is None or amount is None else amount * factor
