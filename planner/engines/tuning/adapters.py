"""LoRA's added parameters: which weights get an adapter, and how large it is, by peft's rules."""

from dataclasses import dataclass
from math import prod

from planner.errors import MissingFactError
from planner.model.network import LayerGroup, Network
from planner.model.weight import Use, Weight

_SHARED_GATE = "ffn_gate_inp_shexp"
# Names as users of peft write them (transformers' modules), and the roles that they stand for here.
MODULES = {
    "q_proj": ("attn_q",),
    "k_proj": ("attn_k",),
    "v_proj": ("attn_v",),
    "o_proj": ("attn_output",),
    "qkv_proj": ("attn_qkv",),
    "gate_proj": ("ffn_gate", "ffn_gate_shexp"),
    "up_proj": ("ffn_up", "ffn_up_shexp"),
    "down_proj": ("ffn_down", "ffn_down_shexp"),
    "gate_up_proj": ("ffn_up",),
    "q_a_proj": ("attn_q_a",),
    "q_b_proj": ("attn_q_b",),
    "kv_a_proj_with_mqa": ("attn_kv_a_mqa",),
    "kv_b_proj": ("attn_kv_b",),
    "in_proj_qkv": ("attn_qkv",),
    "in_proj_z": ("attn_gate",),
    "in_proj_b": ("ssm_beta",),
    "in_proj_a": ("ssm_alpha",),
    "in_proj": ("ssm_in", "shortconv.in_proj"),
    "out_proj": ("ssm_out", "shortconv.out_proj"),
    "gate": ("ffn_gate_inp",),
    "shared_expert_gate": (_SHARED_GATE,),
    "experts": ("ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"),
}
_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "attn_q_a", "attn_q_b",
              "attn_kv_a_mqa", "attn_kv_b", "attn_gate", "ssm_in", "ssm_out",
              "shortconv.in_proj", "shortconv.out_proj")  # fmt: skip
# Kinds of model whose experts and router peft 0.21 adapts under names such as "all-linear", because their classes
# changed in transformers 5 and it keeps old settings working (_MODEL_TO_CONVERSION_PATTERN); with other kinds
# only linear modules are adapted. Names without separators, so that those of GGUF files match as well.
_EXPERTS_BY_NAME = frozenset((
    "mixtral", "minimax", "minimaxm2", "afmoe", "deepseek2", "deepseekv2", "deepseekv3", "deepseekv32", "dots1",
    "ernie45moe", "glm4moe", "glm4moelite", "glmmoedsa", "glm4vmoe", "longcatflash", "solaropen", "mellum",
    "qwen3moe", "qwen3omnimoe", "qwen3omnimoetext", "qwen3next", "hunyuanv1moe", "hunyuanmoe", "flexolmo", "olmoe",
    "exaonemoe", "cohere2moe",
))  # fmt: skip
_EXPERTS = ("ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
_MLP = ("ffn_gate", "ffn_up", "ffn_down", "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp")
GROUPS = {"all-linear": None, "attention": _ATTENTION, "mlp": (*_MLP, *_EXPERTS), "qv": ("attn_q", "attn_v")}
_LATENT_PARTS = ("attn_k_b", "attn_v_b")  # one matrix, kv_b_proj, in transformers


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One adapted matrix of a layer: A of n_in × r and B of r × n_out, for every expert where it has some."""

    role: str
    n_in: int
    n_out: int
    rank: int
    n_experts: int = 1

    @property
    def parameters(self) -> int:
        """Rank times (n_in + n_out), once per expert."""
        return self.n_experts * self.rank * (self.n_in + self.n_out)

    @property
    def is_expert(self) -> bool:
        """Whether it belongs to routed experts."""
        return self.n_experts > 1


def is_product(weight: Weight) -> bool:
    """Whether a weight of a layer is multiplied with, and no convolution."""
    return weight.use is Use.MATMUL and "conv1d" not in weight.role and weight.role != "shortconv.conv"


def linear_modules(group: LayerGroup, hidden_size: int) -> tuple[Weight, ...]:
    """The matrices of a layer that are linear modules in transformers, routed experts as 3-D weights.

    MLA's k_b and v_b are one module there; gate and up of routed experts are one fused parameter.
    """
    found: list[Weight] = []
    weights = group.weights(hidden_size)
    latent = {weight.role: weight for weight in weights if weight.role in _LATENT_PARTS}
    gate = next((weight for weight in weights if weight.role == "ffn_gate_exps"), None)
    for weight in weights:
        if weight.role == _SHARED_GATE:  # a vector in files, a module of one output in transformers
            found.append(Weight(role=weight.role, shape=(weight.shape[0], 1)))
            continue
        if not is_product(weight):
            continue
        if weight.role == "attn_k_b" and "attn_v_b" in latent:
            n_nope, n_latent, n_heads = weight.shape
            n_value = latent["attn_v_b"].shape[1]
            found.append(Weight(role="attn_kv_b", shape=(n_latent, n_heads * (n_nope + n_value))))
        elif weight.role in _LATENT_PARTS or weight.role == "ffn_gate_exps":
            continue
        elif weight.role == "ffn_up_exps" and gate is not None:
            n_in, n_out, n_experts = weight.shape
            found.append(
                Weight(
                    role="ffn_gate_up_exps",
                    shape=(n_in, 2 * n_out, n_experts),
                    active_experts=weight.active_experts,
                )
            )
        else:
            found.append(weight)
    return tuple(found)


def experts_by_name(network: Network) -> bool:
    """Whether peft adapts this model's routed experts when its targets are given by name."""
    return plain_name(network.architecture) in _EXPERTS_BY_NAME


def adapters(
    network: Network, group: LayerGroup, *, rank: int, targets: tuple[str, ...], experts: bool | None
) -> tuple[Adapter, ...]:
    """The adapters of one layer; `experts` of None is peft's own rule for routed experts and their router.

    peft 0.21 with transformers 5: "all-linear" takes every linear module but the output head. Where it adapts
    experts by name (`experts_by_name`) it takes the router too, the fused gate and up of experts get twice the
    rank, and gate_proj, up_proj and down_proj mean the routed experts alone, so that shared experts and dense
    layers go without (peft/utils/transformers_weight_conversion.py). Older releases gave each expert's matrices
    adapters of their own, r·E·3·(H + I) in place of r·E·(3·H + 5·I).
    """
    chosen = _roles(targets)
    by_name = experts_by_name(network)
    wanted = by_name if experts is None else experts
    experts_alone = wanted and by_name and network.is_mixture_of_experts()
    found = []
    for weight in linear_modules(group, network.hidden_size):
        is_expert = weight.active_experts is not None
        if chosen is not None and weight.role not in chosen:
            continue
        if is_expert and not wanted:
            continue
        if weight.role == "ffn_gate_inp" and not by_name:
            continue  # a parameter in transformers 5, not a linear module
        if experts_alone and weight.role in _MLP:
            continue
        doubled = by_name and weight.role == "ffn_gate_up_exps"
        found.append(
            Adapter(
                role=weight.role,
                n_in=weight.shape[0],
                n_out=weight.shape[1],
                rank=2 * rank if doubled else rank,
                n_experts=prod(weight.shape[2:]),
            )
        )
    return tuple(found)


def plain_name(architecture: str) -> str:
    """A kind of model without separators: "qwen3_5_moe_text" and "qwen35moe" are one."""
    return architecture.replace("_", "").replace("-", "").replace(".", "").removesuffix("text")


def layer_adapters(
    network: Network, *, rank: int, targets: tuple[str, ...], experts: bool | None = None
) -> tuple[tuple[LayerGroup, tuple[Adapter, ...]], ...]:
    """Every group of layers with the adapters of one of its layers; refuses targets that match nothing."""
    found = tuple(
        (group, adapters(network, group, rank=rank, targets=targets, experts=experts))
        for group in network.groups
    )
    present = {adapter.role for _, of_layer in found for adapter in of_layer}
    for target in targets:
        roles = GROUPS[target] if target in GROUPS else MODULES[target]
        if roles is not None and not present.intersection(roles):
            raise MissingFactError(
                f"--targets {target}: {network.architecture} has no such linear module; there are "
                f"{', '.join(sorted(_there(network)))}"
            )
    return found


def _there(network: Network) -> set[str]:
    roles = {w.role for group in network.groups for w in linear_modules(group, network.hidden_size)}
    return {name for name, meant in MODULES.items() if roles.intersection(meant)}


def _roles(targets: tuple[str, ...]) -> frozenset[str] | None:
    """The roles that the targets name; None for all."""
    found: set[str] = set()
    for target in targets:
        roles = GROUPS[target] if target in GROUPS else MODULES[target]
        if roles is None:
            return None
        found.update(roles)
    return frozenset(found)
