"""Reads a GGUF header into a network: metadata say the kinds, the tensor table says what is there.

Every tensor must be accounted for by a part that the planner knows. A tensor that no part explains, or a
layer whose parts do not add up to its tensors, is refused by name. Names and keys follow llama.cpp
(src/llama-arch.cpp and src/models/*.cpp, as shipped with llama-cpp-python 0.3.36).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.mamba2 import Mamba2
from planner.model.network import Block, Mixer, Network
from planner.model.storage import Storage, StoredWeight
from planner.model.weight import Use, Weight
from planner.readers.architectures.layer_plan import MAX_LAYERS, PlannedLayer, group_layers
from planner.readers.gguf import GgufArray, GgufFile, GgufTensor, file_type_name

# Architectures whose attention layers all see the whole context in llama.cpp.
FULL_ATTENTION: Final = frozenset(
    """
    llama qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe phi3 phimoe gemma mistral3 granite
    granitemoe smollm3 internlm2 stablelm starcoder2 command-r olmo olmoe exaone seed_oss glm4 glm4moe
    minimax-m2 dots1 deepseek2 ernie4_5 ernie4_5-moe hunyuan-dense hunyuan-moe bailingmoe2 nemotron arcee
    qwen3next qwen35 qwen35moe nemotron_h nemotron_h_moe granitehybrid
    """.split()  # noqa: SIM905 — a list of forty names reads better as words
)
# Architectures with windows, and after how many layers one sees everything when the file does not say.
WINDOW_PATTERNS: Final[Mapping[str, int]] = MappingProxyType(
    {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4, "olmo2": 4, "exaone4": 4, "llama4": 4}
)
_LLAMA4_CHUNK_TOKENS: Final = 8192  # src/models/llama4.cpp: n_swa is fixed there
_IGNORED_OUTER: Final = frozenset({"rope_freqs", "rope_factors_long", "rope_factors_short"})
_NAME = re.compile(r"blk\.(\d{1,5})\.(.+)")


def network_from_gguf(file: GgufFile) -> Network:
    """The network a GGUF file holds.

    Raises UnknownArchitectureError for an architecture, tensor or window the planner does not know.
    """
    keys = _Metadata(file.metadata)
    if keys.architecture not in FULL_ATTENTION and keys.architecture not in WINDOW_PATTERNS:
        raise UnknownArchitectureError(f"GGUF architecture {keys.architecture[:40]!r} is not understood yet")
    by_layer, outer = _sorted_tensors(file.tensors)
    n_all = keys.count("block_count")
    n_extra = keys.optional_count("nextn_predict_layers") or 0
    if not 1 <= n_all <= MAX_LAYERS or n_extra >= n_all:
        raise MalformedError(
            f"{file.path}: {n_all:,} layers of which {n_extra:,} extra; expected 1 to {MAX_LAYERS:,}"
        )
    n_layers = n_all - n_extra
    if sorted(by_layer) != list(range(n_all)):
        raise MalformedError(f"{file.path}: tensors for {len(by_layer)} layers, block_count says {n_all}")
    hidden_size = keys.count("embedding_length")
    windows = _windows(keys, n_layers)
    try:
        layers = [_layer(keys, i, by_layer[i], hidden_size, windows[i]) for i in range(n_layers)]
        groups = group_layers(layers)
    except ValueError as error:
        raise MalformedError(f"{file.path}: the header contradicts itself: {error}") from error
    tied = "output" not in outer
    embedding = outer.get("token_embd")
    if embedding is None or len(embedding.shape) != 2:
        raise MalformedError(f"{file.path}: no token_embd tensor; is this a language model's main file?")
    return Network(
        architecture=keys.architecture,
        hidden_size=hidden_size,
        vocab_size=embedding.shape[1],
        tied_embeddings=tied,
        groups=groups,
        outer=tuple(_outer_weight(role, tensor, tied) for role, tensor in outer.items()),
        mtp=tuple(
            Weight(role=role, shape=tensor.shape, use=Use.UNUSED)
            for i in range(n_layers, n_all)
            for role, tensor in by_layer[i].items()
        ),
        context_tokens=keys.optional_count("context_length"),
    )


def storage_from_gguf(file: GgufFile, network: Network) -> Storage:
    """The file's own tensor table, with what each tensor costs a token."""
    tied = "output.weight" not in {tensor.name for tensor in file.tensors}
    active = {
        layer: {weight.role: weight.active_fraction for weight in group.weights(network.hidden_size)}
        for group in network.groups
        for layer in group.layers
    }
    stored = []
    for tensor in file.tensors:
        layer, role = _split_name(tensor.name)
        use = _use(role, tensor, tied)
        if layer is not None and layer >= network.n_layers:
            use = Use.UNUSED
        stored.append(
            StoredWeight(
                role=role,
                layer=layer,
                type_name=tensor.type_name,
                shape=tensor.shape,
                n_elements=tensor.n_elements,
                n_bytes=tensor.n_bytes,
                use=use,
                active_fraction=active.get(layer, {}).get(role, 1.0) if layer is not None else 1.0,
                offset=tensor.offset,
            )
        )
    file_type = file.metadata.get("general.file_type")
    label = file_type_name(file_type) if isinstance(file_type, int) else "mixed types"
    return Storage(label=label, weights=tuple(stored), predicted=False, file_bytes=file.file_bytes)


class _Metadata:
    """The keys of one architecture, with per-layer arrays read as such."""

    def __init__(self, values: Mapping[str, object]):
        architecture = values.get("general.architecture")
        if not isinstance(architecture, str):
            raise MalformedError("the GGUF header has no general.architecture; it is not a model file")
        self.architecture = architecture
        self._values = values

    def get(self, key: str) -> object:
        return self._values.get(f"{self.architecture}.{key}")

    def count(self, key: str, layer: int | None = None) -> int:
        value = self.optional_count(key, layer)
        if value is None:
            raise MalformedError(f"the GGUF header has no {self.architecture}.{key}; the file is incomplete")
        return value

    def optional_count(self, key: str, layer: int | None = None) -> int | None:
        value = self.get(key)
        if isinstance(value, tuple) and layer is not None:
            if layer >= len(value):
                raise MalformedError(
                    f"{self.architecture}.{key} has {len(value)} entries, layer {layer} asked"
                )
            value = value[layer]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise MalformedError(f"{self.architecture}.{key} is {str(value)[:40]!r}, expected a whole number")
        return value


def _split_name(name: str) -> tuple[int | None, str]:
    """Layer and role of a tensor name; ".weight" is left out of the role, ".bias" stays."""
    role = name.removesuffix(".weight")
    match = _NAME.fullmatch(role)
    return (int(match[1]), match[2]) if match else (None, role)


def _sorted_tensors(
    tensors: Sequence[GgufTensor],
) -> tuple[dict[int, dict[str, GgufTensor]], dict[str, GgufTensor]]:
    by_layer: dict[int, dict[str, GgufTensor]] = defaultdict(dict)
    outer: dict[str, GgufTensor] = {}
    for tensor in tensors:
        layer, role = _split_name(tensor.name)
        if layer is None:
            outer[role] = tensor
        else:
            by_layer[layer][role] = tensor
    return dict(by_layer), outer


def _use(role: str, tensor: GgufTensor, tied: bool) -> Use:
    if role == "token_embd":
        return Use.HEAD if tied else Use.TABLE
    if role == "output":
        return Use.HEAD
    return Use.VECTOR if len(tensor.shape) == 1 else Use.MATMUL


def _outer_weight(role: str, tensor: GgufTensor, tied: bool) -> Weight:
    known = {"token_embd", "output", "output.bias", "output_norm", "output_norm.bias", "token_embd_norm"}
    if role not in known and role not in _IGNORED_OUTER:
        raise UnknownArchitectureError(
            f"GGUF tensor {tensor.name[:60]!r} belongs to no part the planner knows"
        )
    return Weight(role=role, shape=tensor.shape, use=_use(role, tensor, tied))


def _windows(keys: _Metadata, n_layers: int) -> tuple[int | None, ...]:
    """Each layer's window, None for full attention, by llama.cpp's defaults for the architecture."""
    if keys.architecture in FULL_ATTENTION:
        return (None,) * n_layers
    window = keys.optional_count("attention.sliding_window")
    if keys.architecture == "llama4" and window != 0:
        window = _LLAMA4_CHUNK_TOKENS
    if keys.architecture == "gemma2" and window is None:
        window = 4096  # src/models/gemma2.cpp
    if keys.architecture == "exaone4" and n_layers != 64:
        window = None  # src/models/exaone4.cpp: only the 32B has windows
    if not window:
        return (None,) * n_layers
    pattern = keys.get("attention.sliding_window_pattern")
    if isinstance(pattern, GgufArray):
        raise MalformedError("attention.sliding_window_pattern is longer than any network")
    if isinstance(pattern, tuple):
        if len(pattern) < n_layers:
            raise MalformedError(f"attention.sliding_window_pattern has {len(pattern)} of {n_layers} entries")
        return tuple(window if pattern[i] else None for i in range(n_layers))
    every = pattern if isinstance(pattern, int) else WINDOW_PATTERNS[keys.architecture]
    return tuple(window if every == 0 or i % every < every - 1 else None for i in range(n_layers))


def _layer(
    keys: _Metadata,
    index: int,
    tensors: Mapping[str, GgufTensor],
    hidden_size: int,
    window: int | None,
) -> PlannedLayer:
    mixer = _mixer(keys, index, tensors, window)
    block = _block(keys, index, tensors)
    explained = {}
    for part in (mixer, block):
        if part is not None:
            explained.update({weight.role: weight for weight in part.weights(hidden_size)})
    norms = []
    for role, tensor in tensors.items():
        if role in explained:
            _check_shape(tensor, explained.pop(role))
        elif len(tensor.shape) == 1 and "norm" in role:
            norms.append(Weight(role=role, shape=tensor.shape, use=Use.VECTOR))
        elif role in _IGNORED_OUTER:
            continue
        else:
            raise UnknownArchitectureError(
                f"{keys.architecture}: tensor {tensor.name[:60]!r} belongs to no part the planner knows"
            )
    if explained:
        raise UnknownArchitectureError(
            f"{keys.architecture}: layer {index} has no {next(iter(explained))!r}, which its parts should have"
        )
    return PlannedLayer(mixer, block, tuple(norms))


def _check_shape(tensor: GgufTensor, weight: Weight) -> None:
    if tensor.n_elements != weight.parameters:
        raise MalformedError(
            f"tensor {tensor.name[:60]!r} has the shape {tensor.shape}, the metadata say {weight.shape}"
        )


def _mixer(
    keys: _Metadata, index: int, tensors: Mapping[str, GgufTensor], window: int | None
) -> Mixer | None:
    if "attn_kv_a_mqa" in tensors:
        return _latent(keys, tensors)
    if "ssm_ba" in tensors or "ssm_beta" in tensors:
        return _delta_net(keys, tensors)
    if "ssm_in" in tensors:
        return _mamba2(keys, tensors)
    if "attn_q" in tensors or ("attn_qkv" in tensors and "attn_output" in tensors):
        return _attention(keys, index, tensors, window)
    if any(role.startswith(("attn_q", "attn_k", "ssm_", "time_mix", "shortconv")) for role in tensors):
        raise UnknownArchitectureError(
            f"{keys.architecture}: the token mixer of layer {index} is not understood"
        )
    return None


def _attention(
    keys: _Metadata, index: int, tensors: Mapping[str, GgufTensor], window: int | None
) -> Attention:
    n_heads = keys.count("attention.head_count", index)
    n_kv_heads = keys.optional_count("attention.head_count_kv", index) or n_heads
    default = keys.count("embedding_length") // max(1, n_heads)
    key_dim = keys.optional_count("attention.key_length", index) or default
    value_dim = keys.optional_count("attention.value_length", index) or default
    q_norm = tensors.get("attn_q_norm")
    query = tensors.get("attn_q")
    gated = query is not None and query.n_elements == 2 * keys.count("embedding_length") * n_heads * key_dim
    fused = "attn_qkv" in tensors
    return Attention(
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_head_dim=key_dim,
        value_head_dim=value_dim,
        window_tokens=window,
        chunked=keys.architecture == "llama4" and window is not None,
        qkv_bias="attn_q.bias" in tensors or "attn_qkv.bias" in tensors,
        output_bias="attn_output.bias" in tensors,
        qk_norm="none" if q_norm is None else "head" if q_norm.n_elements == key_dim else "full",
        qk_norm_bias="attn_q_norm.bias" in tensors,
        sinks="attn_sinks" in tensors,
        output_gate="in_query" if gated else "none",
        fused_qkv=fused,
    )


def _latent(keys: _Metadata, tensors: Mapping[str, GgufTensor]) -> LatentAttention:
    if "attn_kv_b" in tensors:
        raise UnknownArchitectureError(
            f"{keys.architecture}: this GGUF stores attn_kv_b in one piece, as files before April 2025 did; "
            "llama.cpp would run it without latent attention: use a newer conversion"
        )
    rope = keys.count("rope.dimension_count")
    key_length = keys.optional_count("attention.key_length_mla") or keys.count("attention.key_length")
    return LatentAttention(
        n_heads=keys.count("attention.head_count"),
        q_lora_rank=keys.optional_count("attention.q_lora_rank") or None,
        kv_lora_rank=keys.count("attention.kv_lora_rank"),
        qk_nope_head_dim=key_length - rope,
        qk_rope_head_dim=rope,
        v_head_dim=keys.optional_count("attention.value_length_mla") or keys.count("attention.value_length"),
    )


def _mamba2(keys: _Metadata, tensors: Mapping[str, GgufTensor]) -> Mamba2:
    inner = keys.count("ssm.inner_size")
    n_heads = keys.count("ssm.time_step_rank")
    if "ssm_x" in tensors or not n_heads or inner % n_heads:
        raise UnknownArchitectureError(f"{keys.architecture}: Mamba-1 layers are not understood yet")
    return Mamba2(
        n_heads=n_heads,
        head_dim=inner // n_heads,
        state_size=keys.count("ssm.state_size"),
        n_groups=keys.count("ssm.group_count"),
        conv_kernel=keys.count("ssm.conv_kernel"),
        conv_bias="ssm_conv1d.bias" in tensors,
        norm="ssm_norm" in tensors,
    )


def _delta_net(keys: _Metadata, tensors: Mapping[str, GgufTensor]) -> GatedDeltaNet:
    state = keys.count("ssm.state_size")
    return GatedDeltaNet(
        n_key_heads=keys.count("ssm.group_count"),
        n_value_heads=keys.count("ssm.time_step_rank"),
        key_head_dim=state,
        value_head_dim=state,
        conv_kernel=keys.count("ssm.conv_kernel"),
        split_beta_alpha="ssm_beta" in tensors,
        fused_gate="ssm_in" in tensors,
    )


def _block(keys: _Metadata, index: int, tensors: Mapping[str, GgufTensor]) -> Block | None:
    dense = _dense(tensors, "")
    if "ffn_down_exps" not in tensors:
        return dense
    shared = _dense(tensors, "_shexp")
    down = tensors["ffn_down_exps"]
    if len(down.shape) != 3:
        raise MalformedError(
            f"tensor {down.name[:60]!r} has the shape {down.shape}, expected three dimensions"
        )
    fused = "ffn_gate_up_exps" in tensors
    return Experts(
        n_experts=keys.count("expert_count"),
        n_active=keys.count("expert_used_count", index),
        intermediate_size=down.shape[0],
        gated="ffn_gate_exps" in tensors or fused,
        fused_gate=fused,
        expert_bias="ffn_down_exps.bias" in tensors,
        router_bias="ffn_gate_inp.bias" in tensors,
        correction_bias="exp_probs_b.bias" in tensors,
        shared=shared,
        shared_gate="ffn_gate_inp_shexp" in tensors,
        residual=dense,
        expert_hidden_size=down.shape[1] if "ffn_latent_down" in tensors else None,
    )


def _dense(tensors: Mapping[str, GgufTensor], suffix: str) -> FeedForward | None:
    down = tensors.get(f"ffn_down{suffix}")
    up = tensors.get(f"ffn_up{suffix}")
    if down is None or up is None:
        return None
    size = down.shape[0]
    gated = f"ffn_gate{suffix}" in tensors
    fused = not gated and up.shape[-1] == 2 * size
    return FeedForward(
        intermediate_size=size,
        gated=gated or fused,
        fused_gate=fused,
        bias=f"ffn_down{suffix}.bias" in tensors,
    )
