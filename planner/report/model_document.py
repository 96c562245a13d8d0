"""`planner model` as a document: what the network is, how it is stored, what its cache costs."""

from typing import Any

from hardware.units import format_bytes, format_count
from planner.engines import llama_cpp
from planner.engines.llama_cpp import LlamaCppFlags
from planner.model.opened_model import OpenedModel
from planner.report.document import Document, Table
from planner.report.parameter_count import total_in_words

DEFAULT_CONTEXT = 8192


def model_document(opened: OpenedModel, n_context_tokens: int | None = None) -> Document:
    """The model in two sentences and three tables; the cache is llama.cpp's, one sequence, f16."""
    network = opened.network
    parameters = network.parameters
    n = n_context_tokens or min(DEFAULT_CONTEXT, network.context_tokens or DEFAULT_CONTEXT)
    flags = LlamaCppFlags(n_context_tokens=n)
    kv_bytes = llama_cpp.kv_bytes(network, flags)
    state_bytes = llama_cpp.state_bytes(network, flags)
    moe = network.is_mixture_of_experts()
    active = f", {format_count(parameters.active)} active for a token" if moe else ""
    context = f"up to {network.context_tokens:,} tokens" if network.context_tokens else "context not stated"
    stored = ""
    if opened.storage is not None:
        storage = opened.storage
        stored = (
            f" Stored as {storage.label}: {format_bytes(storage.total_bytes)}, "
            f"{storage.bits_per_weight:.2f} bits per weight."
        )
    kinds = tuple(
        (group.kind, len(group.layers), _ranges(group.layers), sum(w.parameters for w in group.weights(network.hidden_size)))
        for group in network.groups
    )  # fmt: skip
    tables = [
        Table(
            title="Layers",
            headers=("kind", "layers", "which", "parameters each"),
            rows=tuple((k, c, r, format_count(p)) for k, c, r, p in kinds),
            right=(1, 3),
        ),
        Table(
            title="Parameters",
            headers=("part", "parameters"),
            rows=tuple(
                (name, f"{value:,.0f}")
                for name, value in (
                    ("language model", parameters.text),
                    ("extra prediction layers (MTP)", parameters.mtp),
                    *((tower.name, tower.parameters) for tower in network.towers),
                    ("stored a second time", parameters.copies),
                    ("counted so far" if parameters.uncounted else "total", parameters.counted),
                    ("active per token", parameters.active),
                )
                if value
            ),
            right=(1,),
        ),
        Table(
            title=f"Cache of one sequence at {n:,} tokens (llama.cpp, f16)",
            headers=("what", "size"),
            rows=(("KV cache", format_bytes(kv_bytes)), ("recurrent state", format_bytes(state_bytes))),
            right=(1,),
        ),
    ]
    if opened.storage is not None:
        tables.append(_type_table(opened))
    return Document(
        schema="planner.model/1",
        title=opened.name,
        answer=(
            (
                f"{opened.name} has {total_in_words(parameters)} parameters{active} in {network.n_layers} layers, "
                f"{context}.{stored}"
            ),
        ),
        tables=tuple(tables),
        notes=opened.notes,
        data=model_data(opened, n, kv_bytes, state_bytes),
    )


def _type_table(opened: OpenedModel) -> Table:
    assert opened.storage is not None
    storage = opened.storage
    counts: dict[str, int] = {}
    elements: dict[str, int] = {}
    for weight in storage.weights:
        counts[weight.type_name] = counts.get(weight.type_name, 0) + 1
        elements[weight.type_name] = elements.get(weight.type_name, 0) + weight.n_elements
    rows = tuple(
        (name, counts[name], format_count(elements[name]), format_bytes(n_bytes), f"{n_bytes / storage.total_bytes:.1%}")
        for name, n_bytes in storage.bytes_by_type.items()
    )  # fmt: skip
    return Table(
        title="Tensor types",
        headers=("type", "tensors", "parameters", "size", "share"),
        rows=rows,
        right=(1, 2, 3, 4),
    )


def _ranges(layers: tuple[int, ...]) -> str:
    """Layer numbers, shortened: "0–29" or "0, 2, 4 … 22"."""
    if len(layers) > 1 and layers == tuple(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}–{layers[-1]}"
    if len(layers) <= 4:
        return ", ".join(str(i) for i in layers)
    return f"{layers[0]}, {layers[1]}, {layers[2]} … {layers[-1]}"


def model_data(opened: OpenedModel, n_context_tokens: int, kv_bytes: int, state_bytes: int) -> dict[str, Any]:
    """The model, JSON-ready."""
    network = opened.network
    parameters = network.parameters
    one = LlamaCppFlags(n_context_tokens=1)
    data: dict[str, Any] = {
        "name": opened.name,
        "reference": opened.reference,
        "source": opened.source,
        "architecture": network.architecture,
        "licence": opened.licence,
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
        "layers": [
            {
                "kind": group.kind,
                "count": len(group.layers),
                "indices": list(group.layers),
                "mixer": group.mixer.kind if group.mixer else None,
                "block": group.block.kind if group.block else None,
                "window_tokens": group.mixer.window_tokens if group.mixer else None,
                "parameters": sum(w.parameters for w in group.weights(network.hidden_size)),
            }
            for group in network.groups
        ],
        "experts": _experts(opened),
        "n_context_tokens": n_context_tokens,
        "kv_bytes": kv_bytes,
        "state_bytes": state_bytes,
        "kv_bytes_per_token": sum(
            len(g.layers)
            * (llama_cpp.row_bytes(one.k_type, g.mixer.k_elements_per_token)
               + llama_cpp.row_bytes(one.v_type, g.mixer.v_elements_per_token))
            for g in network.groups if g.mixer is not None
        ),
        "notes": list(opened.notes),
    }  # fmt: skip
    storage = opened.storage
    if storage is not None:
        data["storage"] = {
            "quantization": storage.label,
            "tensor_bytes": storage.total_bytes,
            "file_bytes": storage.file_bytes,
            "header_bytes": opened.header_bytes,
            "n_files": opened.n_files,
            "bits_per_weight": storage.bits_per_weight,
            "bytes_by_type": dict(storage.bytes_by_type),
            "read_bytes_per_token": storage.read_bytes_per_token,
        }
    if opened.stored_elements is not None:
        data["stored_elements"] = opened.stored_elements
        data["stored_bytes"] = opened.stored_bytes
    return data


def _experts(opened: OpenedModel) -> dict[str, Any] | None:
    for group in opened.network.groups:
        n = getattr(group.block, "n_experts", None)
        if n is not None:
            return {"n_experts": n, "n_active": getattr(group.block, "n_active", None)}
    return None
