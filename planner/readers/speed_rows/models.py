"""Which catalogue model a benchmark label means: by architecture and exact parameters, else by its very name."""

import re
from collections.abc import Mapping
from functools import cache

from hardware.units import GIGA
from planner.errors import UnknownArchitectureError
from planner.model.network import Network
from planner.readers.catalogue_model import from_catalogue
from planner.readers.speed_rows.bench_row import BenchRow
from profiles.loader import model_rows

# What llama.cpp calls an architecture, and the configs that it converts to it (convert_hf_to_gguf.py).
_CONVERTED: Mapping[str, frozenset[str]] = {
    "llama": frozenset(("llama", "mistral", "mistral3")),
    "qwen3": frozenset(("qwen3", "qwen3_vl")),
    "qwen3moe": frozenset(("qwen3_moe", "qwen3_vl_moe")),
    "qwen35": frozenset(("qwen3_5", "qwen3_5_text")),
    "qwen35moe": frozenset(("qwen3_5_moe", "qwen3_5_moe_text")),
    "qwen3next": frozenset(("qwen3_next",)),
    "gemma3": frozenset(("gemma3", "gemma3_text")),
    "gpt-oss": frozenset(("gpt_oss",)),
    "deepseek2": frozenset(("deepseek_v2", "deepseek_v3", "glm4_moe_lite", "kimi_k2")),
    "hunyuan-moe": frozenset(("hunyuan_v1_moe",)),
    "llama4": frozenset(("llama4", "llama4_text")),
    "nemotron_h_moe": frozenset(("nemotron_h",)),
    "glm4moe": frozenset(("glm4_moe",)),
    "ernie4_5-moe": frozenset(("ernie4_5_moe",)),
    "bailingmoe2": frozenset(("bailing_moe_v2",)),
    "minimax-m2": frozenset(("minimax_m2",)),
}
# Sizes that the engine prints for networks of these architectures when no parameter count is given.
_PRINTED_SIZES: Mapping[tuple[str, str], float] = {
    ("llama", "1B"): 1.236e9, ("llama", "3B"): 3.213e9, ("llama", "8B"): 8.030e9, ("deepseek2", "16B"): 15.706e9,
    ("qwen3moe", "30B"): 30.532e9,
}  # fmt: skip
_SIZE = re.compile(r"\b(\d+(?:\.\d+)?B)\b")
# A count is printed in billions with two decimals.
_PRINTED_STEP = 0.0051e9
_RELATIVE_STEP = 0.0008
# Ends of catalogue names that a label leaves out.
_ENDS = re.compile(r"(?:chathf|instruct2507|instruct|chat|it|hf|2603)$")
_SAYS_NOTHING = re.compile(r"(?:-QAT)?(?:\.gguf)?$")
# Labels of rows that name a model as people do.
_SPOKEN: Mapping[str, str] = {
    "llama370b": "llama-3-70b-instruct",
    "llama38b": "llama-3-8b-instruct",
    "llama27b": "llama-2-7b-chat-hf",
    "llamav27bmostlyq40": "llama-2-7b-chat-hf",
}
_SHORTEST_INNER_NAME = 8


class UnplacedError(Exception):
    """Why a row cannot be placed, in a few words; it is counted, never dropped."""


@cache
def catalogue_networks() -> Mapping[str, Network]:
    """Every catalogue model whose architecture is understood, by its id."""
    found = {}
    for entry in model_rows():
        try:
            found[entry["id"]] = from_catalogue(entry, entry["id"]).network
        except UnknownArchitectureError:
            continue
    return found


def find_model(row: BenchRow) -> str:
    """The catalogue id of a row's model; raises UnplacedError where the catalogue has none, or none of that size."""
    return _find(row.model, row.architecture, row.parameters)


@cache
def _find(label: str, architecture: str, parameters: float | None) -> str:
    return _by_size(label, architecture, parameters) if architecture else _by_name(label)


def _by_size(label: str, architecture: str, parameters: float | None) -> str:
    wanted = _CONVERTED.get(architecture, frozenset((architecture.replace("-", "_"),)))
    if parameters is None:
        printed = _SIZE.search(label)
        parameters = _PRINTED_SIZES.get((architecture, printed[1])) if printed else None
    if parameters is None:
        raise UnplacedError(f"the row says no parameter count for {architecture}")
    near = []
    for key, network in catalogue_networks().items():
        if network.architecture not in wanted:
            continue
        distance = min(abs(count - parameters) for count in _counts(network))
        if distance <= max(_PRINTED_STEP, _RELATIVE_STEP * parameters):
            near.append((distance, key))
    if not near:
        raise UnplacedError(f"the catalogue has no {architecture} of {parameters / GIGA:.2f} B parameters")
    return min(near, key=lambda pair: pair[0])[1]


def _counts(network: Network) -> tuple[float, ...]:
    """Parameters as files count them: without extra layers, with a tied head copied, or with all of it."""
    text = network.parameters.text
    return (text, text + network.vocab_size * network.hidden_size, network.parameters.total or text)


def _by_name(label: str) -> str:
    networks = catalogue_networks()
    name = _letters(_SAYS_NOTHING.sub("", label))
    if name in _SPOKEN:
        return _SPOKEN[name]
    if name.startswith("dsr1671b"):
        return "deepseek-r1"
    found: list[tuple[int, str]] = []
    for key in networks:
        known = _letters(key)
        if name in (known, _ENDS.sub("", known)) or name.startswith(known):
            found.append((2 * len(known), key))
        elif known in name and len(known) > _SHORTEST_INNER_NAME:
            found.append((2 * len(known) - 1, key))
    if not found:
        raise UnplacedError("the catalogue has no model of that name")
    return max(found, key=lambda pair: pair[0])[1]


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.casefold())
