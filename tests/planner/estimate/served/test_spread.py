"""How sure a start-up account is: spreads add as squares, and recorded starts lie inside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis
from hardware.units import GIB
from planner.engines.release import Release
from planner.engines.vllm.settings import VllmSettings
from planner.estimate.served.model import ServingGpu, served_model
from planner.estimate.served.spread import kv_bounds
from planner.estimate.served.vllm_memory import vllm_memory
from planner.estimate.term import Term
from planner.readers.catalogue_lookup import catalogue_resolver

resolve = catalogue_resolver()


def term(name: str, value: float) -> Term:
    return Term(name=name, value=value, unit="bytes", basis=Basis.DERIVED, source="test")


def test_spreads_add_as_squares() -> None:
    # 10 GiB of weights may be 0.15 more, 1 GiB of activations 0.3 more: sqrt(0.0225 + 0.09) = 0.3354.
    terms = [term("weights: layers", 10 * GIB), term("activations: forward pass", GIB)]
    found = kv_bounds(20 * GIB, terms)
    assert (20 * GIB - found.low) / GIB == pytest.approx(0.3354, abs=1e-4)
    # 0.15 less and 0.2 less: sqrt(0.0225 + 0.04) = 0.25.
    assert (found.high - 20 * GIB) / GIB == pytest.approx(0.25, abs=1e-4)


def test_a_sampler_that_was_only_read_is_less_sure() -> None:
    terms = [term("activations: sampler", GIB)]
    sure, unsure = (kv_bounds(9 * GIB, terms, sampler_is_measured=known) for known in (True, False))
    assert unsure.low < sure.low < sure.high < unsure.high


NAMES = st.sampled_from(
    ["weights: layers", "activations: sampler", "activations: vision or audio encoder", "context and libraries",
     "CUDA graphs", "rotary tables and copies"]
)  # fmt: skip


@given(st.integers(-(2**36), 2**36), st.lists(st.tuples(NAMES, st.integers(0, 2**36)), max_size=6))
def test_the_expected_lies_inside(kv_bytes: int, found: list[tuple[str, int]]) -> None:
    bounds = kv_bounds(kv_bytes, [term(name, value) for name, value in found])
    assert bounds.low <= kv_bytes <= bounds.high


@pytest.mark.parametrize(
    ("name", "kv_gib"), [("gpt-oss-20b", 50.28), ("llama-3.1-8b-instruct", 51.38), ("qwen3-0.6b", 64.45)]
)
def test_measured_pools_lie_inside(name: str, kv_gib: float) -> None:
    opened = resolve(name)
    assert opened is not None
    card = ServingGpu(name="H100", total_bytes=int(79.18 * GIB), free_bytes=int(78.6 * GIB))
    asked = VllmSettings(version=Release(0, 11), max_model_len=16_000)
    bounds = vllm_memory(served_model(opened), asked, card).tightest.kv_bounds
    assert bounds.low / GIB <= kv_gib <= bounds.high / GIB
