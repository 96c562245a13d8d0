"""Nemotron-H and Nemotron 3: one mixer a layer, Mamba-2, attention, a plain MLP or experts."""

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.mamba2 import Mamba2
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, matrix, vector
from planner.quoting import quoted
from planner.readers.config.architectures.decoder import tie
from planner.readers.config.architectures.layer_plan import MAX_LAYERS, PlannedLayer, group_layers
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("nemotron_h",)
_SYMBOLS = {
    "mamba": "M", "linear_attention": "M", "attention": "*", "full_attention": "*", "mlp": "-", "moe": "E",
}  # fmt: skip


def nemotron_h_network(fields: ConfigFields) -> Network:
    """The network of a Nemotron-H config; one norm a layer."""
    pattern = _pattern(fields, "hybrid_override_pattern", "layers_block_type", "layer_types")
    if pattern is None:
        raise MalformedError("config.json of a nemotron_h model has no hybrid_override_pattern")
    if fields.positive("num_hidden_layers") not in (None, len(pattern)):
        raise MalformedError(
            f"config.json of a nemotron_h model says {fields.positive('num_hidden_layers')} layers, "
            f"but its pattern has {len(pattern)}"
        )
    # The size of a plain MLP, and an expansion of the Mamba layers that their heads already give.
    # Attention has no biases whatever its flag says.
    fields.unused("attention_bias", "mamba_proj_bias", "num_logits_to_keep", "time_step_rank")
    fields.unused("intermediate_size", "expand", "mamba_expand")
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    parts = _parts(fields, hidden_size, set(pattern) | set(_pattern(fields, "mtp_hybrid_override_pattern",
                                                                    "mtp_layers_block_type") or ""))  # fmt: skip
    norm = (vector("attn_norm", hidden_size),)
    layers = [PlannedLayer(*parts[symbol], norm) for symbol in pattern]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=_extra(fields, parts, hidden_size),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _pattern(fields: ConfigFields, text_name: str, *list_names: str) -> str | None:
    text = fields.text(text_name)
    listed = fields.words(*list_names)
    if text is None and listed is not None:
        text = "".join(_SYMBOLS.get(kind, "?") for kind in listed)
    if text is None:
        return None
    unknown = set(text) - set("M*-E")
    if unknown or not 1 <= len(text) <= MAX_LAYERS:
        shown = quoted("".join(sorted(unknown)))
        raise UnknownArchitectureError(f"nemotron_h: layer symbols {shown} are not understood")
    return text


def _parts(
    fields: ConfigFields, hidden_size: int, used: set[str]
) -> dict[str, tuple[Mamba2 | Attention | None, FeedForward | Experts | None]]:
    head_dim = fields.positive("head_dim", "attention_head_dim")
    n_heads = fields.count("num_attention_heads")
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim or hidden_size // n_heads,
        value_head_dim=head_dim or hidden_size // n_heads,
    )
    parts: dict[str, tuple[Mamba2 | Attention | None, FeedForward | Experts | None]] = {
        "*": (attention, None)
    }
    if "M" in used:
        mamba = Mamba2(
            n_heads=fields.count("mamba_num_heads"),
            head_dim=fields.count("mamba_head_dim"),
            state_size=fields.count("ssm_state_size"),
            n_groups=fields.count("n_groups"),
            conv_kernel=fields.count("conv_kernel"),
            conv_bias=fields.flag("use_conv_bias", default=True),
            projection_bias=fields.flag("use_bias"),
        )
        parts["M"] = (mamba, None)
    if "-" in used:
        mlp = FeedForward(
            intermediate_size=fields.count("intermediate_size"), gated=False, bias=fields.flag("mlp_bias")
        )
        parts["-"] = (None, mlp)
    if "E" in used:
        if fields.flag("mlp_bias"):
            raise UnknownArchitectureError("nemotron_h: experts with biases are not understood yet")
        experts = mixture(fields, MixtureRules(gated=False))
        if experts is None:
            raise MalformedError("config.json of a nemotron_h model has E layers but no n_routed_experts")
        parts["E"] = (None, experts)
    return parts


def _extra(
    fields: ConfigFields,
    parts: dict[str, tuple[Mamba2 | Attention | None, FeedForward | Experts | None]],
    hidden_size: int,
) -> tuple[Weight, ...]:
    pattern = _pattern(fields, "mtp_hybrid_override_pattern", "mtp_layers_block_type")
    n = fields.few("num_nextn_predict_layers")
    if pattern is None or not n:
        return ()
    one: list[Weight] = []
    for symbol in pattern:
        for part in parts[symbol]:
            if part is not None:
                one += part.weights(hidden_size)
        one.append(vector("attn_norm", hidden_size))
    one.append(matrix("nextn.eh_proj", 2 * hidden_size, hidden_size))
    one += [vector(role, hidden_size) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")]
    return tuple(one) * n
