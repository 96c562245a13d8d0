"""ik_llama.cpp's compute buffers, as its own logs printed them.

Each case is a log of the project's discussions, issues and pull requests (github-data in its repository) or of
Thireus' GGUF-Tool-Suite; the numbers behind the models are MiB of the lines "compute buffer size".
"""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from hardware.units import MIB
from planner.engines.ik_llama_cpp.flags import IkFlags
from planner.engines.ik_llama_cpp.graphs import build_graph
from planner.engines.ik_llama_cpp.rules import IK
from planner.engines.llama_cpp.split import Split
from planner.errors import UnknownArchitectureError
from tests.planner.engines.ik_llama_cpp.recorded import layout, network, storage


@dataclass(frozen=True)
class Recorded:
    """One log: what was run, and what it printed."""

    source: str
    model: str
    flags: dict[str, object]
    shares: tuple[int, ...]
    printed_mib: tuple[float, ...]
    main: str = "Q8_0"
    types: dict[str, str] = field(default_factory=dict)
    experts_in_ram: bool = False
    head: int | None = -1


def _experts(up: str, down: str) -> dict[str, str]:
    return {"ffn_up_exps": up, "ffn_gate_exps": up, "ffn_down_exps": down}


def _deepseek(source: str, printed: tuple[float, ...], up: str, down: str, **flags: object) -> Recorded:
    told = {
        "mla": 3,
        "attention_max_batch_mib": 512,
        "fused_moe": True,
        "k_type": "Q8_0",
        "build": 3772,
    } | flags
    told = {"n_context_tokens": 32768, "pipeline_copies": 1} | told
    shares = (61,) if len(printed) == 2 else (31, 30)
    types = _experts(up, down)
    return Recorded(source, "deepseek-r1", told, shares, printed, types=types, experts_in_ram=True)


CASES = (
    _deepseek("discussion 258, V3-0324 IQ4_K_R4", (3425.00, 176.01), "IQ4_K_R4", "IQ5_K_R4", build=3762),
    _deepseek("discussion 258, Q4_K", (3393.00, 176.01), "Q4_K", "Q5_K", build=3762, k_type="F16"),
    _deepseek("discussion 258, R1 Q2_K_R4", (6081.00, 240.01), "Q2_K_R4", "Q3_K_R4", build=3597, mla=2,
              n_context_tokens=65536, run_time_repack=True),
    _deepseek("discussion 258, IQ2_K_R4", (3588.01, 312.02), "IQ2_K_R4", "IQ3_K_R4", n_ubatch=2048),
    _deepseek("discussion 258, IQ4_K_R4", (4472.01, 312.02), "IQ4_K_R4", "IQ5_K_R4", n_ubatch=2048, k_type="F16"),
    _deepseek("discussion 258, Q4_K -rtr", (4104.02, 1408.05), "Q4_K", "Q5_K", n_ubatch=4096, n_batch=4096,
              k_type="F16", run_time_repack=True),
    _deepseek("issue 437, IQ4_KS_R4", (4252.01, 312.02), "IQ4_KS_R4", "IQ5_KS_R4", n_ubatch=2048),
    _deepseek("issue 437, IQ3_K_R4 on two GPUs", (7272.02, 6632.03, 1072.05), "IQ3_K_R4", "IQ4_KS_R4",
              n_ubatch=4096, n_batch=4096, n_context_tokens=61440),
    _deepseek("issue 437, IQ4_KS_R4 on two GPUs", (6698.02, 4560.02, 752.05), "IQ4_KS_R4", "IQ5_KS_R4",
              n_ubatch=4096, n_batch=4096, n_context_tokens=40960),
    _deepseek("pull request 259, the whole cache in f32 at once", (8470.00, 78.01), "Q2_K", "Q4_K", build=3589, mla=2,
              attention_max_batch_mib=2048),
    _deepseek("pull request 259, twice the context in f16", (19857.00, 142.01), "Q2_K", "Q4_K", build=3589, mla=2,
              k_type="F16", n_context_tokens=65536, attention_max_batch_mib=2048),
    Recorded("issue 538, no GPU", "deepseek-r1", {"n_context_tokens": 16384, "mla": 3, "k_type": "Q8_0",
             "build": 3756, "fused_moe": True}, (), (2778.01,)),
    Recorded("pull request 287, chunks of 1024", "deepseek-r1", {"n_context_tokens": 16896, "mla": 3,
             "k_type": "Q8_0", "attention_max_batch_mib": 1024, "build": 3609, "fused_moe": True}, (), (1383.76,)),
    Recorded("issue 261, -mla 0 without flash attention", "deepseek-r1", {"n_context_tokens": 512, "mla": 0,
             "flash_attention": False, "build": 3608}, (), (283.01,)),
    Recorded("pull request 616, -mla 1 without flash attention", "kimi-k2-instruct", {"n_context_tokens": 512,
             "mla": 1, "flash_attention": False, "build": 3808}, (), (334.00,)),
    Recorded("pull request 237, scores in chunks of 1024, 4 copies", "deepseek-r1", {"n_context_tokens": 163840,
             "mla": 2, "flash_attention": False, "attention_max_batch_mib": 1024, "n_ubatch": 1024, "build": 3576,
             "pipeline_copies": 4}, (21, 20, 20), (5088.02, 5088.02, 5088.03, 2588.05), main="Q2_K"),
    Recorded("discussion 357, no GPU", "qwen3-235b-a22b", {"n_context_tokens": 16384, "k_type": "Q8_0",
             "v_type": "Q8_0", "build": 3658, "fused_moe": True}, (), (304.75,)),
    Recorded("issue 380, no GPU, no flash attention", "qwen3-30b-a3b", {"n_context_tokens": 4096,
             "flash_attention": False, "build": 3675}, (), (304.75,)),
    Recorded("issue 380, no GPU", "qwen3-30b-a3b", {"n_context_tokens": 4096, "build": 3675, "fused_moe": True},
             (), (300.75,)),
    Recorded("issue 530, Q4_K_M on two GPUs", "qwen3-235b-a22b", {"n_context_tokens": 65536, "n_batch": 4096,
             "n_ubatch": 4096, "k_type": "Q8_0", "v_type": "Q8_0", "build": 3752, "fused_moe": True, "pipeline_copies": 1}, (48, 46),
             (2432.02, 2502.00, 1088.05), types=_experts("Q4_K", "Q6_K"), experts_in_ram=True),
    Recorded("issue 575, IQ3_K on two GPUs", "qwen3-235b-a22b", {"n_context_tokens": 32768, "n_batch": 4096,
             "n_ubatch": 2048, "build": 3772, "fused_moe": True, "pipeline_copies": 1}, (55, 39), (1264.01, 1251.00, 288.02),
             types=_experts("IQ3_K", "IQ4_K"), experts_in_ram=True),
    Recorded("pull request 328, weights in RAM, large batch", "llama-2-13b-chat-hf", {"n_context_tokens": 512,
             "flash_attention": False, "n_batch": 512, "build": 3638}, (0,), (248.54, 21.01), head=None),
    Recorded("pull request 344, weights in RAM, large batch", "glm-z1-32b-0414", {"n_context_tokens": 512,
             "flash_attention": False, "n_batch": 512, "build": 3643}, (0,), (2084.02, 13.01), main="BF16",
             head=None),
    Recorded("issue 103, K in iq4_nl", "llama-3.1-8b-instruct", {"n_context_tokens": 1024, "k_type": "IQ4_NL",
             "flash_attention": False, "build": 3475}, (32,), (266.50, 10.01)),
    Recorded("discussion 334", "gemma-3-27b-it", {"n_context_tokens": 32768, "build": 3642}, (62,),
             (522.62, 138.51)),
    Recorded("GGUF-Tool-Suite, Qwen3-4B", "qwen3-4b-instruct-2507", {"n_context_tokens": 4096, "n_batch": 4096,
             "n_ubatch": 4096}, (36,), (2454.00, 72.05), main="BF16"),
    Recorded("GGUF-Tool-Suite, Qwen3.6-27B", "qwen3.6-27b", {"n_context_tokens": 512, "n_batch": 512}, (64,),
             (505.00, 10.51), main="BF16"),
    Recorded("GGUF-Tool-Suite, gemma-4-31B", "gemma-4-31b-it", {"n_context_tokens": 4096, "n_batch": 512}, (60,),
             (1034.50, 18.51), main="BF16"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
def test_buffers_are_those_of_the_log(case: Recorded) -> None:
    net = network(case.model)
    where = layout(net, case.shares, experts_in_ram=case.experts_in_ram, head=case.head)
    flags = IkFlags(**case.flags)  # type: ignore[arg-type]
    found = IK.compute_buffers(net, storage(net, case.main, case.types), flags, where)
    in_mib = [round(n / MIB, 2) for n in (*found.gpu_bytes, found.host_bytes)]
    # Where layers change devices is told only by the printed caches, so 0.5 % are left for the seam.
    assert in_mib == pytest.approx(case.printed_mib, rel=0.005)


@pytest.mark.parametrize(
    ("model", "flags", "printed_nodes"),
    # "graph nodes" of the same logs: one more or less in each layer would show.
    [
        ("qwen3-235b-a22b", {"n_context_tokens": 16384, "build": 3658, "fused_moe": True}, 3672),
        ("deepseek-r1", {"n_context_tokens": 2048, "mla": 3, "build": 3608, "fused_moe": True}, 3487),
        ("deepseek-r1", {"n_context_tokens": 512, "mla": 0, "build": 3608, "flash_attention": False}, 3724),
        ("qwen3-0.6b", {"n_context_tokens": 4096, "build": 3780, "flash_attention": False}, 873),
        ("llama-2-13b-chat-hf", {"n_context_tokens": 512, "build": 3638, "flash_attention": False}, 1165),
        ("gemma-3-27b-it", {"n_context_tokens": 32768, "build": 3638}, 1806),
        ("kimi-k2-thinking", {"n_context_tokens": 512, "build": 4100, "mla": 3}, 3282),
        ("qwen3-vl-235b-a22b-instruct", {"n_context_tokens": 4096, "build": 4100}, 3483),
    ],
)
def test_graphs_have_as_many_nodes_as_the_log_says(
    model: str, flags: dict[str, object], printed_nodes: int
) -> None:
    net = network(model)
    settings = IkFlags(**flags)  # type: ignore[arg-type]
    plan = IK.graph_plan(net, storage(net, "Q8_0"), settings, layout(net, ()))
    assert len(build_graph(plan).nodes) == printed_nodes


def _sizes(model: str, **flags: object) -> tuple[int, ...]:
    net = network(model)
    settings = IkFlags(**flags)  # type: ignore[arg-type]
    found = IK.compute_buffers(net, storage(net, "Q8_0"), settings, layout(net, (net.n_layers,)))
    return (*found.gpu_bytes, found.host_bytes)


@pytest.mark.parametrize("model", ["qwen3-0.6b", "deepseek-v2-lite-chat", "qwen3.5-2b"])
@pytest.mark.parametrize("flash_attention", [True, False])
def test_more_context_or_batch_never_needs_less(model: str, flash_attention: bool) -> None:
    base: dict[str, object] = {"flash_attention": flash_attention, "mla": 3 if flash_attention else 2}
    by_context = [_sizes(model, **base, n_context_tokens=n) for n in (2048, 8192, 32_768)]
    by_batch = [_sizes(model, **base, n_context_tokens=8192, n_ubatch=n) for n in (128, 512, 2048)]
    for sizes in (by_context, by_batch):
        for smaller, larger in pairwise(sizes):
            assert all(a <= b for a, b in zip(smaller, larger, strict=True))


def test_a_tighter_bound_never_needs_more() -> None:
    sizes = [
        _sizes("deepseek-v2-lite-chat", n_context_tokens=65_536, mla=3, attention_max_batch_mib=mib)[0]
        for mib in (0, 1024, 256, 64)
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]


def test_a_layer_that_is_not_known_is_named() -> None:
    net = network("kimi-linear-48b-a3b-instruct")
    everywhere = layout(net, (net.n_layers,))
    with pytest.raises(UnknownArchitectureError, match=r"ik_llama\.cpp's graph of"):
        IK.compute_buffers(net, storage(net, "Q8_0"), IkFlags(n_context_tokens=512), everywhere)


@pytest.mark.parametrize(
    ("model", "flags", "printed_mib"),
    # "KV buffer size" of logs: issue 437 (40,960 tokens), pull request 616 (latent 34.31 and its transpose 30.50;
    # 732 + 488 with -mla 0), discussions 357 and 334, GGUF-Tool-Suite (Gemma 4: windows hold the whole context;
    # Qwen3.5: 16 MiB of attention and 50.25 of state together).
    [
        ("deepseek-r1", {"n_context_tokens": 40960, "mla": 3, "k_type": "Q8_0"}, 1458.28),
        ("kimi-k2-instruct", {"n_context_tokens": 512, "mla": 1, "flash_attention": False}, 64.81),
        ("kimi-k2-instruct", {"n_context_tokens": 512, "mla": 0, "flash_attention": False}, 1220.00),
        ("qwen3-235b-a22b", {"n_context_tokens": 16384, "k_type": "Q8_0", "v_type": "Q8_0"}, 1598.00),
        ("gemma-3-27b-it", {"n_context_tokens": 32768}, 15872.00),
        ("gemma-4-31b-it", {"n_context_tokens": 4096}, 3520.00),
        ("qwen3.5-4b", {"n_context_tokens": 512}, 66.25),
        ("glm-5.1", {"n_context_tokens": 512, "mla": 3, "build": 4400}, 43.88),
    ],
)
def test_caches_are_those_of_the_log(model: str, flags: dict[str, object], printed_mib: float) -> None:
    net = IK.as_run(network(model))
    settings = IkFlags(**flags)  # type: ignore[arg-type]
    found = sum(len(group.layers) * IK.layer_kv_bytes(group, settings) for group in net.groups)
    assert found / MIB == pytest.approx(printed_mib, abs=0.006)


@pytest.mark.parametrize(
    ("n_gpu_layers", "expected"),
    # Four layers and the head; llama.cpp would give the head the first place on the GPU.
    [(0, (None,) * 5), (1, (None, None, None, 0, None)), (4, (0, 0, 1, 1, None)), (5, (0, 0, 0, 1, 1))],
)
def test_the_head_is_the_last_to_reach_a_gpu(n_gpu_layers: int, expected: tuple[int | None, ...]) -> None:
    assert IK.layer_gpus(4, Split(n_gpu_layers=n_gpu_layers), [100, 100]) == expected
