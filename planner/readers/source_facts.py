"""What a config.json or GGUF header says beside the network: rope scaling, quantization, licence, size label."""

from collections.abc import Mapping

from hardware.units import GIGA, TERA
from planner.model.claims import SourceFacts

_NO_SCALING = frozenset(("default", "none", "mrope"))


def facts_of_config(config: Mapping[str, object]) -> SourceFacts:
    """Facts of a config.json; None for what it does not say or says in a shape nobody uses."""
    inner = next((part for key in ("text_config", "llm_config", "language_config", "thinker_config")
                  if isinstance(part := config.get(key), dict)), config)  # fmt: skip
    rope = _mapping(inner.get("rope_scaling") or inner.get("rope_parameters"))
    kind = _text(rope.get("rope_type")) or _text(rope.get("type"))
    scaled = kind is not None and kind not in _NO_SCALING
    quantization = _mapping(config.get("quantization_config") or inner.get("quantization_config"))
    return SourceFacts(
        source="config.json",
        rope_kind=kind if scaled else None,
        rope_factor=_number(rope.get("factor")) if scaled else None,
        original_context_tokens=_count(rope.get("original_max_position_embeddings")) if scaled else None,
        quantization=_text(quantization.get("quant_method")),
        state_dtype=_text(inner.get("mamba_ssm_dtype")) or _text(inner.get("mamba_ssm_cache_dtype")),
    )


def facts_of_gguf(metadata: Mapping[str, object]) -> SourceFacts:
    """Facts of a GGUF header's metadata."""
    architecture = _text(metadata.get("general.architecture")) or ""
    scaling = f"{architecture}.rope.scaling."
    kind = _text(metadata.get(f"{scaling}type"))
    scaled = kind is not None and kind not in _NO_SCALING
    return SourceFacts(
        source="GGUF header",
        rope_kind=kind if scaled else None,
        rope_factor=_number(metadata.get(f"{scaling}factor")) if scaled else None,
        original_context_tokens=_count(metadata.get(f"{scaling}original_context_length")) if scaled else None,
        licence=_text(metadata.get("general.license")),
        size_label=_text(metadata.get("general.size_label")),
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    shown = "".join(char if char.isprintable() else " " for char in value[:400])
    return " ".join(shown.split())[:120] or None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < GIGA else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 < value < TERA else None
