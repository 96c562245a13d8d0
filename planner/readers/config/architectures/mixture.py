"""Reads the mixture-of-experts block of a config, under the several names its fields go by."""

from dataclasses import dataclass

from planner.errors import UnknownArchitectureError
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.readers.config.fields import ConfigFields


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRules:
    """What a family's reference code does beyond what its config says."""

    gated: bool = True
    expert_bias: bool = False
    router_bias: bool = False
    correction_bias: bool | str = False  # or a flag: "name", or "name=true" when absent is true
    shared_gate: bool = False
    shared_bias: str | None = None  # flag of biases in shared experts
    default_active: int | None = None  # used only where the reference configuration has this default
    shared_like_expert: bool = False  # one shared expert of the experts' size that no field mentions


def mixture(fields: ConfigFields, rules: MixtureRules) -> Experts | None:
    """The expert block, or None for a model without experts."""
    n_experts = fields.uniform(
        "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "moe_num_primary_experts"
    )
    active_names = (
        "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts",
        "experts_per_token", "moe_num_active_primary_experts",
    )  # fmt: skip
    if n_experts is None:
        fields.unused(*active_names)
        return None
    n_active = fields.uniform(*active_names) or fields.count(*active_names, default=rules.default_active)
    size = fields.uniform(
        "moe_intermediate_size",
        "expert_ffn_hidden_size",
        "expert_intermediate_size",
        "expert_hidden_dim",
        "moe_ffn_hidden_size",
    )
    if size is None:
        size = fields.count("intermediate_size")
    if fields.positive("zero_expert_num"):
        raise UnknownArchitectureError(
            f"{fields.model_type}: zero-computation experts are not understood yet"
        )
    correction = rules.correction_bias
    if isinstance(correction, str):
        name, _, default = correction.partition("=")
        correction = fields.flag(name, default=default == "true")
    return Experts(
        n_experts=n_experts,
        n_active=n_active,
        intermediate_size=size,
        gated=rules.gated,
        expert_bias=rules.expert_bias,
        router_bias=rules.router_bias,
        correction_bias=correction,
        shared=_shared(fields, size, rules),
        shared_gate=rules.shared_gate,
        expert_hidden_size=fields.positive("moe_latent_size", "routed_expert_hidden_size", "moe_hidden_size"),
    )


def _shared(fields: ConfigFields, expert_size: int, rules: MixtureRules) -> FeedForward | None:
    absolute = fields.positive(
        "shared_expert_intermediate_size", "share_expert_dim", "shared_intermediate_size",
        "moe_shared_expert_intermediate_size",
    )  # fmt: skip
    count = fields.uniform(
        "n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"
    )
    each = fields.positive("shared_experts_intermediate_size")
    bias = rules.shared_bias is not None and fields.flag(rules.shared_bias)
    if absolute is not None:
        return FeedForward(intermediate_size=absolute, gated=rules.gated, bias=bias)
    if count is None and rules.shared_like_expert:
        count = 1
    return (
        FeedForward(intermediate_size=count * (each or expert_size), gated=rules.gated, bias=bias)
        if count
        else None
    )
