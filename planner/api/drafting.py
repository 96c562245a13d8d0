"""Speculative decoding with the models that it needs."""

from dataclasses import replace

from planner.api.models import described_models, open_model
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.asked_drafting import AskedDrafting
from planner.engines.llama_cpp.draft import DRAFT_TOKENS, target_flags
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.speculation import Drafting
from planner.model.presets import preset_storage


def drafting_of(asked: AskedDrafting) -> Drafting:
    """What was asked for, the draft model opened. Raises MissingFactError for one of unknown storage."""
    return Drafting(
        kind="mtp" if asked.is_mtp else "draft",
        model=None if asked.draft is None else _draft(asked.draft, asked.draft_quant),
        acceptance=asked.acceptance,
        n_draft_tokens=asked.n_draft_tokens,
    )


def _draft(text: str, quant: str | None) -> DescribedModel:
    opened = open_model(text)
    if opened.storage is None and quant is None:
        raise MissingFactError(
            f"{opened.name} says nothing of how its weights are stored; name its GGUF for --draft, or a preset with "
            "--draft-quant"
        )
    (found,) = described_models(opened, () if quant is None else (quant,))
    if found.file_name is None:
        return replace(found, file_name=f"{opened.name.replace(' ', '-')}-{found.storage.label}.gguf")
    return found


def with_own_layers(model: DescribedModel) -> DescribedModel:
    """A model whose predicted weights hold its extra prediction layers; a file has them or not."""
    if not model.storage.predicted or not model.network.mtp:
        return model
    return replace(model, storage=preset_storage(model.network, model.storage.label, extra_layers=True))


def drafting_flags(flags: LlamaCppFlags, drafting: Drafting | None) -> LlamaCppFlags:
    """Flags of a model that verifies what its own layers draft: they are loaded, and states can be taken back."""
    if drafting is None or drafting.kind == "draft":
        return flags
    n = drafting.n_draft_tokens or DRAFT_TOKENS
    return replace(target_flags(flags, "mtp", n), loads_extra_layers=True)
