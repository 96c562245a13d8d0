"""What vLLM's profile run needs: recorded peaks, and the phases by hand."""

import pytest

from hardware.units import GIB
from planner.engines.release import Release
from planner.engines.sharding import Parallel
from planner.engines.vllm.activation import Step, peak, phases, sampler_bytes_per_logit
from planner.model.network import Network
from planner.readers.catalogue_lookup import catalogue_resolver

resolve = catalogue_resolver()


def network(name: str) -> Network:
    opened = resolve(name)
    assert opened is not None
    return opened.network


def bytes_of(name: str, step: Step, version: Release, ranks: Parallel | None = None) -> dict[str, float]:
    return {p.name: p.n_bytes for p in phases(network(name), step, ranks or Parallel(), version)}


def test_the_forward_pass_by_hand() -> None:
    # Llama 3.1 8B: 2 · (3 · 14,336 + 3 · 4,096) = 110,592 bytes a token; an RTX 3090's log shows 2.07 GiB for
    # 20,000 tokens and 2.99 for 29,000 (17.06 and 17.98 less 14.99).
    step = Step(n_tokens=20_000, n_sequences=256, max_model_len=20_000)
    assert bytes_of("llama-3.1-8b-instruct", step, Release(0, 6, 4))["forward pass"] == 20_000 * 110_592
    assert pytest.approx(2.07, abs=0.02) == 20_000 * 110_592 / GIB
    assert pytest.approx(2.99, abs=0.02) == 29_000 * 110_592 / GIB


def test_experts_are_counted_as_often_as_they_are_picked() -> None:
    # Qwen3 30B A3B: 8 · (max(2 · 768, 2048) + 768) + 3 · 2048 elements of 2 bytes a token.
    step = Step(n_tokens=1000, n_sequences=1, max_model_len=4096)
    found = bytes_of("qwen3-30b-a3b", step, Release(0, 25, 1))["forward pass"]
    assert found == 2 * 1000 * (8 * (2048 + 768) + 3 * 2048)


@pytest.mark.parametrize(
    ("name", "tensor", "gib"),
    [("qwen3-0.6b", 1, 5.56), ("llama-3.1-8b-instruct", 1, 4.76), ("gpt-oss-20b", 1, 7.38),
     ("llama-3.3-70b-instruct", 2, 4.84)],
)  # fmt: skip
def test_the_sampler_of_0_11_as_measured(name: str, tensor: int, gib: float) -> None:
    step = Step(n_tokens=8192, n_sequences=1024, max_model_len=16_000)
    found = peak(phases(network(name), step, Parallel(tensor=tensor), Release(0, 11)))
    assert found.name == "sampler"
    assert found.n_bytes / GIB == pytest.approx(gib, rel=0.01)


def test_later_samplers_need_less() -> None:
    sizes = [sampler_bytes_per_logit(v) for v in (Release(0, 16), Release(0, 19), Release(0, 21))]
    assert sizes == sorted(sizes, reverse=True)


def test_latent_attention_expands_its_prompt() -> None:
    # DeepSeek V3 on 8 ranks: 65,536 tokens · 16 heads · (128 + 128) · 2 bytes, and the hidden states.
    step = Step(n_tokens=8192, n_sequences=256, max_model_len=163_840)
    found = bytes_of("deepseek-v3", step, Release(0, 25, 1), Parallel(tensor=8))
    assert found["MLA prompt expansion"] == 65_536 * 16 * 256 * 2 + 8192 * 7168 * 2
