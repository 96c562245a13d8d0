"""A model as data: the one description that `planner model` and `planner report` both give as JSON."""

from typing import Any

from planner.engines import llama_cpp
from planner.engines.llama_cpp import LlamaCppFlags
from planner.model.card import Benchmark, Card
from planner.model.claims import Claim
from planner.model.formats.layout import FormatLayout
from planner.model.label_audit import LabelAudit
from planner.model.network import LayerGroup, Network
from planner.model.opened_model import OpenedModel
from planner.model.storage import Storage

Data = dict[str, Any]

F16_CACHE = LlamaCppFlags(n_context_tokens=1)


def model_data(opened: OpenedModel, storage: Storage | None = None) -> Data:
    """Everything known of a model, JSON-ready; null is unknown.

    `storage` stands in for a model that has none of its own, such as a preset predicted for it. Cache bytes
    are llama.cpp's at F16, recurrent state is in f32.
    """
    network = opened.network
    return {
        "name": opened.name,
        "reference": opened.reference,
        "source": opened.source,
        "path": None if opened.path is None else str(opened.path),
        "fingerprint": opened.fingerprint,
        "licence": opened.licence,
        **_network_data(network),
        "storage": _storage_data(opened, opened.storage or storage),
        "label_audit": None if opened.audit is None else _audit_data(opened.audit),
        "published": None if opened.published is None else _published_data(opened.published),
        "stored_elements": opened.stored_elements,
        "stored_bytes": opened.stored_bytes,
        "declared_quantization": None if opened.facts is None else opened.facts.quantization,
        "rope_scaling": _rope_data(opened),
        "card": None if opened.card is None else _card_data(opened.card),
        "claims": [claim_data(claim) for claim in opened.claims],
        "notes": list(dict.fromkeys((*network.notes, *opened.notes))),
    }


def layer_kv_bytes_per_token(group: LayerGroup) -> float:
    """Cache bytes that one more token adds in one layer while no window is full."""
    caches = group.mixer.token_caches if group.mixer is not None else ()
    return sum(llama_cpp.entry_bytes(cache, F16_CACHE) / cache.tokens_per_entry for cache in caches)


def layer_state_bytes(group: LayerGroup) -> int:
    """Constant-size state that one layer keeps for a sequence."""
    return llama_cpp.layer_state_bytes(group, F16_CACHE)


def _network_data(network: Network) -> Data:
    parameters = network.parameters
    return {
        "architecture": network.architecture,
        "context_tokens": network.context_tokens,
        "hidden_size": network.hidden_size,
        "vocab_size": network.vocab_size,
        "tied_embeddings": network.tied_embeddings,
        "parameters": {
            "text": parameters.text,
            "mtp": parameters.mtp,
            "towers": parameters.towers,
            "copies": parameters.copies,
            "total": parameters.total,
            "active": round(parameters.active),
            "read_per_token": round(network.active_matmul_parameters),
        },
        "towers": [
            {"name": tower.name, "parameters": tower.parameters, "unknown": tower.unknown}
            for tower in network.towers
        ],
        "n_layers": network.n_layers,
        "layers": [_group_data(group, network.hidden_size) for group in network.groups],
        "experts": _experts(network),
        "kv_bytes_per_token": _whole(
            sum(len(g.layers) * layer_kv_bytes_per_token(g) for g in network.groups)
        ),
    }


def _group_data(group: LayerGroup, hidden_size: int) -> Data:
    mixer = group.mixer
    return {
        "kind": group.kind,
        "count": len(group.layers),
        "indices": list(group.layers),
        "mixer": mixer.kind if mixer else None,
        "block": group.block.kind if group.block else None,
        "window_tokens": mixer.window_tokens if mixer else None,
        "parameters": sum(w.parameters for w in group.weights(hidden_size)),
        "kv_bytes_per_token": _whole(layer_kv_bytes_per_token(group)),
        "state_bytes": layer_state_bytes(group),
        "caches": [
            {
                "name": cache.name,
                "k_elements": cache.k_elements,
                "v_elements": cache.v_elements,
                "window_tokens": cache.window_tokens,
                "tokens_per_entry": cache.tokens_per_entry,
                "n_entries_read_at_most": cache.entries_read_at_most,
            }
            for cache in (mixer.token_caches if mixer else ())
        ],
    }


def _experts(network: Network) -> Data | None:
    for group in network.groups:
        n = getattr(group.block, "n_experts", None)
        if n is not None:
            return {"n_experts": n, "n_active": getattr(group.block, "n_active", None)}
    return None


def _storage_data(opened: OpenedModel, storage: Storage | None) -> Data | None:
    if storage is None:
        return None
    by_type: dict[str, Data] = {}
    for name in storage.bytes_by_type:  # largest first
        by_type[name] = {"n_tensors": 0, "n_elements": 0, "n_bytes": 0}
    for weight in storage.weights:
        found = by_type[weight.type_name]
        found["n_tensors"] += 1
        found["n_elements"] += weight.n_elements
        found["n_bytes"] += weight.n_bytes
    return {
        "quantization": storage.label,
        "predicted": storage.predicted,
        "tensor_bytes": storage.total_bytes,
        "file_bytes": storage.file_bytes,
        "header_bytes": opened.header_bytes,
        "n_files": opened.n_files,
        "n_elements": storage.n_elements,
        "bits_per_weight": storage.bits_per_weight,
        "bytes_by_type": dict(storage.bytes_by_type),
        "by_type": by_type,
        "read_bytes_per_token": storage.read_bytes_per_token,
    }


def _audit_data(audit: LabelAudit) -> Data:
    return {
        "label": audit.label,
        "verdict": audit.verdict.value,
        "summary": audit.summary,
        "variant": audit.variant,
        "n_tensors": audit.n_tensors,
        "n_differing": audit.n_differing,
        "differences": [
            {"role": d.role, "expected": d.expected, "found": d.found, "n_tensors": d.n_tensors}
            for d in audit.differences
        ],
        "size_ratio": audit.size_ratio,
        "nearest_preset": audit.nearest_preset,
        "file_name_label": audit.file_name_label,
        "made_by": audit.made_by,
        "has_importance_matrix": audit.has_matrix,
    }


def _published_data(layout: FormatLayout) -> Data:
    storage = layout.storage
    return {
        "format": storage.label,
        "file_bytes": layout.file_bytes,
        "text_bytes": storage.total_bytes,
        "mtp_bytes": layout.extra_bytes,
        "tower_bytes": layout.tower_bytes,
        "copy_bytes": layout.copy_bytes,
        "bits_per_weight": storage.bits_per_weight,
        "bytes_by_format": dict(storage.bytes_by_type),
        "read_bytes_per_token": storage.read_bytes_per_token,
        "hub_parameters_by_dtype": dict(layout.parameters_by_dtype),
        "elements_by_dtype": dict(layout.elements_by_dtype),
        "unmatched_patterns": list(layout.unmatched_patterns),
    }


def _rope_data(opened: OpenedModel) -> Data | None:
    facts = opened.facts
    if facts is None or facts.rope_kind is None:
        return None
    return {
        "kind": facts.rope_kind,
        "context_tokens_over_original": facts.rope_factor,
        "original_context_tokens": facts.original_context_tokens,
    }


def claim_data(claim: Claim) -> Data:
    """One claim; its values carry their unit in the key, where they have one."""
    data: Data = {
        "what": claim.what,
        "claimed": claim.claimed,
        "found": claim.found,
        "agrees": claim.agrees,
        "source": claim.source,
        "note": claim.note,
    }
    if claim.unit is not None:
        data[f"claimed_{claim.unit}"] = [_whole(value) for value in claim.claimed_values]
        data[f"found_{claim.unit}"] = None if claim.found_value is None else _whole(claim.found_value)
    return data


def _card_data(card: Card) -> Data:
    return {
        "title": card.title,
        "licence": card.licence,
        "licence_name": card.licence_name,
        "licence_link": card.licence_link,
        "base_models": list(card.base_models),
        "base_relation": card.base_relation,
        "languages": list(card.languages),
        "tags": list(card.tags),
        "pipeline": card.pipeline,
        "library": card.library,
        "quantized_by": card.quantized_by,
        "n_datasets": card.n_datasets,
        "gated": card.gated,
        "modalities": list(card.modalities),
        "quantizations": list(card.quantizations),
        "mentioned_quantizations": list(card.mentioned_quantizations),
        "stated_parameters": [
            {"text": s.text, "parameters": _whole(s.value), "meaning": s.meaning.value, "place": s.place.value,
             "about": s.about}
            for s in card.parameters
        ],
        "stated_contexts": [
            {"text": s.text, "least_tokens": s.least_tokens, "most_tokens": s.most_tokens, "place": s.place.value,
             "about": s.about, "needs_rope_scaling": s.extended}
            for s in card.contexts
        ],
        "n_benchmarks": card.n_benchmarks,
        "benchmarks": [_benchmark_data(benchmark) for benchmark in card.benchmarks],
        "problems": list(card.problems),
    }  # fmt: skip


def _benchmark_data(benchmark: Benchmark) -> Data:
    return {
        "dataset": benchmark.dataset,
        "task": benchmark.task,
        "metric": benchmark.metric,
        "score": benchmark.value,  # in the metric's own unit, as the card writes it
        "score_text": benchmark.value_text,
        "verified": benchmark.verified,
        "signed": benchmark.signed,
        "source": benchmark.source,
    }


def _whole(value: float) -> float:
    """A whole number as int, so that JSON shows 32768 and not 32768.0."""
    return int(value) if value == int(value) else value
