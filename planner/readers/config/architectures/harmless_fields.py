"""Config fields that sound structural but change neither size, nor state, nor work.

Each is a field of the hub's configuration classes: activation functions, dropout, routing scores, numerical
constants, precision, kernels, generation, or rotary embedding. A field that matters for some family does
not belong here: a family that carries it without using it marks it as read itself.
"""

from typing import Final

HARMLESS_FIELDS: Final = frozenset(
    {
        # activation functions
        "hidden_act",
        "hidden_mamba_act",
        "hidden_activation",
        "mamba_hidden_act",
        "mlp_hidden_act",
        "projector_hidden_act",
        # dropout, in training only
        "embed_pdrop",
        "hidden_dropout",
        "hidden_dropout_prob",
        # how a router scores and balances experts
        "enable_moe_fp32_combine",
        "expert_selection_fn",
        "moe_aux_loss_coef",
        "moe_eval_capacity_factor",
        "moe_min_capacity",
        "moe_norm_min",
        "moe_renormalize",
        "moe_router_activation_func",
        "moe_router_dtype",
        "moe_routed_scaling_factor",
        "moe_router_scaling_factor",
        "moe_shared_expert_overlap",
        "moe_token_dropping",
        "moe_train_capacity_factor",
        "norm_topk_prob",
        "num_expert_group",
        "shared_expert_combination_strategy",
        # numerical constants of norms and gates
        "gate_lower_bound",
        "kda_safe_gate",
        "layer_norm_eps",
        "layer_norm_epsilon",
        "norm_eps",
        "norm_epsilon",
        "post_norm_eps",
        "rms_norm_eps",
        # multipliers of activations
        "lm_head_multiplier",
        "mlp_multipliers",
        "ssm_in_multiplier",
        "ssm_multipliers",
        "ssm_out_multiplier",
        # rotary embedding and position
        "alibi_bias_max",
        "compress_rope_theta",
        "index_rope_interleave",
        "layer_rope_theta",
        "max_window_size",
        "rope_ratio",
        # numerical precision
        "apply_query_key_layer_scaling",
        "mamba_ssm_cache_dtype",
        "mamba_ssm_dtype",
        "ssm_dtype",
        # kernels and execution
        "bias_dropout_fusion",
        "mamba_chunk_size",
        "skip_bias_add",
        "use_mamba_kernels",
        # loss, generation, outputs, and where in the text an image goes
        "boi_token_index",
        "eoa_token_index",
        "eoi_token_index",
        "ignore_index",
        "image_token_index",
        "output_hidden_states",
        "vision_feature_layer",
    }
)
