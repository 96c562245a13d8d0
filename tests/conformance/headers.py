"""Header-only GGUF files of eight published models at full size: real keys, names and shapes, no weights.

Names and keys are llama.cpp's (gguf-py's constants and the loaders in src/models), sizes the models' published
configs. Nothing here uses the planner, so that it can be what the planner is held against; the engine itself
loads these files (see the tests marked `engine`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tests.gguf_writer import Tensor, Value, write_gguf

F32, F16 = 0, 1
Shape = tuple[int, ...]
Layer = Iterator[tuple[str, Shape]]


@dataclass(frozen=True, kw_only=True)
class Published:
    """One model: the keys of its header beside the common ones, and a layer's tensors by its index."""

    architecture: str
    n_layers: int
    hidden: int
    vocab: int
    context: int
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    ffn: int
    rope: int
    keys: dict[str, Any]
    tied: bool = False

    def layer(self, index: int) -> Layer:
        """Names (without "blk.N.") and shapes of one layer's tensors."""
        match self.architecture:
            case "deepseek2":
                yield from self._latent_attention()
            case "qwen3next" if (index + 1) % 4:
                yield from self._delta_net()
            case _:
                yield from self._attention()
        yield from self._norms()
        if self.architecture == "deepseek2" and index < self.keys["leading_dense_block_count"]:
            yield from self._gated("", self.ffn)
        elif "expert_count" in self.keys:
            yield from self._experts()
        else:
            yield from self._gated("", self.ffn)

    def _norms(self) -> Layer:
        roles = {
            "gemma3": ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm"),
            "gpt-oss": ("attn_norm", "post_attention_norm"),
            "qwen3next": ("attn_norm", "post_attention_norm"),
        }.get(self.architecture, ("attn_norm", "ffn_norm"))
        for role in roles:
            yield f"{role}.weight", (self.hidden,)

    def _attention(self) -> Layer:
        query, key = self.heads * self.key_length, self.kv_heads * self.key_length
        gated = 2 if self.architecture == "qwen3next" else 1
        for role, shape in (
            ("attn_q", (self.hidden, query * gated)),
            ("attn_k", (self.hidden, key)),
            ("attn_v", (self.hidden, self.kv_heads * self.value_length)),
            ("attn_output", (self.heads * self.value_length, self.hidden)),
        ):
            yield f"{role}.weight", shape
            if self.architecture == "gpt-oss":
                yield f"{role}.bias", shape[1:]
        if self.architecture in ("qwen3moe", "qwen3next", "gemma3"):
            yield "attn_q_norm.weight", (self.key_length,)
            yield "attn_k_norm.weight", (self.key_length,)
        if self.architecture == "gpt-oss":
            yield "attn_sinks.weight", (self.heads,)

    def _latent_attention(self) -> Layer:
        q_rank, rank = self.keys["attention.q_lora_rank"], self.keys["attention.kv_lora_rank"]
        key, value = self.keys["attention.key_length_mla"], self.keys["attention.value_length_mla"]
        yield "attn_q_a.weight", (self.hidden, q_rank)
        yield "attn_q_a_norm.weight", (q_rank,)
        yield "attn_q_b.weight", (q_rank, self.heads * key)
        yield "attn_kv_a_mqa.weight", (self.hidden, rank + self.rope)
        yield "attn_kv_a_norm.weight", (rank,)
        yield "attn_k_b.weight", (key - self.rope, rank, self.heads)
        yield "attn_v_b.weight", (rank, value, self.heads)
        yield "attn_output.weight", (self.heads * value, self.hidden)

    def _delta_net(self) -> Layer:
        state, groups = self.keys["ssm.state_size"], self.keys["ssm.group_count"]
        ranks, inner = self.keys["ssm.time_step_rank"], self.keys["ssm.inner_size"]
        channels = inner + 2 * groups * state
        yield "attn_qkv.weight", (self.hidden, channels)
        yield "attn_gate.weight", (self.hidden, inner)
        yield "ssm_ba.weight", (self.hidden, 2 * ranks)
        yield "ssm_conv1d.weight", (self.keys["ssm.conv_kernel"], channels)
        yield "ssm_dt.bias", (ranks,)
        yield "ssm_a", (ranks,)
        yield "ssm_norm.weight", (inner // ranks,)
        yield "ssm_out.weight", (inner, self.hidden)

    def _gated(self, suffix: str, size: int) -> Layer:
        yield f"ffn_gate{suffix}.weight", (self.hidden, size)
        yield f"ffn_up{suffix}.weight", (self.hidden, size)
        yield f"ffn_down{suffix}.weight", (size, self.hidden)

    def _experts(self) -> Layer:
        n, size = self.keys["expert_count"], self.keys["expert_feed_forward_length"]
        biases = self.architecture == "gpt-oss"
        yield "ffn_gate_inp.weight", (self.hidden, n)
        if biases:
            yield "ffn_gate_inp.bias", (n,)
        if self.architecture == "deepseek2":
            yield "exp_probs_b.bias", (n,)
        for role, n_in, n_out in (
            ("ffn_gate_exps", self.hidden, size),
            ("ffn_up_exps", self.hidden, size),
            ("ffn_down_exps", size, self.hidden),
        ):
            yield f"{role}.weight", (n_in, n_out, n)
            if biases:
                yield f"{role}.bias", (n_out, n)
        shared = self.keys.get("expert_shared_feed_forward_length", 0)
        shared += self.keys.get("expert_shared_count", 0) * size
        if shared:
            yield from self._gated("_shexp", shared)
        if self.architecture == "qwen3next":
            yield "ffn_gate_inp_shexp.weight", (self.hidden,)

    def tensors(self) -> list[Tensor]:
        """The whole table; matrices in F16, vectors and routers in F32, as converted files have them."""
        named: list[tuple[str, Shape]] = [("token_embd.weight", (self.hidden, self.vocab))]
        for index in range(self.n_layers):
            named += [(f"blk.{index}.{name}", shape) for name, shape in self.layer(index)]
        named.append(("output_norm.weight", (self.hidden,)))
        if not self.tied:
            named.append(("output.weight", (self.hidden, self.vocab)))
        return [_tensor(name, shape) for name, shape in named]

    def metadata(self) -> dict[str, Value]:
        """Common keys and the model's own, without a tokenizer."""
        common: dict[str, Any] = {
            "block_count": self.n_layers,
            "context_length": self.context,
            "embedding_length": self.hidden,
            "feed_forward_length": self.ffn,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.key_length,
            "attention.value_length": self.value_length,
            "attention.layer_norm_rms_epsilon": 1e-6,
            "rope.dimension_count": self.rope,
            "rope.freq_base": 10_000.0,
            "vocab_size": self.vocab,
        }
        return {
            "general.architecture": ("string", self.architecture),
            "general.file_type": ("uint32", 1),
            "tokenizer.ggml.model": ("string", "no_vocab"),
            **{f"{self.architecture}.{key}": _typed(value) for key, value in (common | self.keys).items()},
        }


def write_published(path: Path, model: Published) -> Path:
    """Write the header; the weights are a hole in the file, up to two terabytes that take no room."""
    return write_gguf(path, model.metadata(), model.tensors())


def _tensor(name: str, shape: Shape) -> Tensor:
    small = len(shape) == 1 or name.endswith(".bias") or "ffn_gate_inp" in name or "conv1d" in name
    type_id = F32 if small else F16
    return name, shape, type_id, prod(shape) * (4 if small else 2)


def _typed(value: Any) -> Value:
    if isinstance(value, bool):
        return "bool", value
    return ("uint32", value) if isinstance(value, int) else ("float32", value)


_LATENT = {
    "attention.q_lora_rank": 1536, "attention.kv_lora_rank": 512,
    "attention.key_length_mla": 192, "attention.value_length_mla": 128,
    "expert_shared_count": 1, "expert_feed_forward_length": 2048, "expert_used_count": 8,
    "expert_weights_scale": 2.5, "expert_weights_norm": True, "expert_gating_func": 2,
}  # fmt: skip
_GPT_OSS: dict[str, Any] = {
    "architecture": "gpt-oss", "hidden": 2880, "vocab": 201_088, "context": 131_072, "heads": 64, "kv_heads": 8,
    "key_length": 64, "value_length": 64, "ffn": 2880, "rope": 64,
}  # fmt: skip
_GPT_OSS_KEYS = {"expert_used_count": 4, "expert_feed_forward_length": 2880, "attention.sliding_window": 128}

PUBLISHED = {
    "llama-3.1-8b": Published(
        architecture="llama", n_layers=32, hidden=4096, vocab=128_256, context=131_072, heads=32, kv_heads=8,
        key_length=128, value_length=128, ffn=14_336, rope=128, keys={},
    ),
    "qwen3-30b-a3b": Published(
        architecture="qwen3moe", n_layers=48, hidden=2048, vocab=151_936, context=40_960, heads=32, kv_heads=4,
        key_length=128, value_length=128, ffn=6144, rope=128,
        keys={"expert_count": 128, "expert_used_count": 8, "expert_feed_forward_length": 768},
    ),
    "gpt-oss-20b": Published(n_layers=24, keys={"expert_count": 32, **_GPT_OSS_KEYS}, **_GPT_OSS),
    "gpt-oss-120b": Published(n_layers=36, keys={"expert_count": 128, **_GPT_OSS_KEYS}, **_GPT_OSS),
    "gemma-3-27b": Published(
        architecture="gemma3", n_layers=62, hidden=5376, vocab=262_144, context=131_072, heads=32, kv_heads=16,
        key_length=128, value_length=128, ffn=21_504, rope=128, keys={"attention.sliding_window": 1024},
        tied=True,
    ),
    "qwen3-next-80b": Published(
        architecture="qwen3next", n_layers=48, hidden=2048, vocab=151_936, context=262_144, heads=16,
        kv_heads=2, key_length=256, value_length=256, ffn=5120, rope=64,
        keys={
            "expert_count": 512, "expert_used_count": 10, "expert_feed_forward_length": 512,
            "expert_shared_feed_forward_length": 512, "ssm.conv_kernel": 4, "ssm.state_size": 128,
            "ssm.group_count": 16, "ssm.time_step_rank": 32, "ssm.inner_size": 4096,
            "full_attention_interval": 4,
        },
    ),
    "deepseek-v3": Published(
        architecture="deepseek2", n_layers=61, hidden=7168, vocab=129_280, context=163_840, heads=128,
        kv_heads=1, key_length=576, value_length=512, ffn=18_432, rope=64,
        keys={"expert_count": 256, "leading_dense_block_count": 3, **_LATENT},
    ),
    "kimi-k2": Published(
        architecture="deepseek2", n_layers=61, hidden=7168, vocab=163_840, context=131_072, heads=64,
        kv_heads=1, key_length=576, value_length=512, ffn=18_432, rope=64,
        keys={"expert_count": 384, "leading_dense_block_count": 1, **_LATENT},
    ),
}  # fmt: skip
