"""What a log counts in main memory beside what has to be free: mapped stretches, and copies for AMX."""

from planner.engines.llama_cpp.host_buffers import amx_bytes, in_file_order, mapped_bytes
from planner.model.presets import preset_storage
from planner.model.storage import StoredWeight
from planner.readers.open_model import open_model

MIB = 2**20
LLAMA = preset_storage(open_model("llama-3.1-8b-instruct").network, "Q4_K_M")


def test_amx_copies_are_those_of_a_log() -> None:
    # ik_llama.cpp's issue 437: Meta-Llama-3.1-8B-Instruct-Q4_K_M, "AMX model buffer size = 4491.48 MiB".
    assert round(amx_bytes(LLAMA.weights) / MIB, 2) == 4491.48


def test_a_file_is_written_by_layer_and_name() -> None:
    ordered = in_file_order(LLAMA)
    assert [w.role for w in ordered[:3]] == ["output", "output_norm", "token_embd"]
    assert [w.role for w in ordered if w.layer == 0][:3] == ["attn_k", "attn_norm", "attn_output"]


def test_a_stretch_spans_what_lies_elsewhere() -> None:
    def table_alone(weight: StoredWeight) -> bool:
        return weight.role == "token_embd"

    def up_matrices(weight: StoredWeight) -> bool:
        return table_alone(weight) or weight.role == "ffn_up"

    table = next(w.n_bytes for w in LLAMA.weights if w.role == "token_embd")
    head = sum(w.n_bytes for w in LLAMA.weights if w.role in ("output", "output_norm"))
    assert mapped_bytes(LLAMA, table_alone) == table
    # From the table to the last layer's ffn_up, its last tensor by name: everything but the head in front.
    assert mapped_bytes(LLAMA, up_matrices) == LLAMA.total_bytes - head
    assert mapped_bytes(LLAMA, lambda _: False) == 0


def test_files_have_stretches_of_their_own() -> None:
    def every_fourth(weight: StoredWeight) -> bool:
        return weight.role == "attn_q" and weight.layer is not None and weight.layer % 8 == 7

    one, four = (mapped_bytes(LLAMA, every_fourth, n) for n in (1, 4))
    assert 0 < four < one
