"""The engine as referee: what we say it allocates against its own plan, on machines that need not exist.

Three hundred and forty combinations over 17 architectures: contexts, batch sizes, sequences, cache types, flash
attention, splits over none to three GPUs, experts in main memory. Caches and states are equal to the byte, totals
within 2 %. Shapes are real for seven families and small for the others.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.bench.llama_cpp import engine_is_installed
from planner.bench.plan_question import PlanQuestion, PretendedGpu, cpu_moe_overrides
from planner.bench.referee import Referee
from planner.engines.llama_cpp import LlamaCppFlags, Mainline, Split
from planner.estimate.described_model import DescribedModel
from planner.estimate.engine_plan import EnginePlan
from planner.estimate.memory import Device, memory_loads
from planner.readers.config.network import network_from_config
from planner.readers.open_model import open_model
from tests.conformance.headers import PUBLISHED, write_published
from tests.header_only import CONFIGS, write_header_only
from tests.planner.readers.test_gguf_architectures import RECORDED, written

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed"),
]

GIB = 2**30
# Real shapes, and small stand-ins of further families.
REAL = ("llama", "qwen3", "qwen3moe", "gemma3", "gpt-oss", "qwen3-next-80b", "deepseek-v3")
SMALL = (
    "chatglm, dense base", "codeshell, dense base", "ernie4_5-moe, moe base", "gemma2, dense base",
    "gptneox, dense base", "hunyuan-moe, moe base", "internlm2, dense base", "minimax-m2, moe base",
    "qwen2, dense base", "starcoder2, dense base",
)  # fmt: skip
COMBINATIONS_EACH = 20
# Of these small models single totals differ by more: a few activations are all there is. GPT-NeoX adds its two
# branches in another order than we do, ERNIE's dense layer in front moves what is free.
LOOSER = {"gptneox, dense base": 0.05, "ernie4_5-moe, moe base": 0.06}


@pytest.fixture(scope="module")
def referee() -> Iterator[Referee]:
    with Referee() as found:
        yield found


def header(name: str, folder: Path) -> Path:
    """A header-only file that the engine can plan with."""
    if name in CONFIGS:
        return write_header_only(folder / "model.gguf", name, network_from_config(CONFIGS[name]), "Q4_K_M")
    if name in PUBLISHED:
        return write_published(folder / "model.gguf", PUBLISHED[name])
    metadata, table = RECORDED[name]
    architecture = metadata["general.architecture"][1]
    shape = table["outer"]["token_embd.weight"]
    vocabulary = shape[0][-1] if isinstance(shape[0], list) else shape[-1]
    metadata.setdefault("tokenizer.ggml.model", ["string", "no_vocab"])
    metadata.setdefault(f"{architecture}.vocab_size", ["uint32", vocabulary])
    return written(name, folder)


def combinations(name: str, n_layers: int, *, has_experts: bool) -> Iterator[dict[str, Any]]:
    """Settings drawn at random, the same ones every time."""
    draw = random.Random(name)
    for _ in range(COMBINATIONS_EACH):
        flash = draw.random() < 0.7
        cache = draw.choice(("F16", "F16", "Q8_0")) if flash else "F16"
        gpus = tuple(draw.choice((16, 24, 48)) * GIB for _ in range(draw.randrange(4)))
        yield {
            "n_context_tokens": draw.choice((512, 2048, 5000, 16_384, 65_536)),
            "n_batch": draw.choice((512, 2048)),
            "n_ubatch": draw.choice((128, 512, 512, 1024)),
            "n_sequences": draw.choice((1, 1, 2, 4)),
            "unified_cache": draw.random() < 0.6,
            "flash_attention": flash,
            "k_type": cache,
            "v_type": cache,
            "gpus": gpus,
            "n_gpu_layers": draw.choice((n_layers + 1, n_layers + 1, draw.randrange(n_layers + 1))),
            "n_cpu_moe": draw.choice((0, draw.randrange(n_layers + 1))) if has_experts and gpus else 0,
        }


@pytest.mark.parametrize("name", (*REAL, *SMALL))
def test_the_engine_agrees(name: str, referee: Referee, tmp_path: Path) -> None:
    path = header(name, tmp_path)
    opened = open_model(str(path))
    assert opened.storage is not None
    model = DescribedModel(name=name, network=opened.network, storage=opened.storage)
    n_layers = model.network.n_layers
    tolerance = LOOSER.get(name, 0.02)
    checked = 0
    for settings in combinations(name, n_layers, has_experts=model.network.is_mixture_of_experts()):
        plan = referee.ask(question(path, settings))
        if not isinstance(plan, EnginePlan):  # such as a cache type that does not divide a head
            continue
        checked += 1
        ours = loads(model, settings)
        theirs = [plan.on_gpu(i) for i in range(len(settings["gpus"]))] + [plan.in_ram]
        engine_kv = [sum(b.kv_bytes + b.state_bytes for b in buffers) for buffers in theirs]
        assert [kv for kv, _ in ours] == engine_kv, settings
        total = sum(buffer.total_bytes for buffers in theirs for buffer in buffers)
        assert sum(rest + kv for kv, rest in ours) == pytest.approx(total, rel=tolerance), settings
    assert checked >= COMBINATIONS_EACH * 3 // 4


def question(path: Path, settings: dict[str, Any]) -> PlanQuestion:
    """The settings as the engine is asked them."""
    same = ("n_context_tokens", "n_batch", "n_ubatch", "n_sequences", "unified_cache", "flash_attention")
    return PlanQuestion(
        model_path=path,
        **{name: settings[name] for name in same},
        gpus=tuple(PretendedGpu(description="a card", total_bytes=n) for n in settings["gpus"]),
        k_type=settings["k_type"].lower(),
        v_type=settings["v_type"].lower(),
        n_gpu_layers=settings["n_gpu_layers"],
        tensor_overrides=cpu_moe_overrides(settings["n_cpu_moe"]) if settings["n_cpu_moe"] else (),
        use_mmap=False,
    )


def loads(model: DescribedModel, settings: dict[str, Any]) -> list[tuple[int, int]]:
    """Caches, and everything else that the engine plans, of each GPU and of main memory."""
    names = LlamaCppFlags.__dataclass_fields__
    flags = LlamaCppFlags(**{name: value for name, value in settings.items() if name in names})
    gpus = [
        Device(name=f"CUDA{i}", is_gpu=True, capacity_bytes=n, kind="cuda")
        for i, n in enumerate(settings["gpus"])
    ]
    split = Split(n_gpu_layers=settings["n_gpu_layers"], n_cpu_moe=settings["n_cpu_moe"])
    ram = Device(name="RAM", is_gpu=False, capacity_bytes=1024 * GIB)
    found = []
    for load in memory_loads(model, flags, split, gpus, ram, Mainline(pins=False)):
        kv = load.term_bytes("KV cache") + load.term_bytes("state")
        rest = sum(load.term_bytes(name) for name in ("weights", "experts", "embedding", "compute"))
        found.append((kv, rest))
    return found
