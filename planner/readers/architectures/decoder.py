"""Builds the network of a plain decoder: one attention and one feed-forward block in every layer.

Families differ in a dozen yes-or-no choices (biases, norms, ties); a `Dialect` records a family's choices
and everything else is read from the config. A new family of this kind is one row in `dialects.py`.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from planner.errors import UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Use, Weight, matrix, vector
from planner.readers.architectures.layer_plan import (
    PlannedLayer,
    WindowDefault,
    attention_kinds,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.architectures.mixture import MixtureRules, mixture
from planner.readers.config_fields import ConfigFields

# Fixed by the reference code, or the name of the config's flag: "use_bias", or "use_bias=true" where the
# reference code takes an absent flag for true.
Choice = bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A family's choices. A text value names the config flag that decides."""

    tied: bool = False  # when the config does not say
    qkv_bias: Choice = "attention_bias"
    output_bias: Choice = False
    output_gate: Literal["none", "matrix", "head"] = "none"
    qk_norm: Literal["none", "head", "full"] = "none"
    qk_norm_if: Choice = True  # whether that norm is on
    norms_per_layer: int = 2  # vectors of hidden size
    one_norm_if: Choice = False  # config flag of a parallel layer, in which both halves share one norm
    norm_bias: Choice = False
    final_norm: bool = True
    embedding_norm: bool = False  # BLOOM normalises the embeddings
    learned_positions: bool = False
    spare_positions: int = 0  # OPT's position table starts with two rows for padding
    gated: bool = True
    scalars_per_layer: int = 0  # learned numbers of an activation function
    mlp_bias: Choice = False
    fused_qkv: bool = False
    fused_gate: bool = False
    sinks: bool = False
    head_bias: Choice = False
    windows: WindowDefault = "none"
    mixture: MixtureRules = field(default_factory=MixtureRules)
    dense_size_names: tuple[str, ...] = ("intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner")
    dense_multiple: int | None = None  # intermediate size over hidden size, when the config does not say
    default_head_dim: int | None = None  # the reference configuration's default, where it is not H/h
    defaults: tuple[tuple[str, int], ...] = ()  # reference defaults of fields that configs leave out
    mtp: Literal["none", "copied_embeddings", "plain", "dense"] = "none"
    repeats_hidden_size: tuple[str, ...] = ()  # fields that must say the hidden size again
    unused: tuple[str, ...] = ()  # fields that configs carry and the reference code computes nothing with


def chosen(fields: ConfigFields, choice: Choice) -> bool:
    """A choice fixed by the family or read from the config's flag of that name."""
    if isinstance(choice, bool):
        return choice
    name, _, default = choice.partition("=")
    return fields.flag(name, default=default == "true")


def tie(fields: ConfigFields, default: bool) -> bool:
    """Whether the output head reuses the embedding table; the parent's word counts where the child is silent."""
    for level in (fields, fields.parent):
        if level is not None and level.has("tie_word_embeddings"):
            return level.flag("tie_word_embeddings")
    return default


def decoder_network(fields: ConfigFields, dialect: Dialect) -> Network:
    """The network of a plain decoder; raises when a needed field is missing or not understood."""
    defaults = dict(dialect.defaults)
    fields.unused(*dialect.unused)
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size", "n_embd", "n_embed", "d_model")
    for name in dialect.repeats_hidden_size:
        if fields.positive(name) not in (None, hidden_size):
            raise UnknownArchitectureError(
                f"{fields.model_type}: {name} is {fields.positive(name)}, not the hidden size {hidden_size}; "
                "what projects between them is not understood yet"
            )
    vocab_size = fields.count("vocab_size", "padded_vocab_size", default=defaults.get("vocab_size"))
    attention = _attention(fields, dialect, hidden_size, defaults)
    kinds, window = attention_kinds(fields, n_layers, dialect.windows)
    if "linear" in kinds:
        raise UnknownArchitectureError(f"{fields.model_type}: linear-attention layers are not understood yet")
    experts = mixture(fields, dialect.mixture)
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    norm_bias = chosen(fields, dialect.norm_bias)
    n_norms = dialect.norms_per_layer
    if chosen(fields, dialect.one_norm_if):
        n_norms = 1
    norms = norm_vectors(hidden_size, n_norms, bias=norm_bias)
    if dialect.scalars_per_layer:
        norms += (vector("ffn_act", dialect.scalars_per_layer),)
    dense = None
    if experts is None or not all(sparse):
        multiple = dialect.dense_multiple
        dense = FeedForward(
            intermediate_size=fields.count(
                *dialect.dense_size_names, default=multiple * hidden_size if multiple else None
            ),
            gated=dialect.gated,
            bias=chosen(fields, dialect.mlp_bias),
            fused_gate=dialect.fused_gate,
        )
    else:
        # Configs of models that have experts in every layer still give the size of a dense layer.
        fields.unused(*dialect.dense_size_names)
    layers = [
        PlannedLayer(
            replace(attention, window_tokens=None if kind == "full" else window, chunked=kind == "chunked"),
            experts if is_sparse else dense,
            norms,
        )
        for kind, is_sparse in zip(kinds, sparse, strict=True)
    ]
    tied = tie(fields, dialect.tied)
    context = fields.positive("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    outer = embeddings(
        hidden_size,
        vocab_size,
        tied=tied,
        norm_bias=norm_bias,
        final_norm=dialect.final_norm,
        head_bias=chosen(fields, dialect.head_bias),
    )
    if dialect.learned_positions:
        if context is None:
            context = fields.count("max_position_embeddings", "n_positions")
        rows = context + dialect.spare_positions
        outer += (Weight(role="position_embd", shape=(hidden_size, rows), use=Use.TABLE),)
    if dialect.embedding_norm:
        outer += (vector("token_embd_norm", hidden_size), vector("token_embd_norm.bias", hidden_size))
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
    n = fields.few("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
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


def _attention(
    fields: ConfigFields, dialect: Dialect, hidden_size: int, defaults: dict[str, int]
) -> Attention:
    n_heads = fields.count("num_attention_heads", "n_head", "n_heads", default=defaults.get("n_heads"))
    n_kv_heads = fields.count(
        "num_key_value_heads", "num_kv_heads", "multi_query_group_num", "num_attention_groups",
        default=defaults.get("n_kv_heads", n_heads),
    )  # fmt: skip
    head_dim = fields.positive("head_dim", "attention_head_dim", "kv_channels") or dialect.default_head_dim
    if head_dim is None:
        if hidden_size % n_heads:
            raise UnknownArchitectureError(
                f"{fields.model_type}: hidden size {hidden_size} does not divide over {n_heads} heads and the "
                "config gives no head_dim"
            )
        head_dim = hidden_size // n_heads
    norm_on = chosen(fields, dialect.qk_norm_if)
    return Attention(
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_head_dim=head_dim,
        value_head_dim=fields.positive("v_head_dim") or head_dim,
        qkv_bias=chosen(fields, dialect.qkv_bias),
        output_bias=chosen(fields, dialect.output_bias),
        qk_norm=dialect.qk_norm if norm_on else "none",
        output_gate=dialect.output_gate,
        sinks=dialect.sinks,
        fused_qkv=dialect.fused_qkv,
    )
