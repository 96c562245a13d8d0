"""Builds the network of a plain decoder: one attention and one feed-forward block in every layer.

Families differ in a dozen yes-or-no choices (biases, norms, ties); a `Dialect` records a family's choices
and everything else is read from the config. A new family of this kind is one row in `dialects.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Use, Weight, matrix, vector
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    attention_kinds,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.architectures.window_rules import WindowDefault
from planner.readers.config.fields import ConfigFields

# Weights of one layer beside its attention, block and norms, from the config, the attention and the hidden size.
Extras = Callable[[ConfigFields, Attention, int], tuple[Weight, ...]]

# Fixed by the reference code, or the name of the config's flag: "use_bias", or "use_bias=true" where the
# reference code takes an absent flag for true.
Choice = bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A family's choices. A text value names the config flag that decides."""

    tied: bool = False  # when the config does not say
    one_kv_head_if: Choice | None = None
    qkv_bias: Choice = "attention_bias"
    output_bias: Choice = False
    output_gate: Literal["none", "matrix", "head", "gating"] = (
        "none"  # "gating": as the field of that name says
    )
    qk_norm: Literal["none", "head", "full"] = "none"
    qk_norm_if: Choice = True  # whether that norm is on
    qk_norm_bias: bool = False
    norms_per_layer: int = 2  # vectors of hidden size
    four_norms_if: Choice = False
    norm_weights_if: Choice = True  # norms without weights are nothing to store
    one_norm_if: Choice = False  # config flag of a parallel layer, in which both halves share one norm
    norm_bias: Choice = False
    final_norm: Choice = True
    embedding_norm: bool = False  # BLOOM normalises the embeddings
    learned_positions: bool = False
    spare_positions: int = 0  # OPT's position table starts with two rows for padding
    gated: bool = True
    extras: Extras | None = None
    mlp_bias: Choice = False
    fused_qkv: bool = False
    fused_gate: bool = False
    sinks: bool = False
    head_bias: Choice = False
    windows: WindowDefault = "none"
    experts_if: Choice = True
    mixture: MixtureRules = field(default_factory=MixtureRules)
    dense_size_names: tuple[str, ...] = ("intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner", "dff")
    dense_first: int = 0  # dense layers in front of the experts, when the config does not say
    dense_divisor: int = 1  # Qwen 1 counts gate and up together
    dense_multiple: int | None = None  # intermediate size over hidden size, when the config does not say
    mtp: Literal["none", "copied_embeddings", "plain", "dense"] = "none"
    embedding_width: str | None = None  # field that gives embeddings a width of their own (OPT-350M)
    added_vocabulary: str | None = None  # field with rows of the embedding table that the head lacks
    refused_if: tuple[str, ...] = ()  # flags of variants that nothing here reads
    unused: tuple[str, ...] = ()  # fields that configs carry and the reference code computes nothing with


def chosen(fields: ConfigFields, choice: Choice) -> bool:
    """A choice fixed by the family or read from the config's flag of that name."""
    if isinstance(choice, bool):
        return choice
    name, _, default = choice.partition("=")
    return fields.flag(name, default=default == "true")


_TIES = ("tie_word_embeddings", "tie_embedding", "weight_tying")  # the last two of LFM2 and LLaDA


def tie(fields: ConfigFields, default: bool) -> bool:
    """Whether the output head reuses the embedding table; the parent's word counts where the child is silent."""
    for level in (fields, fields.parent):
        for name in _TIES:
            if level is not None and level.has(name):
                return level.flag(name)
    return fields.flag("tie_word_embeddings", default=default)


def decoder_network(fields: ConfigFields, dialect: Dialect) -> Network:
    """The network of a plain decoder; raises when a needed field is missing or not understood."""
    fields.unused(*dialect.unused)
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size", "n_embd", "n_embed", "d_model")
    for name in dialect.refused_if:
        if fields.flag(name):
            raise UnknownArchitectureError(f"{fields.model_type}: {name} is on, which is not understood yet")
    vocab_size = fields.count("vocab_size", "padded_vocab_size")
    attention = _attention(fields, dialect, hidden_size)
    kinds, window = attention_kinds(fields, n_layers, dialect.windows)
    if "linear" in kinds:
        raise UnknownArchitectureError(f"{fields.model_type}: linear-attention layers are not understood yet")
    experts = mixture(fields, dialect.mixture) if chosen(fields, dialect.experts_if) else None
    sparse = expert_layers(fields, n_layers, dialect.dense_first) if experts else (False,) * n_layers
    norm_bias = chosen(fields, dialect.norm_bias)
    n_norms = dialect.norms_per_layer
    if chosen(fields, dialect.one_norm_if):
        n_norms = 1
    if chosen(fields, dialect.four_norms_if):
        n_norms = 4
    if not chosen(fields, dialect.norm_weights_if):
        n_norms = 0
    norms = norm_vectors(hidden_size, n_norms, bias=norm_bias)
    if dialect.extras is not None:
        norms += dialect.extras(fields, attention, hidden_size)
    dense = None
    if experts is None or not all(sparse):
        multiple = dialect.dense_multiple
        dense = FeedForward(
            intermediate_size=fields.count(
                *dialect.dense_size_names, default=multiple * hidden_size if multiple else None
            )
            // dialect.dense_divisor,
            gated=dialect.gated,
            bias=chosen(fields, dialect.mlp_bias),
            fused_gate=dialect.fused_gate,
        )
    else:
        # Configs of models that have experts in every layer still give the size of a dense layer.
        fields.unused(*dialect.dense_size_names)
    heads = _heads_by_layer(fields, "num_attention_heads_per_layer", attention.n_heads, n_layers)
    kv_heads = _heads_by_layer(fields, "num_key_value_heads_per_layer", attention.n_kv_heads, n_layers)
    mixers = {
        (n_heads, n_kv_heads, kind): replace(
            attention,
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            window_tokens=None if kind == "full" else window,
            chunked=kind == "chunked",
        )
        for n_heads, n_kv_heads, kind in set(zip(heads, kv_heads, kinds, strict=True))
    }
    layers = [
        PlannedLayer(mixers[heads[i], kv_heads[i], kind], experts if sparse[i] else dense, norms)
        for i, kind in enumerate(kinds)
    ]
    tied = tie(fields, dialect.tied)
    context = fields.positive("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    outer = _outer(fields, dialect, hidden_size, vocab_size, tied=tied)
    if dialect.learned_positions:
        if context is None:
            context = fields.count("max_position_embeddings", "n_positions")
        rows = context + dialect.spare_positions
        outer += (Weight(role="position_embd", shape=(hidden_size, rows), use=Use.TABLE),)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=outer,
        mtp=extra_prediction(
            fields,
            dialect.mtp,
            replace(layers[-1], block=dense) if dialect.mtp == "dense" else layers[-1],
            hidden_size,
            vocab_size,
        ),
        context_tokens=context,
    )


def _outer(
    fields: ConfigFields, dialect: Dialect, hidden_size: int, vocab_size: int, *, tied: bool
) -> tuple[Weight, ...]:
    """Embeddings, head and last norm, and what a few families put around them."""
    width = hidden_size
    if dialect.embedding_width is not None:
        width = fields.positive(dialect.embedding_width) or hidden_size
    outer = embeddings(
        width, vocab_size, tied=tied, final_norm=False, head_bias=chosen(fields, dialect.head_bias)
    )
    if chosen(fields, dialect.final_norm) and chosen(fields, dialect.norm_weights_if):
        outer += (vector("output_norm", hidden_size),)
        if chosen(fields, dialect.norm_bias):
            outer += (vector("output_norm.bias", hidden_size),)
    if width != hidden_size:
        outer += (matrix("embd_in", width, hidden_size), matrix("embd_out", hidden_size, width))
    added = fields.positive(dialect.added_vocabulary) if dialect.added_vocabulary else None
    if added:
        outer += (Weight(role="token_embd_added", shape=(width, added), use=Use.TABLE),)
    if dialect.embedding_norm:
        outer += (vector("token_embd_norm", hidden_size), vector("token_embd_norm.bias", hidden_size))
    return outer


def norm_vectors(hidden_size: int, n: int, *, bias: bool = False) -> tuple[Weight, ...]:
    """A layer's norms under llama.cpp's names; LayerNorm carries a bias, RMSNorm does not."""
    roles = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")[:n]
    found = [vector(role, hidden_size) for role in roles]
    if bias:
        found += [vector(f"{role}.bias", hidden_size) for role in roles]
    return tuple(found)


def extra_prediction(
    fields: ConfigFields,
    kind: Literal["none", "copied_embeddings", "plain", "dense"],
    last: PlannedLayer,
    hidden_size: int,
    vocab_size: int,
) -> tuple[Weight, ...]:
    """Multi-token-prediction layers: one decoder layer, a 2H → H projection and three norms each.

    "dense" ones have a dense block in a model of experts, which the caller passes in `last`;
    "copied_embeddings" repositories also store the embedding table and the head once more per layer.
    """
    n = fields.few("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "_num_mtp_layers")
    if not n or kind == "none":
        return ()
    one: list[Weight] = []
    for part in (last.mixer, last.block):
        if part is not None:
            one += part.weights(hidden_size)
    one += last.norms
    one.append(matrix("nextn.eh_proj", 2 * hidden_size, hidden_size))
    one += [vector(role, hidden_size) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")]
    if kind == "copied_embeddings":
        one.append(matrix("nextn.embed_tokens", hidden_size, vocab_size))
        one.append(matrix("nextn.shared_head_head", hidden_size, vocab_size))
    return tuple(one) * n


def _attention(fields: ConfigFields, dialect: Dialect, hidden_size: int) -> Attention:
    n_heads = fields.count("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads")
    n_kv_heads = fields.count(
        "num_key_value_heads", "num_kv_heads", "n_kv_heads", "multi_query_group_num", "num_attention_groups",
        default=n_heads,
    )  # fmt: skip
    if dialect.one_kv_head_if is not None and chosen(fields, dialect.one_kv_head_if):
        n_kv_heads = 1
    head_dim = fields.positive("head_dim", "attention_head_dim", "kv_channels")
    if head_dim is None:
        if hidden_size % n_heads:
            raise UnknownArchitectureError(
                f"{fields.model_type}: hidden size {hidden_size} does not divide over {n_heads} heads and the "
                "config gives no head_dim"
            )
        head_dim = hidden_size // n_heads
    norm_on = chosen(fields, dialect.qk_norm_if)
    gate = dialect.output_gate
    if gate == "gating":
        gate = "head" if fields.raw("gating") in (None, True, "per-head") else "matrix"
    return Attention(
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_head_dim=head_dim,
        value_head_dim=fields.positive("v_head_dim") or head_dim,
        qkv_bias=chosen(fields, dialect.qkv_bias),
        output_bias=chosen(fields, dialect.output_bias),
        qk_norm=dialect.qk_norm if norm_on else "none",
        qk_norm_bias=dialect.qk_norm_bias and norm_on,
        output_gate=gate,
        sinks=dialect.sinks,
        fused_qkv=dialect.fused_qkv,
    )


def _heads_by_layer(fields: ConfigFields, name: str, usual: int, n_layers: int) -> tuple[int, ...]:
    listed = fields.counts(name)
    if listed is None:
        return (usual,) * n_layers
    if len(listed) < n_layers or not all(listed[:n_layers]):
        raise MalformedError(f"config.json: {name} must give the heads of all {n_layers} layers")
    return listed[:n_layers]
