"""Small weights that single families of plain decoders add to every layer.

Each takes the config, the attention and the hidden size, and uses what it needs.
"""

# ruff: noqa: ARG001

from planner.model.attention import Attention
from planner.model.weight import Weight, matrix, vector
from planner.readers.config.fields import ConfigFields


def xielu_scalars(fields: ConfigFields, attention: Attention, hidden_size: int) -> tuple[Weight, ...]:
    """Apertus: the two learned numbers of its xIELU activation; its two constants are in no published file."""
    return (vector("ffn_act", 2),)


def bitnet_norms(fields: ConfigFields, attention: Attention, hidden_size: int) -> tuple[Weight, ...]:
    """BitNet: norms in front of the output and of the down projection."""
    return (
        vector("attn_sub_norm", hidden_size),
        vector("ffn_sub_norm", fields.count("intermediate_size")),
    )


def differential_lambdas(fields: ConfigFields, attention: Attention, hidden_size: int) -> tuple[Weight, ...]:
    """DiffLlama: the four vectors that weigh the two attention maps against each other."""
    return tuple(vector(f"attn_lambda_{name}", attention.key_head_dim) for name in ("q1", "k1", "q2", "k2"))


def doge_masks(fields: ConfigFields, attention: Attention, hidden_size: int) -> tuple[Weight, ...]:
    """Doge: the dynamic mask of its attention and a gate on each residual stream."""
    n_kv_heads = attention.n_kv_heads
    bias = (vector("attn_mask_dt.bias", n_kv_heads),) if attention.qkv_bias else ()
    return (
        *bias,
        vector("attn_mask_a", n_kv_heads),
        matrix("attn_mask_dt", n_kv_heads * attention.key_head_dim, n_kv_heads),
        vector("attn_residual", hidden_size),
        vector("ffn_residual", hidden_size),
    )


def grove_experts(fields: ConfigFields, attention: Attention, hidden_size: int) -> tuple[Weight, ...]:
    """GroveMoE: small experts that pairs of experts share, used where either of the pair is (arXiv:2508.07785).

    A token that picks k of E experts at random leaves out a pair with (E − k)(E − k − 1) / (E(E − 1)).
    """
    n_experts = fields.count("num_experts")
    n_active = fields.count("num_experts_per_tok")
    size = fields.count("parallel_expert_intermediate_size", default=fields.count("head_dim", default=128))
    pairs = n_experts // 2
    unused = (n_experts - n_active) * (n_experts - n_active - 1) / (n_experts * (n_experts - 1))
    return tuple(
        Weight(role=role, shape=(n_in, n_out, pairs), active_experts=pairs * (1 - unused))
        for role, n_in, n_out in (
            ("ffn_gate_chexps", hidden_size, size),
            ("ffn_up_chexps", hidden_size, size),
            ("ffn_down_chexps", size, hidden_size),
        )
    )


def head_gate_bias(fields: ConfigFields, attention: Attention, hidden_size: int) -> tuple[Weight, ...]:
    """Beam: a bias of the output gate, one number a head."""
    return (vector("attn_gate.bias", attention.n_heads),)
