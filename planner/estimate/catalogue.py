"""A catalogue of models, sized: what each needs in one memory, which are wanted, in which order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from planner.estimate.preset_table import PresetTable, beside_at
from planner.model.network import Network

CATALOGUE_CONTEXT = 8192
SortKey = Literal["family", "name", "params", "active", "context", "released", "size", "needs"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueQuery:
    """What is wanted of the catalogue; None and empty ask for nothing.

    `licences` and `families` are names or patterns such as "llama*"; `released_after` is a year, month or day.
    """

    text: str = ""
    licences: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    min_context_tokens: int | None = None
    min_parameters: int | None = None
    max_parameters: int | None = None
    mixture_of_experts: bool | None = None
    released_after: str | None = None
    max_memory_bytes: int | None = None
    n_context_tokens: int | None = None  # to size the cache for; sizes every model where given
    quant: str | None = None

    @property
    def sizes_memory(self) -> bool:
        """Whether the memory that a model needs to run is asked for, not only the size of its file."""
        return self.max_memory_bytes is not None or self.n_context_tokens is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """One model of the catalogue; sizes are None where its architecture is not understood (`problem`)."""

    entry: Mapping[str, Any]
    is_own: bool  # from the user's own folder
    parameters: int | None  # as published; counted where nobody says
    active_parameters: float | None = None
    mixture_of_experts: bool | None = None
    quant: str | None = None
    is_native_quant: bool = False  # the preset that keeps weights as they were published
    weight_bytes: int | None = None
    n_context_tokens: int | None = None
    needed_bytes: int | None = None  # weights, cache and compute buffers in one memory
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The models that match, and how many there are besides."""

    query: CatalogueQuery
    models: tuple[CatalogueModel, ...]
    n_models: int
    n_too_large: int
    notes: tuple[str, ...]


def in_one_memory(table: PresetTable, network: Network, n_context_tokens: int) -> tuple[int, int]:
    """The context a model is sized for, no more than it was trained for, and all bytes that llama.cpp needs then.

    The same account as `planner fit` on a machine without a GPU: weights, KV cache, state and compute buffers. Of the
    table's first preset.
    """
    n = min(n_context_tokens, network.context_tokens or n_context_tokens)
    host = table.stores["host"]
    weights = host.fixed[0] + host.experts[0] + host.head[0] + host.tables[0]
    return n, weights + beside_at(table, network, "host", 1, n)[0]


def has_wanted_size(model: CatalogueModel, query: CatalogueQuery) -> bool:
    """The filters on what is counted; a model that cannot be counted is kept out by none but these."""
    if query.mixture_of_experts is not None and model.mixture_of_experts is not query.mixture_of_experts:
        return False
    if query.max_memory_bytes is not None and model.needed_bytes is None:
        return False
    bounds = (query.min_parameters, query.max_parameters)
    if bounds == (None, None):
        return True
    least, most = bounds
    n = model.parameters
    return n is not None and (least or 0) <= n and (most is None or n <= most)


_SORT_VALUES: dict[SortKey, Callable[[CatalogueModel], Any]] = {
    "family": lambda model: (model.entry["family"].casefold(), model.parameters or 0),
    "name": lambda model: model.entry["id"],
    "params": lambda model: model.parameters,
    "active": lambda model: model.active_parameters,
    "context": lambda model: model.entry["context_tokens"],
    "released": lambda model: model.entry["released"],
    "size": lambda model: model.weight_bytes,
    "needs": lambda model: model.needed_bytes,
}


def in_order(models: Sequence[CatalogueModel], sort: SortKey, reverse: bool) -> list[CatalogueModel]:
    """Small before large and old before new, or the other way round; unknown last in either."""
    value = _SORT_VALUES[sort]
    known = sorted((model for model in models if value(model) is not None), key=value, reverse=reverse)
    return known + [model for model in models if value(model) is None]
