"""Where a model goes: whole, with experts in RAM, in part, or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.estimate.fit import server_command
from planner.estimate.memory import devices, layer_devices, memory_loads
from planner.estimate.placement import largest_context, place
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=8192)


def test_a_small_model_goes_whole_onto_the_card() -> None:
    placement = place(model("llama"), machine(card()), FLAGS)
    assert placement.fits
    assert placement.kind == "on the GPU"
    assert placement.split.n_gpu_layers == 17  # 16 layers and the head


def test_a_large_dense_model_leaves_its_first_layers_in_ram() -> None:
    # 70B at Q4_K_M is 39.6 GiB: about half of it fits in 24 GiB.
    found = model("llama-70b")
    placement = place(found, machine(card()), FLAGS)
    assert placement.fits
    n = placement.split.n_gpu_layers
    assert 30 < n < 50
    # One layer more would not fit: the split is as large as it can be.
    gpus, ram = devices(machine(card()))
    more = memory_loads(found, FLAGS, Split(n_gpu_layers=n + 1), gpus, ram)
    assert not more[0].fits


def test_a_mixture_keeps_every_layer_on_the_card_and_moves_experts() -> None:
    # Qwen3-30B-A3B at Q4_K_M is 17.3 GiB, of which about 16 are experts; a 12 GiB card takes the rest.
    placement = place(model("qwen3-30b-a3b"), machine(card(memory_gib=12)), FLAGS)
    assert placement.fits
    assert placement.split.n_gpu_layers == 49
    assert 10 < placement.split.n_cpu_moe < 40
    command = server_command(model("qwen3-30b-a3b"), placement)
    assert command[command.index("--n-cpu-moe") + 1] == str(placement.split.n_cpu_moe)


def test_several_requests_share_one_cache_as_planned() -> None:
    flags = LlamaCppFlags(n_context_tokens=8192, n_sequences=4)
    found = model("llama")
    assert "-kvu" in server_command(found, place(found, machine(card()), flags))
    assert "-kvu" not in server_command(found, place(found, machine(card()), FLAGS))


def test_what_does_not_fit_is_a_result_with_the_shortfall() -> None:
    placement = place(model("llama-70b"), machine(ram_gib=16), FLAGS)
    assert not placement.fits
    assert placement.loads[0].free_bytes < -20 * 2**30


def test_the_head_goes_to_the_gpu_first_and_the_first_layers_last() -> None:
    gpus, _ = devices(machine(card(0), card(1)))
    # 4 layers and the head, 3 offloaded: layers 0 and 1 stay, 2 and 3 and the head are shared in halves.
    assert layer_devices(4, Split(n_gpu_layers=3), gpus) == (None, None, 0, 0, 1)
    assert layer_devices(4, Split(n_gpu_layers=0), gpus) == (None,) * 5


def test_largest_context_is_the_edge() -> None:
    found, box = model("llama"), machine(card(memory_gib=4))
    split = place(found, box, FLAGS).split
    edge = largest_context(found, box, FLAGS, split)
    assert edge is not None
    assert edge % 256 == 0

    def fits(n: int) -> bool:
        gpus, ram = devices(box)
        return all(
            load.fits for load in memory_loads(found, LlamaCppFlags(n_context_tokens=n), split, gpus, ram)
        )

    assert fits(edge)
    assert not fits(edge + 256) or edge == found.network.context_tokens


@given(
    n_gpu_layers=st.integers(0, 81),
    n_cpu_moe=st.integers(0, 48),
    n_cards=st.integers(1, 4),
    name=st.sampled_from(["llama-70b", "qwen3-30b-a3b"]),
)
def test_splitting_conserves_weights_and_cache(
    n_gpu_layers: int, n_cpu_moe: int, n_cards: int, name: str
) -> None:
    """However a model is split, the same bytes lie somewhere; nothing is lost or counted twice."""
    found = model(name)
    gpus, ram = devices(machine(*(card(i) for i in range(n_cards))))
    loads = memory_loads(found, FLAGS, Split(n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe), gpus, ram)
    weights = sum(load.term_bytes(name) for load in loads for name in ("weights", "experts", "embedding"))
    # CUDA reads the last row of a quantized tensor to a multiple of 512 elements, which is at most 511 · 34 / 32
    # bytes of q8_0, and tensors start on multiples of 128 bytes.
    padding = (544 + 128) * len(found.storage.weights)
    assert found.storage.total_bytes <= weights <= found.storage.total_bytes + padding
    whole = place(found, machine(ram_gib=4096), FLAGS).loads[0]
    assert sum(load.term_bytes("KV cache") for load in loads) == whole.term_bytes("KV cache")


def test_a_tied_head_is_copied_to_the_card() -> None:
    found = model("llama")  # ties its embedding table of 128,256 · 2048 elements in Q6_K
    placement = place(found, machine(card()), FLAGS)
    weights = sum(load.term_bytes(name) for load in placement.loads for name in ("weights", "embedding"))
    assert weights == found.storage.total_bytes + found.embedding_bytes


def test_unified_memory_is_one_pool() -> None:
    box = machine(card(memory_gib=48, unified=True), ram_gib=64)
    placement = place(model("llama"), box, FLAGS)
    assert [load.device.name for load in placement.loads] == ["GPU 0"]
    assert placement.loads[0].term_bytes("embedding") > 0
