"""What the next quantization or context takes, and what makes room."""

from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.concessions import Situation, concessions, finer_quant
from planner.estimate.described_model import DescribedModel
from planner.estimate.speed import SpeedFacts
from planner.model.presets import preset_storage
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FACTS = SpeedFacts()


def at(name: str, quant: str) -> DescribedModel:
    found = model(name)
    return DescribedModel(name=name, network=found.network, storage=preset_storage(found.network, quant))


def ways(
    name: str, quant: str, n_context: int, memory_gib: float, *, ram_gib: float | None = None
) -> dict[str, list[str]]:
    situation = Situation(machine=machine(card(memory_gib=memory_gib), ram_gib=ram_gib), facts=FACTS)
    row = situation.row(at(name, quant), LlamaCppFlags(n_context_tokens=n_context))
    found: dict[str, list[str]] = {}
    for one in concessions(row, lambda preset: at(name, preset), situation):
        found.setdefault(one.wish, []).append(one.gives if one.row.placement.fits else "does not fit")
    return found


def test_with_room_to_spare_nothing_gives() -> None:
    # 70B: Q4_K_M is 39.6 GiB, Q5_K_M 46.5; 16,384 tokens of cache are 5 GiB.
    assert ways("llama-70b", "Q4_K_M", 8192, 80) == {"Q5_K_M": [""], "16,384 tokens": [""]}


def test_a_cache_in_eight_bits_makes_room_for_twice_the_context() -> None:
    # 39.6 GiB of weights and 0.8 beside them: 32,768 tokens are 10 GiB, 65,536 tokens 20, in 8 bits 10.6.
    found = ways("llama-70b", "Q4_K_M", 32768, 52)
    assert found["65,536 tokens"] == ["KV cache in Q8_0", "does not fit"]


def test_a_shorter_context_makes_room_for_finer_weights() -> None:
    # Q5_K_M is 46.5 GiB and 0.8 beside them; 20 GiB of cache do not go beside them into 60, in 8 bits 10.6 do.
    assert ways("llama-70b", "Q4_K_M", 65536, 60.9)["Q5_K_M"] == ["KV cache in Q8_0", "does not fit"]
    # Into 53 GiB not even those; 16,384 tokens, 5 GiB, do.
    found = ways("llama-70b", "Q4_K_M", 40960, 53)
    assert found["Q5_K_M"] == ["a context of 10,240", "does not fit"] or found["Q5_K_M"][0].startswith(
        "a context of"
    )


def test_experts_in_ram_are_the_last_thing_to_give() -> None:
    # Qwen3-30B-A3B: Q4_K_M is 17.3 GiB, Q6_K 23.4 and does not go onto the card with any cache.
    found = ways("qwen3-30b-a3b", "Q5_K_M", 8192, 23.4, ram_gib=64)
    assert found["Q6_K"][-1].startswith("experts of")


def test_what_does_not_fit_is_told_what_would() -> None:
    # 39.6 GiB of weights do not go into 36; the finest preset that does, with 2.5 GiB of cache, is Q3_K_M (31.9).
    assert ways("llama-70b", "Q4_K_M", 8192, 36)["fit"] == ["Q3_K_M"]
    # In 52 GiB it is the cache of 40 GiB that is too much; in 8 bits it still is, and a quarter of it fits.
    assert ways("llama-70b", "Q4_K_M", 131072, 52)["fit"][0].startswith("a context of")


def test_the_ladder_ends() -> None:
    assert finer_quant(at("llama", "F16")) is None
    assert finer_quant(at("llama", "Q4_K_M")) == "Q5_K_M"
    # A mix of another name goes to the first preset of a tenth more bits: Q4_K_S has 4.6, Q4_K_M 4.9, Q5_K_M 5.7.
    assert finer_quant(at("llama-70b", "Q4_K_S")) == "Q5_K_M"
