"""llama-batched-bench: several sequences at once, as its table or as JSON lines (`--output-format jsonl`).

It times prompts of all sequences together, then their generation. Neither form says which model or device it was, nor
how the weights are stored.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given, needed
from planner.readers.measurements.llama_bench_fields import COLUMNS, PROMPTS_TOGETHER, devices_of
from planner.readers.measurements.numbers import number, positive
from planner.readers.measurements.text import MeasurementText

_FIELDS: Final = {
    "PP": "pp", "TG": "tg", "B": "pl", "N_KV": "n_kv", "T_PP s": "t_pp", "S_PP t/s": "speed_pp", "T_TG s": "t_tg",
    "S_TG t/s": "speed_tg", "T s": "t", "S t/s": "speed",
}  # fmt: skip


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _is_header(line: str) -> bool:
    return line.lstrip().startswith("|") and {"PP", "TG", "B", "S_PP t/s", "S_TG t/s"} <= set(_cells(line))


def _recognises(file: MeasurementText) -> bool:
    return any(_is_header(line) for line in file.lines) or any(
        {"pp", "tg", "pl", "speed_tg"} <= set(item) for item in file.objects or ()
    )


def _results(file: MeasurementText) -> Iterator[Mapping[str, Any]]:
    header: list[str] = []
    for line in file.lines:
        if _is_header(line):
            header = [_FIELDS.get(cell, cell) for cell in _cells(line)]
        elif header and line.lstrip().startswith("|") and not set(line) <= set("|-: "):
            yield dict(zip(header, _cells(line), strict=False))
    if not header:
        yield from (item for item in file.objects or () if "speed_tg" in item)


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    rows = [row for index, item in enumerate(_results(file)) for row in _rows(file.name, index, item, given)]
    return MeasurementTable(name=file.name, columns=COLUMNS, rows=tuple(rows))


def _rows(file: str, index: int, item: Mapping[str, Any], given: Given) -> Iterator[dict[str, str]]:
    """The prompts of one line, then its generation; tokens per second are those of all sequences."""
    backend = needed(given.backend, file, "which backend ran it", "--backend, such as --backend CUDA")
    n_sequences = int(positive(item, file, index, "pl"))
    prompt, generated = int(number(item, "pp") or 0), int(number(item, "tg") or 0)
    layers = number(item, "n_gpu_layers")
    flash = number(item, "flash_attn")
    base = dict.fromkeys(COLUMNS, "") | {
        "backend": backend,
        "engine": given.engine or "llama.cpp",
        "build": given.build or "",
        "model": needed(given.model, file, "which model ran", "--model"),
        "quant": needed(
            given.quantization, file, "how the weights are stored", "--quant, such as --quant Q4_K_M"
        ),
        "ngl": "" if layers is None else "all" if layers < 0 else f"{layers:.0f}",
        "fa": "" if flash is None or flash < 0 else f"{flash:.0f}",
        "n_ubatch": f"{number(item, 'n_ubatch') or 512:.0f}",
        "threads": "" if number(item, "n_threads") is None else f"{number(item, 'n_threads'):.0f}",
        "cpu": given.processor or "",
        "n_prompt": "0",
        "n_gen": "0",
        "n_depth": "0",
        "n_sequences": str(n_sequences),
        "origin": file,
    }
    base |= devices_of({}, backend, base["cpu"], given, file)
    if prompt:
        yield base | {
            "n_prompt": str(prompt),
            "test": f"pp{prompt} × {n_sequences}",
            "tok_s": f"{positive(item, file, index, 'speed_pp'):.12g}",
            "left_out": PROMPTS_TOGETHER if n_sequences > 1 else "",
        }
    if generated:
        yield base | {
            "n_gen": str(generated),
            "n_depth": str(prompt),
            "test": f"tg{generated} @ d{prompt} × {n_sequences}",
            "tok_s": f"{positive(item, file, index, 'speed_tg'):.12g}",
        }


FORMAT = MeasurementFormat(name="llama-batched-bench", recognises=_recognises, read=_read)
