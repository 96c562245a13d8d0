"""Fuzzes what Ollama says: manifests, names, and the answers of a server. See the package."""

import io
import json
from pathlib import Path
from typing import Any, cast

from tests.fuzz.choices import Choices, change
from tests.fuzz.harness import instrumented, main

with instrumented():
    from planner.readers.local_json import parse_json_object
    from planner.readers.ollama.local import resolve_ollama
    from planner.readers.ollama.manifest import parse_manifest, parse_ollama_name
    from planner.readers.open_model import told_gguf

from tests.fuzz.touch import touch

with instrumented():
    from planner.readers.gguf.network import network_from_gguf

_TYPE = "application/vnd.ollama.image."
MANIFEST: dict[str, object] = {
    "schemaVersion": 2,
    "config": {"digest": "sha256:" + "0" * 64, "size": 5},
    "layers": [
        {"mediaType": f"{_TYPE}{kind}", "digest": "sha256:" + digit * 64, "size": 1000, "name": name}
        for kind, digit, name in (("model", "a", None), ("projector", "b", ""), ("json", "c", "config.json"))
    ],
}
SHOWN: dict[str, object] = {
    "details": {"family": "llama", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "llama", "llama.block_count": 1, "llama.embedding_length": 256,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.context_length": 4096,
        "llama.feed_forward_length": 512, "tokenizer.ggml.tokens": None,
    },
    "tensors": [
        {"name": name, "type": "F16", "shape": shape}
        for name, shape in (
            ("token_embd.weight", [256, 10]), ("output_norm.weight", [256]), ("blk.0.attn_norm.weight", [256]),
            ("blk.0.attn_q.weight", [256, 256]), ("blk.0.attn_k.weight", [256, 128]),
            ("blk.0.attn_v.weight", [256, 128]), ("blk.0.attn_output.weight", [256, 256]),
            ("blk.0.ffn_norm.weight", [256]), ("blk.0.ffn_gate.weight", [256, 512]),
            ("blk.0.ffn_up.weight", [256, 512]), ("blk.0.ffn_down.weight", [512, 256]),
        )
    ],
}  # fmt: skip


class _Answer:
    """An opener whose server always says the same."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def open(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self.body)


def target(data: bytes) -> None:
    """Read what the bytes say; only the planner's own errors may come out."""
    choices = Choices(data)
    match choices.number() % 6:
        case 0:
            parse_ollama_name(choices.rest().decode("utf-8", "replace"))
        case 1:
            parse_manifest(parse_json_object(choices.rest(), "'m'"), "'m'")
        case 2:
            parse_manifest(parse_json_object(json.dumps(change(MANIFEST, choices)).encode(), "'m'"), "'m'")
        case 3:
            _ask(choices.rest())
        case _:
            _ask(json.dumps(change(SHOWN, choices)).encode())


def _ask(body: bytes) -> None:
    nowhere = Path("/nonexistent")
    found = resolve_ollama("m", {}, nowhere, cast(Any, _Answer(body)), system_models=nowhere)
    touch(network_from_gguf(told_gguf(found)))


def seeds() -> list[bytes]:
    """Sound answers, and some changes of them."""
    return [b"\0hf.co/org/name:Q4_K_M", b"\1" + json.dumps(MANIFEST).encode(), b"\3" + json.dumps(SHOWN).encode(),
            *(bytes([kind, n, n + 1, 5, n, 7, 1, 3]) for kind in (2, 4) for n in range(12))]  # fmt: skip


if __name__ == "__main__":
    main("ollama", target, seeds())
