"""Ling 2.5 and 3 (bailing_hybrid): Kimi delta attention in most layers, gated latent attention in the rest, experts."""

from planner.errors import MalformedError
from planner.model.feed_forward import FeedForward
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import LatentAttention
from planner.model.network import Network, embeddings
from planner.model.weight import matrix
from planner.readers.config.architectures.decoder import extra_prediction, norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("bailing_hybrid",)


def bailing_hybrid_network(fields: ConfigFields) -> Network:
    """The network of a Ling hybrid config; `layer_group_size` says how often attention comes."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("num_attention_heads")
    # Derived from others, and numbers that MLA does not have.
    fields.unused("num_key_value_heads", "qk_head_dim", "linear_num_heads", "linear_conv_kernel_dim")
    fields.unused("mtp_loss_scaling_factor", "mtp_layer_types", "mtp_mlp_layer_types")
    delta = KimiDeltaAttention(
        full_rank=True,
        n_heads=n_heads,
        # Files that transformers wrote keep the width of these heads apart; in the others it is head_dim.
        head_dim=fields.positive("linear_head_dim") or fields.count("head_dim", default=128),
        conv_kernel=fields.count("short_conv_kernel_size", default=4),
    )
    fields.unused("head_dim")
    latent = LatentAttention(
        n_heads=n_heads,
        q_lora_rank=fields.positive("q_lora_rank"),
        kv_lora_rank=fields.count("kv_lora_rank"),
        qk_nope_head_dim=fields.count("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim"),
        v_head_dim=fields.count("v_head_dim"),
    )
    experts = mixture(fields, MixtureRules(correction_bias=True))
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    gated = (*norms, matrix("attn_gate", hidden_size, n_heads))  # one gate a head
    layers = [
        PlannedLayer(
            latent if is_full else delta, experts if is_sparse else dense, gated if is_full else norms
        )
        for is_full, is_sparse in zip(_full(fields, n_layers), sparse, strict=True)
    ]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=extra_prediction(
            fields, "plain", PlannedLayer(latent, experts or dense, gated), hidden_size, vocab_size
        ),
        context_tokens=fields.positive("max_position_embeddings", "model_max_length"),
    )


def _full(fields: ConfigFields, n_layers: int) -> tuple[bool, ...]:
    group = fields.count("layer_group_size", default=6)
    named = fields.words("layer_types")
    if named is None:
        return tuple((i + 1) % group == 0 for i in range(n_layers))
    if len(named) < n_layers or not set(named) <= {"full_attention", "linear_attention"}:
        raise MalformedError("config.json: layer_types must say full or linear attention for every layer")
    return tuple(kind == "full_attention" for kind in named[:n_layers])
