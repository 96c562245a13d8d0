"""How tensor, expert and pipeline parallelism share a network's weights and caches out over ranks.

vLLM and SGLang build their layers from the same parts (SGLang's came from vLLM), so one set of rules serves
both: vllm/model_executor/layers/linear.py, vocab_parallel_embedding.py, fused_moe/layer.py (0.25.1) and
sglang/srt/layers/linear.py, vocab_parallel_embedding.py (0.5.9).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from planner.model.around_attention import AroundAttention
from planner.model.attention import Attention
from planner.model.network import Mixer, Network
from planner.model.parallel import ParallelMixers
from planner.model.repeated_layer import RepeatedMixer
from planner.model.shortcut import TwinMixers

VOCAB_PADDING = 64  # DEFAULT_VOCAB_PADDING_SIZE in both engines


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """Over how many devices one copy of a model is spread, and along which of its dimensions.

    `attention` of those `tensor` ranks share one attention; the rest are replicas of it (SGLang's DP attention,
    vLLM's data parallel ranks within an expert-parallel group). `expert` ranks share the experts out whole.
    """

    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    attention_replicas: int = 1

    def __post_init__(self) -> None:
        if min(self.tensor, self.pipeline, self.expert, self.attention_replicas) < 1:
            raise ValueError("parallel sizes must be at least 1")
        if self.tensor % self.attention_replicas:
            raise ValueError(
                f"{self.attention_replicas} attention replicas do not divide {self.tensor} tensor-parallel ranks"
            )
        if self.tensor % self.expert:
            raise ValueError(f"{self.expert} expert ranks do not divide {self.tensor} tensor-parallel ranks")

    @property
    def attention(self) -> int:
        """Ranks that share one attention's heads: TP / replicas."""
        return self.tensor // self.attention_replicas

    @property
    def one_replica(self) -> "Parallel":
        """One attention replica by itself, without the experts that it shares with others."""
        return Parallel(tensor=self.attention, pipeline=self.pipeline)

    @property
    def expert_tensor(self) -> int:
        """Ranks that share one expert's matrices: TP / EP."""
        return self.tensor // self.expert

    @property
    def n_devices(self) -> int:
        """Devices of one copy of the model."""
        return self.tensor * self.pipeline


def kv_heads_per_rank(n_kv_heads: int, n_ranks: int) -> int:
    """KV heads that each rank keeps: max(1, n_kv / ranks); with more ranks than heads they are replicated.

    `ModelConfig.get_num_kv_heads` in vllm/config/model.py (0.25.1) and sglang/srt/configs/model_config.py (0.5.9).
    """
    return max(1, n_kv_heads // n_ranks)


def padded_vocab(vocab_size: int) -> int:
    """Rows of an embedding table or head as it is allocated: rounded up to 64.

    `pad_vocab_size` in vllm/model_executor/layers/vocab_parallel_embedding.py (0.25.1).
    """
    return -(-vocab_size // VOCAB_PADDING) * VOCAB_PADDING


def stage_problem(n_layers: int, n_stages: int) -> str | None:
    """Why so many stages cannot be filled; None when they can."""
    return f"{n_layers} layers cannot fill {n_stages} pipeline stages" if n_stages > n_layers else None


def stage_layers(n_layers: int, n_stages: int) -> tuple[range, ...]:
    """The layers of each pipeline stage; spare layers go to the stages before the last, last first.

    `get_pp_indices` in vllm/distributed/utils.py (0.25.1): the first and the last stage also hold embedding and head.
    """
    problem = stage_problem(n_layers, n_stages)
    if problem is not None:
        raise ValueError(problem)
    sizes = [n_layers // n_stages] * n_stages
    for i in range(2, n_layers % n_stages + 2):
        sizes[-i] += 1
    bounds = [0]
    for size in sizes:
        bounds.append(bounds[-1] + size)
    return tuple(range(first, last) for first, last in pairwise(bounds))


def split_problem(network: Network, ranks: Parallel) -> str | None:
    """Why a network cannot be split so, None when it can: heads and vocabulary must divide.

    `ModelConfig.verify_with_parallel_config` in vllm/config/model.py and `divide` in distributed/utils.py (0.25.1).
    """
    n = ranks.attention
    for group in network.groups:
        for part in mixers_of(group.mixer):
            n_heads = getattr(part, "n_heads", None) or getattr(part, "n_value_heads", None)
            if n_heads is not None and n_heads % n:
                return f"{n_heads} heads do not divide over {n} ranks"
    if padded_vocab(network.vocab_size) % ranks.tensor:
        return (
            f"a vocabulary of {padded_vocab(network.vocab_size):,} does not divide over {ranks.tensor} ranks"
        )
    return stage_problem(network.n_layers, ranks.pipeline)


# What every rank holds whole. Names as in planner.model; the linear layers are ReplicatedLinear in vLLM.
_REPLICATED: Final = frozenset(
    ("attn_q_a", "attn_kv_a_mqa", "attn_kv", "ffn_gate_inp", "ffn_gate_inp_shexp", "exp_probs_b",
     "ffn_gate_tid2eid", "ffn_latent_down", "ffn_latent_up", "ffn_routed_down", "ffn_routed_up", "nextn.eh_proj",
     "position_embd", "inp_gate", "proj", "laurel_l", "laurel_r", "altup_router", "altup_proj",
     "altup_unembd_proj", "ssm_f_a", "ssm_g_a", "ssm_x", "ssm_norm", "attn_output.bias", "ffn_down.bias",
     "ssm_out.bias")
)  # fmt: skip
_REPLICATED_BEGINNINGS: Final = (
    "indexer", "attn_compressor", "hc_", "output_hc_", "altup_", "time_mix_lerp", "time_mix_w",
)  # fmt: skip
# One-dimensional weights that are split with the matrix that they belong to.
_SHARDED_VECTORS: Final = frozenset(
    ("attn_q.bias", "attn_qkv.bias", "attn_sinks", "ffn_up.bias", "ffn_gate.bias", "ssm_a", "ssm_d",
     "ssm_dt.bias", "ssm_conv1d.bias", "ssm_in.bias", "output.bias")
)  # fmt: skip
_VOCAB_ROLES: Final = frozenset(
    ("token_embd", "output", "output.bias", "per_layer_token_embd", "nextn.embed_tokens",
     "nextn.shared_head_head")
)  # fmt: skip


def is_vocabulary(role: str) -> bool:
    """Whether a weight has a row for every token of the vocabulary."""
    return role in _VOCAB_ROLES


def is_shared_expert(role: str) -> bool:
    """Whether a weight belongs to an expert that every token passes through."""
    return "_shexp" in role and role != "ffn_gate_inp_shexp"


def attention_of(mixer: Mixer | None) -> Attention | None:
    """The attention with KV heads in a mixer, if it has one."""
    inner: object = mixer  # a Mixer's attributes are read-only, these classes' are not
    if isinstance(inner, ParallelMixers):
        return attention_of(inner.attention)
    if isinstance(inner, RepeatedMixer):
        return attention_of(inner.mixer)
    if isinstance(inner, AroundAttention):
        return inner.attention
    return inner if isinstance(inner, Attention) else None


def mixers_of(mixer: Mixer | None) -> Iterator[Mixer]:
    """The mixers that a layer runs, bare: one, or those beside each other; an attention without what is around it."""
    inner: object = mixer
    if isinstance(inner, ParallelMixers):
        yield from mixers_of(inner.attention)
        yield from mixers_of(inner.recurrent)
    elif isinstance(inner, RepeatedMixer):
        yield from mixers_of(inner.mixer)
    elif isinstance(inner, TwinMixers):
        yield from (*mixers_of(inner.each), *mixers_of(inner.each))
    elif isinstance(inner, AroundAttention):
        yield inner.attention
    elif mixer is not None:
        yield mixer


def layer_fraction(role: str, shape: tuple[int, ...], mixer: Mixer | None, ranks: Parallel) -> float:
    """The share of a layer's weight that one rank holds, routed experts apart: 1 for what is replicated.

    Column-parallel matrices are split by outputs, row-parallel ones by inputs; both hold 1/ranks.
    """
    base = role.removesuffix(".bias")
    n = ranks.tensor
    if _is_attention(role):
        n = ranks.attention
        attention = attention_of(mixer)
        if attention is not None and base in ("attn_k", "attn_v"):
            return kv_heads_per_rank(attention.n_kv_heads, n) / attention.n_kv_heads
        if attention is not None and base == "attn_qkv":
            return _fused_fraction(attention, n)
    if base in _REPLICATED or role in _REPLICATED or role.startswith(_REPLICATED_BEGINNINGS):
        return 1.0
    if role in _SHARDED_VECTORS:
        return 1.0 / n
    if len(shape) == 1 or "norm" in role:
        return 1.0
    return 1.0 / n


def _is_attention(role: str) -> bool:
    return role.startswith(("attn_", "ssm_", "shortconv", "indexer", "lru_", "time_mix"))


def _fused_fraction(attention: Attention, n: int) -> float:
    """One matrix for queries, keys and values: queries split, key-value heads split or replicated."""
    query = attention.n_heads * attention.key_head_dim
    kv = attention.n_kv_heads * (attention.key_head_dim + attention.value_head_dim)
    kept = kv * kv_heads_per_rank(attention.n_kv_heads, n) / attention.n_kv_heads
    return (query / n + kept) / (query + kv)


def expert_fraction(n_experts: int, ranks: Parallel) -> float:
    """The share of the routed experts that the fullest rank holds: whole experts over EP, matrices over the rest."""
    local = -(-n_experts // ranks.expert)
    return local / n_experts / ranks.expert_tensor
