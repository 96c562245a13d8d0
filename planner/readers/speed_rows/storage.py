"""How a row's file is stored: the preset that its label names, stretched to the size that it has."""

import re
from dataclasses import dataclass
from functools import cache

from planner.errors import MissingFactError
from planner.model.network import Network
from planner.model.preset_rules import BASE_TYPES
from planner.model.presets import preset_storage
from planner.model.storage import Storage
from planner.readers.speed_rows.bench_row import BenchRow
from planner.readers.speed_rows.models import UnplacedError, catalogue_networks
from planner.speed.work import ModelWork, model_work

_LONG_NAMES = ((" - Medium", "_M"), (" - Small", "_S"), (" - Large", "_L"), ("MXFP4 MoE", "MXFP4"))
_TAILS = re.compile(r" \(.*\)$| - .*$|-[\d.]+bpw$|_R(?:4|8|16)$")
_OTHER_NAMES = {
    "Q8_K_XL": "Q8_0", "Q6_K_XL": "Q6_K", "Q6_K_L": "Q6_K", "Q5_K_XL": "Q5_K_M", "Q5_K_L": "Q5_K_M",
    "Q4_K_XL": "Q4_K_M", "Q4_K_L": "Q4_K_M", "Q3_K_XL": "Q3_K_M", "Q2_K_XL": "Q2_K", "Q2_K_L": "Q2_K",
    "IQ4_NL_XL": "IQ4_NL", "Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4": "MXFP4_MOE",
}  # fmt: skip
_FORK = re.compile(r"IQ(\d)_(K|KS|KSS|KL|KT|BN)")
# Tried for a mix that has no preset's name: the nearest in size.
_LADDER = (
    "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_XS", "IQ1_S",
)  # fmt: skip
_HALF_PRECISION_BYTES = 1.4  # of the predicted bytes outside the experts, where they are F16 rather than Q8_0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """A row's model as it lies in memory, without its list of tensors: a table names hundreds of models."""

    work: ModelWork
    preset: str


def stored_row(row: BenchRow, model: str) -> StoredRow:
    """The preset, scaled; raises UnplacedError where the network cannot be stored so."""
    return _stored(model, row.quantization, None if row.file_bytes is None else round(row.file_bytes))


@cache
def _stored(model: str, label: str, file_bytes: int | None) -> StoredRow:
    network = catalogue_networks()[model]
    preset, fork_class = preset_of(label, network)
    if file_bytes is None:
        if preset is None:
            raise UnplacedError(f"{label!r} names no preset, and the row does not say how large the file is")
        storage = _preset(network, preset)
        return StoredRow(work=model_work(network, storage), preset=storage.label)
    storage = _preset(network, preset) if preset else _nearest(network, file_bytes)
    scale = file_bytes / storage.total_bytes
    expert_scale = None
    if preset == "MXFP4_MOE":
        # Its experts are MXFP4 whatever the label; only the rest is stored otherwise.
        experts = sum(weight.n_bytes for weight in storage.weights if weight.is_expert)
        rest = (file_bytes - experts) / (storage.total_bytes - experts)
        if rest > 0:
            scale, expert_scale = rest, 1.0
            if rest > _HALF_PRECISION_BYTES:
                storage = _with_half_precision(network, storage)
                rest_bytes = sum(weight.n_bytes for weight in storage.weights if not weight.is_expert)
                scale = (file_bytes - experts) / rest_bytes
    work = model_work(network, storage, scale=scale, expert_scale=expert_scale, main_class=fork_class)
    return StoredRow(work=work, preset=storage.label)


def preset_of(label: str, network: Network) -> tuple[str | None, str | None]:
    """The preset that a label means, and the kernel class of a fork's type that no preset has."""
    if network.architecture == "gpt_oss":
        return "MXFP4_MOE", None
    name = label
    for long, short in _LONG_NAMES:
        name = name.replace(long, short)
    name = name.removeprefix("UD-")
    for _ in range(2):  # "IQ2_BN - 2.00 bpw Bitnet", "IQ4_K_R4 - 4.5 bpw"
        name = _TAILS.sub("", name)
    name = _OTHER_NAMES.get(name, name)
    if name in BASE_TYPES:
        return name, None
    fork = _FORK.fullmatch(name)
    if fork:
        return None, f"ik{fork[1]}{'t' if fork[2] == 'KT' else ''}"
    return None, None


def _preset(network: Network, preset: str) -> Storage:
    try:
        return preset_storage(network, preset)
    except MissingFactError as error:
        raise UnplacedError(f"cannot be stored as {preset}: {error}") from error


def _nearest(network: Network, file_bytes: int) -> Storage:
    found = []
    for preset in _LADDER:
        try:
            storage = preset_storage(network, preset)
        except MissingFactError:
            continue
        found.append((abs(storage.total_bytes / file_bytes - 1), storage))
    if not found:
        raise UnplacedError("no preset can store this network")
    return min(found, key=lambda pair: pair[0])[1]


def _with_half_precision(network: Network, storage: Storage) -> Storage:
    """Experts as they are, everything else in F16."""
    half = preset_storage(network, "F16")
    weights = tuple(
        own if own.is_expert else other for own, other in zip(storage.weights, half.weights, strict=True)
    )
    return Storage(label=storage.label, weights=weights, predicted=True)
