"""How far a way of tuning goes on a GPU, and what would have to give where it does not fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.engines.tuning.settings import TuningSettings
from planner.estimate.tuning import TuningEstimate, tuning_estimate
from planner.model.network import Network

MOST_TOKENS = 4_000_000
MOST_SEQUENCES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One change of the settings, and what tuning needs then."""

    change: str
    estimate: TuningEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningLimits:
    """The largest length and batch whose expected need is within a GPU's memory, each with the rest unchanged."""

    n_tokens: int | None  # None when not even one token fits
    n_sequences: int | None
    n_tokens_is_trained_length: bool  # the model was not trained for more, memory would allow it


def tuning_limits(
    network: Network, settings: TuningSettings, capacity_bytes: float, *, quantizes_experts: bool = True
) -> TuningLimits:
    """Searches both, which is possible because more tokens never need less."""

    def fits(changed: TuningSettings) -> bool:
        found = tuning_estimate(network, changed, quantizes_experts=quantizes_experts)
        return found.gpu.expected <= capacity_bytes

    most = network.context_tokens or MOST_TOKENS
    n_tokens = _largest(most, lambda n: fits(replace(settings, n_tokens=n)))
    return TuningLimits(
        n_tokens=n_tokens,
        n_sequences=_largest(MOST_SEQUENCES, lambda n: fits(replace(settings, n_sequences=n))),
        n_tokens_is_trained_length=n_tokens == network.context_tokens,
    )


def _largest(most: int, fits: Callable[[int], bool]) -> int | None:
    """The largest n up to `most` that fits, by bisection; None when 1 does not."""
    if not fits(1):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def cheaper_ways(
    network: Network, settings: TuningSettings, *, quantizes_experts: bool = True
) -> tuple[Alternative, ...]:
    """Changes that keep model, batch and length, each on top of the ones before, from small to large.

    Only steps that need less are kept.
    """
    found: list[Alternative] = []
    current = settings
    least = tuning_estimate(network, settings, quantizes_experts=quantizes_experts).gpu.expected
    for change, step in _STEPS:
        changed = step(current)
        if changed is None:
            continue
        estimate = tuning_estimate(network, changed, quantizes_experts=quantizes_experts)
        if estimate.gpu.expected < least:
            found.append(Alternative(change=change, estimate=estimate))
            current, least = changed, estimate.gpu.expected
    return tuple(found)


def _checkpointing(settings: TuningSettings) -> TuningSettings | None:
    return None if settings.checkpointing else replace(settings, checkpointing=True)


def _flash(settings: TuningSettings) -> TuningSettings | None:
    return None if settings.attention == "flash" else replace(settings, attention="flash")


def _chunked(settings: TuningSettings) -> TuningSettings | None:
    return None if settings.chunked_loss else replace(settings, chunked_loss=True)


def _adamw_8bit(settings: TuningSettings) -> TuningSettings | None:
    return replace(settings, optimizer="adamw-8bit") if settings.optimizer == "adamw" else None


def _shard(settings: TuningSettings) -> TuningSettings | None:
    if settings.n_gpus == 1 or settings.sharding in ("zero3", "fsdp"):
        return None
    return replace(settings, sharding="fsdp")


def _bf16(settings: TuningSettings) -> TuningSettings | None:
    if not settings.trains_base or settings.precision == "bf16":
        return None
    return replace(settings, precision="bf16")


def _lora(settings: TuningSettings) -> TuningSettings | None:
    return replace(settings, method="lora", base_type="bf16") if settings.trains_base else None


def _qlora(settings: TuningSettings) -> TuningSettings | None:
    """As the command's own default, with peft's FP32 embeddings and head."""
    if settings.method == "qlora":
        return None
    return replace(settings, method="qlora", base_type="nf4-dq", keep_fp32=True)


def _qlora_16(settings: TuningSettings) -> TuningSettings | None:
    """For models whose embeddings weigh more in FP32 than four bits save elsewhere."""
    found = _qlora(settings)
    return None if found is None else replace(found, keep_fp32=False)


def _kept_16(settings: TuningSettings) -> TuningSettings | None:
    return replace(settings, keep_fp32=False) if settings.keep_fp32 else None


def _double(settings: TuningSettings) -> TuningSettings | None:
    return replace(settings, base_type="nf4-dq") if settings.base_type in ("nf4", "int8") else None


def _offload(settings: TuningSettings) -> TuningSettings | None:
    if "checkpoints" in settings.offload or not settings.checkpointing:
        return None
    return replace(settings, offload=(*settings.offload, "checkpoints"))


_STEPS: tuple[tuple[str, Callable[[TuningSettings], TuningSettings | None]], ...] = (
    ("--checkpointing", _checkpointing),
    ("--attention flash", _flash),
    ("--loss chunked", _chunked),
    ("--optimizer adamw-8bit", _adamw_8bit),
    ("--shard fsdp", _shard),
    ("--precision bf16", _bf16),
    ("--method lora", _lora),
    ("--method qlora", _qlora),
    ("--method qlora --keep-16-bit", _qlora_16),
    ("--keep-16-bit", _kept_16),
    ("--base nf4-dq", _double),
    ("--offload checkpoints", _offload),
)
