"""What would have to give for a larger quantization or a longer context, and what makes room when nothing fits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from hardware.spec import Machine
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.estimate.beside_memory import NOTHING, Beside
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.ranking import placement_rank
from planner.estimate.speed import SpeedFacts
from planner.model.ggml_types import type_by_name

# Finer and finer; a wish goes up this ladder, a way out down.
QUANT_LADDER = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
SMALL_CACHE_TYPE = "Q8_0"
LEAST_CONTEXT_TOKENS = 2048

ModelAt = Callable[[str], DescribedModel]  # the same model at a preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Concession:
    """A wish, what has to give for it, and the model placed so; `gives` is empty when nothing does."""

    wish: str
    gives: str
    row: FitRow


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is the same for every wish: the machine, what is known of speed, and a person's own flags."""

    machine: Machine
    facts: SpeedFacts
    given: GivenSplit = FREE
    beside: Beside = NOTHING

    def row(self, model: DescribedModel, flags: LlamaCppFlags) -> FitRow:
        """The model placed with these flags."""
        return fit_row(model, self.machine, flags, self.facts, self.given, beside=self.beside)


def concessions(row: FitRow, model_at: ModelAt, situation: Situation) -> tuple[Concession, ...]:
    """For the next larger quantization and for twice the context: what each takes; or, for a row that does not
    fit, what would make it fit.

    A wish is met where it runs in the same kind of place as `row` does. Tried in this order: as it is, the cache
    in 8 bits, half the context; last, what it is when it runs in a slower place, or by how much it does not fit.
    """
    flags = row.placement.flags
    if not row.placement.fits:
        return tuple(_ways_to_fit(row, model_at, situation))
    found: list[Concession] = []
    finer = finer_quant(row.model)
    if finer is not None:
        found += _ways_to(finer, model_at(finer), flags, row, situation)
    longer = _longer_context(row)
    if longer is not None:
        wish = f"{longer:,} tokens"
        found += _ways_to(wish, row.model, replace(flags, n_context_tokens=longer), row, situation)
    return tuple(found)


def finer_quant(model: DescribedModel) -> str | None:
    """The next preset of the ladder that takes at least a tenth more bits than the model does; None above all."""
    label = model.storage.label
    if label in QUANT_LADDER:
        return next(iter(QUANT_LADDER[QUANT_LADDER.index(label) + 1 :]), None)
    bits = model.storage.bits_per_weight
    nominal = {"Q4_K_M": 4.9, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16.0}
    return next((preset for preset, size in nominal.items() if size > 1.1 * bits), None)


def _coarser_quants(model: DescribedModel) -> Sequence[str]:
    label = model.storage.label
    if label not in QUANT_LADDER:
        return ()
    return tuple(reversed(QUANT_LADDER[: QUANT_LADDER.index(label)]))


def _longer_context(row: FitRow) -> int | None:
    """Twice the context, or what the model was trained for where that is less; None for a model at its end."""
    now = row.placement.flags.n_context_tokens
    trained = row.model.network.context_tokens
    longer = 2 * now if trained is None else min(2 * now, trained)
    return longer if longer > now else None


def _ways_to(
    wish: str, model: DescribedModel, flags: LlamaCppFlags, now: FitRow, situation: Situation
) -> Iterator[Concession]:
    """The cheapest way to the wish in as good a place; where there is none, what it comes to."""
    plain = situation.row(model, flags)
    if _as_good(plain, now):
        yield Concession(wish=wish, gives="", row=plain)
        return
    for gives, smaller in _smaller(model, flags, halve_context=flags == now.placement.flags):
        row = situation.row(model, smaller)
        if _as_good(row, now):
            yield Concession(wish=wish, gives=gives, row=row)
            break
    yield Concession(wish=wish, gives=plain.placement.kind if plain.placement.fits else "", row=plain)


def _as_good(row: FitRow, now: FitRow) -> bool:
    better = placement_rank(row.placement) <= placement_rank(now.placement)
    # Within experts or layers in RAM, more of them there is a worse place.
    held = row.placement.split.n_cpu_moe <= now.placement.split.n_cpu_moe
    return row.placement.fits and better and held


def _smaller(
    model: DescribedModel, flags: LlamaCppFlags, *, halve_context: bool
) -> Iterator[tuple[str, LlamaCppFlags]]:
    small = _small_cache(model, flags)
    if small is not None:
        yield f"KV cache in {SMALL_CACHE_TYPE}", small
    if not halve_context:
        return
    n = flags.n_context_tokens // 2
    while n >= LEAST_CONTEXT_TOKENS:
        yield f"a context of {n:,}", replace(flags, n_context_tokens=n)
        n //= 2


def _small_cache(model: DescribedModel, flags: LlamaCppFlags) -> LlamaCppFlags | None:
    """The flags with an 8-bit cache, where there is a cache to shrink and the engine can."""
    caches = [c for g in model.network.groups if g.mixer is not None for c in g.mixer.token_caches]
    block = type_by_name(SMALL_CACHE_TYPE).block_elements
    divides = all(cache.k_elements % block == 0 == cache.v_elements % block for cache in caches)
    if (
        not caches
        or not divides
        or not flags.flash_attention
        or (flags.k_type, flags.v_type) != ("F16", "F16")
    ):
        return None
    return replace(flags, k_type=SMALL_CACHE_TYPE, v_type=SMALL_CACHE_TYPE)


def _ways_to_fit(row: FitRow, model_at: ModelAt, situation: Situation) -> Iterator[Concession]:
    """Smaller caches and contexts of this quantization first, then the finest coarser one that fits."""
    flags = row.placement.flags
    for gives, smaller in _smaller(row.model, flags, halve_context=True):
        found = situation.row(row.model, smaller)
        if found.placement.fits:
            yield Concession(wish="fit", gives=gives, row=found)
            break
    for preset in _coarser_quants(row.model):
        found = situation.row(model_at(preset), flags)
        if found.placement.fits:
            yield Concession(wish="fit", gives=preset, row=found)
            break
