"""MiniMax-Text-01 and MiniMax-M1: lightning attention in seven of eight layers, experts in all."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.lightning import LightningAttention
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("minimax_text_01", "minimax_m1", "minimax")
_KINDS = {"full_attention": 1, "linear_attention": 0}


def minimax_hybrid_network(fields: ConfigFields) -> Network:
    """The network of a MiniMax config with lightning attention."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("num_attention_heads")
    head_dim = fields.positive("head_dim") or hidden_size // n_heads
    listed = fields.counts("attn_type_list")
    named = fields.words("layer_types")
    if listed is None and named is None and fields.model_type == "minimax":
        listed = tuple((i + 1) % 2 for i in range(n_layers))  # the reference code's default
    if listed is None and named is not None:
        listed = tuple(_KINDS.get(name, 2) for name in named)
    if listed is None or len(listed) < n_layers or not set(listed) <= {0, 1}:
        raise MalformedError("config.json: attn_type_list must say 0 (lightning) or 1 (full) for every layer")
    fields.unused("mlp_alpha_factor", "mlp_beta_factor", "block_size")
    fields.unused("shared_moe_mode", "layernorm_mlp_alpha", "layernorm_mlp_beta", "postnorm")
    fields.unused("layernorm_full_attention_alpha", "layernorm_full_attention_beta")
    fields.unused("layernorm_linear_attention_alpha", "layernorm_linear_attention_beta")
    full = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
    )
    lightning = LightningAttention(n_heads=n_heads, head_dim=head_dim)
    experts = mixture(fields, MixtureRules())
    if experts is None:
        raise MalformedError(f"config.json of a {fields.model_type} model has no num_local_experts")
    norms = norm_vectors(hidden_size, 2)
    layers = [PlannedLayer(full if kind else lightning, experts, norms) for kind in listed[:n_layers]]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )
