"""A recorded start-up of vLLM or SGLang, and what this planner predicts for it, component by component.

The rows are those of a table of logs: one engine start each, with what the log printed. A prediction says from what
it was made: from model, GPU and flags alone, or given a figure of the log (tokens of a pool of the printed size).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner.errors import PlannerError
from planner.estimate.served.component import Component
from planner.estimate.served.model import ServedModel, served_model
from planner.estimate.served.names import bare_name, candidates
from planner.estimate.served.publisher_layouts import conventional_layout, stored_otherwise
from planner.estimate.served.sglang_rows import sglang_components
from planner.estimate.served.vllm_rows import row_settings, vllm_components
from planner.model.formats.layout import FormatLayout, lay_out
from planner.model.formats.online import ONLINE_METHODS, online_plan
from planner.model.opened_model import OpenedModel

Row = Mapping[str, str]
Resolve = Callable[
    [str], OpenedModel | None
]  # a whole name to a model of the catalogue, None where it has none

_BYTES_OF = {"torch.float32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPrediction:
    """What is predicted for one row. A component without an expected value has the reason in its place."""

    engine: str
    model: str
    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()


def predict(row: Row, resolve_model: Resolve) -> ServedPrediction | str:
    """The prediction for a row, or the reason why it cannot be placed."""
    engine = (row.get("engine") or "").strip().lower()
    if engine not in ("vllm", "sglang"):
        return f"engine {engine[:40]!r} is not vLLM or SGLang"
    text = row.get("model") or ""
    try:
        found = _model(row, text, resolve_model)
        if isinstance(found, str):
            return found
        model, unknown, notes = found
        if engine == "vllm":
            _, more = row_settings(row, model)
            components = tuple(vllm_components(row, model, unknown))
            notes = (*notes, *more)
        else:
            components = tuple(sglang_components(row, model, unknown))
    except PlannerError as error:
        return str(error)
    return ServedPrediction(engine=engine, model=model.name, components=components, notes=notes)


def _model(
    row: Row, text: str, resolve_model: Resolve
) -> tuple[ServedModel, str | None, tuple[str, ...]] | str:
    """The model of a row at its storage; why the storage is not known, if it is not; and how both were told."""
    stripped = False
    for name, without_storage in candidates(text):
        opened, stripped = resolve_model(name), without_storage
        if opened is not None:
            break
    else:
        return f"the catalogue has no model called {bare_name(text)[-80:]!r}"
    layout, unknown, note = _layout(opened, text if stripped else "", row.get("quantization") or "")
    model = served_model(opened, layout)
    width = _BYTES_OF.get(row.get("dtype") or "", 2)
    embeds = "embedding" in text.lower()
    return replace(model, model_bytes=width, is_embedding=embeds), unknown, (note,) if note else ()


def _layout(opened: OpenedModel, words: str, asked: str) -> tuple[FormatLayout | None, str | None, str]:
    """How the weights lie in memory; why that is not known, if it is not; and a note where it was told by words.

    `words` is a name that says how its weights are stored, `asked` the method that the engine logged.
    """
    published = opened.published
    if asked == "modelslim":
        reason = "which modules ModelSlim left in 16 bits stands only in the repository's description file"
        return published, reason, ""
    if words:
        found = conventional_layout(opened.network, words, published)
        return (published, stored_otherwise(words), "") if found is None else (found[0], None, found[1])
    if asked in ("", "None") or opened.facts is None or opened.facts.quantization is not None:
        return published, None, ""
    if asked in ONLINE_METHODS:
        layout = lay_out(opened.network, online_plan(asked))
        return layout, None, f"quantized while loading to {layout.storage.label}"
    return published, f"stored as {asked}, which its name does not explain", ""
