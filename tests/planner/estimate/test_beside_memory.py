"""Terms of what lies beside a model: projector, draft model, prediction layers."""

from dataclasses import replace

from hardware.spec import Basis
from hardware.units import GIB
from planner import api
from planner.engines.ik_llama_cpp.command_line import parse_tokens
from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.engines.llama_cpp.projector import ProjectorShape
from planner.estimate.beside_memory import Beside, draft_loads, mtp_terms, projector_terms
from planner.estimate.fit import fit_row
from planner.estimate.memory import Device, memory_loads
from planner.estimate.speed import SpeedFacts
from planner.estimate.term import Term
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

GEMMA = ProjectorShape(
    kind="gemma3", hidden_size=1152, feed_forward_size=4304, n_heads=16, image_pixels=896, patch_pixels=14,
    projection_size=2560,
)  # fmt: skip
QWEN = ProjectorShape(
    kind="qwen2vl_merger", hidden_size=1280, feed_forward_size=5120, n_heads=16, image_pixels=560,
    patch_pixels=14, projection_size=3584,
)  # fmt: skip
EARS = ProjectorShape(kind="qwen2a", hidden_size=1280, feed_forward_size=5120, n_heads=20)
GPU = Device(name="GPU 0", is_gpu=True, capacity_bytes=24 * 2**30)
RAM = Device(name="RAM", is_gpu=False, capacity_bytes=64 * 2**30)
FLAGS = LlamaCppFlags(n_context_tokens=8192, k_type="Q8_0", v_type="Q8_0")


def test_each_encoder_has_buffers_of_its_own() -> None:
    terms = projector_terms((GEMMA, EARS), 1000)
    assert [term.name for term in terms] == ["projector", "projector compute", "projector compute"]
    # (3·1152 + 4304)·4096·4, and (3·1280 + 5120)·1500·4
    assert [term.value for term in terms] == [1000, 127_139_840, 53_760_000]


def test_the_largest_image_needs_more_than_the_one_tried_at_start() -> None:
    large = projector_terms((QWEN,), 1000)[1].value
    start = projector_terms((QWEN,), 1000, largest_image=False)[1].value
    capped = projector_terms((QWEN,), 1000, most_image_tokens=256)[1].value
    assert capped < start < large


def test_a_draft_model_is_a_model_with_its_own_flags_and_no_driver_of_its_own() -> None:
    (draft,) = api.described_models(api.open_model("qwen3-0.6b"), ("Q8_0",))
    split = Split(n_gpu_layers=99)
    found = draft_loads(draft, FLAGS, split, (GPU,), RAM)
    plain = memory_loads(draft, LlamaCppFlags(n_context_tokens=8192), split, (GPU,), RAM)
    assert found[0].term_bytes("draft KV cache") == plain[0].term_bytes("KV cache")
    assert found[0].needed_bytes == plain[0].needed_bytes - plain[0].term_bytes("engine and driver")
    assert all(term.name.startswith("draft ") for load in found for term in load.terms)


def test_prediction_layers_add_a_cache_and_a_buffer() -> None:
    """GLM-4.5-Air: 8 heads of 128 for K and V in F16, 8,192 cells: 2 · 1,024 · 2 · 8,192."""
    cache, compute = mtp_terms(api.open_model("glm-4.5-air").network, FLAGS)
    assert cache.value == 2 * 1024 * 2 * 8192
    assert compute.value > 0


def test_what_runs_beside_a_model_takes_room_and_stands_in_the_command() -> None:
    found, helper = model("llama-70b"), replace(model("llama"), file_name="draft.gguf")
    picture = Term(name="projector", value=3 * GIB, unit="bytes", basis=Basis.MEASURED, source="test")
    both = Beside(projector=(picture,), projector_file="mmproj.gguf", draft=helper)
    box = machine(card(memory_gib=48))
    flags = LlamaCppFlags(n_context_tokens=8192)
    facts = SpeedFacts()
    alone, beside = fit_row(found, box, flags, facts), fit_row(found, box, flags, facts, beside=both)
    gpu = beside.placement.loads[0]
    assert gpu.term_bytes("projector") == 3 * GIB
    # Its own weights and cache, as if it stood there alone; the driver counts once.
    own = fit_row(helper, box, flags, facts).placement.loads[0]
    for name in ("weights", "KV cache"):
        assert gpu.term_bytes(f"draft {name}") == own.term_bytes(name) > 0
    assert gpu.term_bytes("engine and driver") == own.term_bytes("engine and driver")
    # 70B takes 42 of 48 GiB: with 3 GiB and 2.5 GiB beside it, layers have to leave the card, or the context to shrink.
    assert alone.placement.split.n_gpu_layers == 81
    assert beside.placement.fits
    assert (beside.largest_context_tokens or 0) < (alone.largest_context_tokens or 0)
    line = parse_tokens(beside.command)
    assert (line.mmproj, line.draft_model) == ("mmproj.gguf", "draft.gguf")
    assert parse_tokens(alone.command).draft_model is None
