"""A network made of the columns of a recorded load, where the catalogue has no entry that agrees with them."""

from hardware.units import GIGA
from planner.estimate.llama_cpp_rows.model import RowModel
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, vector
from planner.readers.config.architectures.layer_plan import MAX_LAYERS, PlannedLayer, group_layers
from planner.readers.gguf.architectures.registry import ARCHITECTURES, NOT_TEXT_MODELS
from planner.readers.gguf.architectures.windows import NO_WINDOWS

_MATRICES = 7  # of a layer: query, key, value, output, gate, up, down
_DEEPSTACK = 4
_ROUND = 32  # widths of feed-forward blocks are multiples of it


def network_of_columns(row: LoadRow) -> RowModel | str:
    """The network of a row by its own metadata, or why they do not tell it.

    They say everything of plain attention and nothing of the feed-forward block, whose width follows from the
    number of parameters. Recurrent, latent and shared caches have parts that no column tells.
    """
    architecture = row.architecture or ""
    if architecture in NOT_TEXT_MODELS:
        return f"{architecture} is {NOT_TEXT_MODELS[architecture]}"
    known = ARCHITECTURES.get(architecture)
    if known is None:
        return (
            f"the architecture {architecture[:40]!r} is not understood, and the catalogue has no such network"
        )
    latent, inner = row.whole("kv_lora_rank"), row.whole("ssm_d_inner")
    if latent or inner or known.windows.every is None or known.first_shared_kv_layer is not None:
        return (
            f"the catalogue has no {architecture} network with these figures, and the columns do not say its "
            "caches in full"
        )
    try:
        return _plain(row, architecture)
    except ValueError as error:
        return f"the row's metadata contradict each other: {error}"


def _plain(row: LoadRow, architecture: str) -> RowModel | str:
    n_layers, hidden, vocab = (row.whole(column) for column in ("n_layer", "n_embd", "n_vocab"))
    heads, kv_heads, width = row.per_layer("n_head"), row.per_layer("n_head_kv"), row.whole("n_embd_head_k")
    parameters = row.number("params_B")
    needed = {
        "n_layer": n_layers, "n_embd": hidden, "n_vocab": vocab, "n_head": heads, "n_head_kv": kv_heads,
        "n_embd_head_k": width, "params_B": parameters,
    }  # fmt: skip
    missing = [column for column, value in needed.items() if not value]
    if missing:
        return f"the catalogue has no such network, and the row does not say {missing[0]}"
    if architecture.startswith("qwen3vl") and hidden is not None:
        hidden //= _DEEPSTACK  # printed with the features of three vision layers beside the embedding
    assert n_layers and hidden and vocab and heads and kv_heads and width and parameters
    if n_layers > MAX_LAYERS:
        return f"{n_layers:,} layers are more than any model has"
    mixers = [
        _attention(row, architecture, _at(heads, i), _at(kv_heads, i), width, i) for i in range(n_layers)
    ]
    attention = sum(w.parameters for mixer in mixers if mixer for w in mixer.weights(hidden))
    block, tied = _block(row, hidden, vocab, n_layers, parameters * GIGA - attention)
    norms: tuple[Weight, ...] = (vector("attn_norm", hidden), vector("ffn_norm", hidden))
    network = Network(
        architecture=architecture,
        hidden_size=hidden,
        vocab_size=vocab,
        tied_embeddings=tied,
        groups=group_layers([PlannedLayer(mixer, block, norms) for mixer in mixers]),
        outer=embeddings(hidden, vocab, tied=tied),
        context_tokens=row.whole("n_ctx_train"),
    )
    uneven = None
    if isinstance(heads, tuple) and 0 in heads:
        uneven = "layers differ in width, and no column says by how much"
    return RowModel(name=architecture, network=network, told_by="columns", uneven=uneven)


def _at(values: int | tuple[int, ...], layer: int) -> int:
    if isinstance(values, int):
        return values
    if layer >= len(values):
        raise ValueError(f"a list has {len(values)} entries, and there is a layer {layer}")
    return values[layer]


def _attention(
    row: LoadRow, architecture: str, heads: int, kv_heads: int, width: int, layer: int
) -> Attention | None:
    if not heads or not kv_heads:
        return None
    keys, values = row.per_layer("n_embd_k_gqa"), row.per_layer("n_embd_v_gqa")
    key_width = width if keys is None else _at(keys, layer) // kv_heads
    value_width = key_width if values is None else _at(values, layer) // kv_heads
    window = row.whole("n_swa") or None
    rule = ARCHITECTURES[architecture].windows
    if rule is NO_WINDOWS or not rule.every:
        window = window if rule.every == 0 else None
    elif layer % rule.every == (0 if rule.full_first else rule.every - 1):
        window = None
    return Attention(
        n_heads=heads,
        n_kv_heads=kv_heads,
        key_head_dim=key_width,
        value_head_dim=value_width,
        window_tokens=window,
    )


def _tied(row: LoadRow, n_layers: int) -> tuple[bool, ...]:
    """Whether the head may be the embedding table: told by the number of matrices, four and three in every layer."""
    n_matrices = sum(n for name, n in row.tensor_types.items() if name != "F32")
    outside = n_matrices - _MATRICES * n_layers
    return {1: (True,), 2: (False,)}.get(outside, (False, True))


def _block(
    row: LoadRow, hidden: int, vocab: int, n_layers: int, rest: float
) -> tuple[FeedForward | Experts, bool]:
    """The feed-forward block that the remaining parameters make, and whether the head is the embedding table.

    Of the two the one whose width comes out as a multiple of 32 more nearly.
    """
    n_experts, n_active = row.whole("n_expert") or 0, row.whole("n_expert_used") or 0
    found: list[tuple[float, int, bool]] = []
    for tied in _tied(row, n_layers):
        left = rest - (1 if tied else 2) * vocab * hidden - n_layers * n_experts * hidden
        size = left / (3 * hidden * n_layers * max(n_experts, 1))
        if size >= 1:
            nearest = max(_ROUND, round(size / _ROUND) * _ROUND)
            found.append((abs(size / nearest - 1), nearest, tied))
    if not found:
        raise ValueError("fewer parameters than embeddings and attention take")
    _, size, tied = min(found)
    if n_experts:
        return Experts(n_experts=n_experts, n_active=n_active or n_experts, intermediate_size=size), tied
    return FeedForward(intermediate_size=size), tied
