"""Rows of load logs: what is read from them, what is never read, and what is predicted."""

import csv
from pathlib import Path

import pytest

from planner.errors import MalformedError
from planner.estimate.llama_cpp_rows.model import Known, RowModel, row_model
from planner.estimate.llama_cpp_rows.names import file_name, names, stored_as
from planner.estimate.llama_cpp_rows.predict import LoadPrediction, LoadPredictor
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.estimate.served.component import Component
from planner.readers.catalogue_lookup import known_networks
from planner.readers.recorded_network import network_of_columns

LOADS = Path(__file__).with_name("loads.csv")
MIB = 2**20
with LOADS.open(encoding="utf-8", newline="") as file:
    ROWS = {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def known() -> tuple[Known, ...]:
    return known_networks()


@pytest.fixture(scope="module")
def predictor(known: tuple[Known, ...]) -> LoadPredictor:
    return LoadPredictor(known, network_of_columns)


def component(found: LoadPrediction, name: str) -> Component:
    return next(part for part in found.components if part.name == name)


# Engine, metadata and settings of the row, and the model that they describe.
@pytest.mark.parametrize(
    ("row", "model"),
    [
        ("L0020", "qwen3-coder-30b-a3b-instruct"),
        ("L0079", "llama-3.1-8b-instruct"),
        ("L0084", "deepseek-r1"),
        ("L0188", "gemma-4-e4b-it"),
        ("L0103", "llama-3.1-8b-instruct"),  # by its name alone
    ],
)
def test_the_network_is_told_by_metadata_or_name(known: tuple[Known, ...], row: str, model: str) -> None:
    found = row_model(LoadRow(ROWS[row]), known, network_of_columns)
    assert isinstance(found, RowModel)
    assert found.name == model


def test_one_wrong_figure_is_another_network(known: tuple[Known, ...]) -> None:
    row = ROWS["L0079"] | {"n_vocab": "128255"}
    found = row_model(LoadRow(row), known, network_of_columns)
    assert isinstance(found, RowModel)
    assert found.told_by == "columns"  # built from the row, not taken for its neighbour


def test_without_metadata_and_name_there_is_a_reason(predictor: LoadPredictor) -> None:
    found = predictor.predict(ROWS["L0252"])
    assert all(part.expected is None and part.reason for part in found.components)


def test_caches_are_those_that_the_log_prints(predictor: LoadPredictor) -> None:
    # L0020: 48 layers, 4 KV heads of 128, K and V, 2 bytes, 4096 cells = 384 MiB.
    assert (
        component(predictor.predict(ROWS["L0020"]), "kv").expected == 48 * 4 * 128 * 2 * 2 * 4096 == 384 * MIB
    )
    # L0188: 4 full layers of 65,536 cells and 20 of 1,024; 2 KV heads of 512 and of 256 = 1064 MiB.
    full, windowed = 4 * 65_536 * 2 * 512 * 2 * 2, 20 * 1024 * 2 * 256 * 2 * 2
    assert component(predictor.predict(ROWS["L0188"]), "kv").expected == full + windowed == 1064 * MIB


def test_weights_are_those_of_the_file(predictor: LoadPredictor) -> None:
    for row in ("L0020", "L0079", "L0244"):
        error = component(predictor.predict(ROWS[row]), "weights").error_fraction
        assert error is not None
        assert error < 0.002, row


def test_no_printed_size_is_an_input(predictor: LoadPredictor) -> None:
    row = ROWS["L0079"]
    sizes = [c for c in row if c.endswith("_mib") and c != "attn_max_b_ik_mib"]
    doubled = {
        column: ";".join(f"{name}={2 * float(size)}" for name, _, size in (p.partition("=") for p in text.split(";")))
        if "=" in text else str(2 * float(text)) if text else ""
        for column, text in ((column, row[column]) for column in sizes)
    }  # fmt: skip
    first, second = predictor.predict(row), predictor.predict(row | doubled)
    assert [part.expected for part in first.components] == [part.expected for part in second.components]
    assert [part.measured for part in first.components] != [part.measured for part in second.components]


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        ("n_layer", "many", "column n_layer holds 'many', expected a number"),
        ("tensor_type_counts", "f32", "expected TYPE=COUNT"),
        ("model_buf_detail_mib", "CUDA0", "expected BUFFER=MIB"),
        ("kv_total_mib", "inf", "expected a finite number"),
        ("n_head_kv", "[1, 2", "expected a list of numbers"),
        ("engine", "exllama", "expected one of"),
    ],
)
def test_a_cell_that_cannot_be_read_names_its_column(
    predictor: LoadPredictor, column: str, text: str, words: str
) -> None:
    with pytest.raises(MalformedError, match=words):
        predictor.predict(ROWS["L0079"] | {column: text})


def test_names_are_taken_apart() -> None:
    text = r"Qwen3-30B-A3B [F:\llm\Qwen3-30B-A3B-Q5_K_M.gguf]"
    assert file_name(text) == "Qwen3-30B-A3B-Q5_K_M.gguf"
    assert stored_as(text) == "Q5_K_M"
    assert "Qwen3-30B-A3B" in list(names(text))
    assert "DeepSeek-R1" in list(names("DeepSeek-R1-UD-Q2_K_XL-00001-of-00005.gguf"))
    assert file_name("gpt-oss:120b") is None


@pytest.mark.parametrize(
    "command",
    [
        r'llama-server -m x.gguf -ngl 99 -ot "([a-z]+)+!=CPU"',  # would take for ever on a tensor's name
        'llama-server -m x.gguf -ngl 99 -ot "blk.(=CPU"',  # no regular expression
        "llama-server -m x.gguf -ngl 99 -np 1000000000",
    ],
)
def test_a_command_line_is_data_that_cannot_be_trusted(predictor: LoadPredictor, command: str) -> None:
    found = predictor.predict(ROWS["L0079"] | {"command": command, "n_seq_max": "1"})
    assert component(found, "kv").expected == 2048 * MIB


def test_a_command_line_at_the_tables_limit_is_cut_off() -> None:
    whole = "llama-server -m x.gguf -ngl 99 -ts 24,24,24"
    assert not LoadRow({"command": whole}).command.is_cut  # type: ignore[union-attr]
    cut = LoadRow({"command": whole.ljust(299, "4") + "4"}).command
    assert cut is not None
    assert cut.is_cut
    assert cut.tensor_split == ()  # its last word may lack an end


@pytest.mark.parametrize(
    ("column", "text"), [("n_seq_max", "5000"), ("n_layer", "-1"), ("pipeline_n_copies", "999")]
)
def test_numbers_beyond_anything_real_are_refused(predictor: LoadPredictor, column: str, text: str) -> None:
    with pytest.raises(MalformedError, match="expected a whole number up to"):
        predictor.predict(ROWS["L0079"] | {column: text, "engine": "ik_llama.cpp"})


@pytest.mark.parametrize(
    ("n_context", "n_batch", "n"),
    [
        (
            4096,
            4096,
            8,
        ),  # windows of 512 side by side in a batch of 4096: L0202 prints 4.64 MiB for 151936 words
        (512, 512, 1),  # L0214
        (4096, 512, 1),  # -c 4096, beyond the batch: L0222 prints 1.00 MiB for 262144 words
    ],
)
def test_a_perplexity_log_without_its_command_keeps_a_row_of_logits_for_every_window(
    predictor: LoadPredictor, n_context: int, n_batch: int, n: int
) -> None:
    """Output buffer: words · 4 bytes for each sequence (llama_output_reserve); 128256 words here."""
    row = ROWS["L0079"] | {
        "engine": "ik_llama.cpp", "source": "models/x/bench_ppl_kld_result.baseline.bf16.250.txt", "command": "",
        "n_ctx_tokens": str(n_context), "n_batch": str(n_batch), "n_ubatch": "512", "n_seq_max": "",
    }  # fmt: skip
    assert component(predictor.predict(row), "output").expected == 128_256 * 4 * n
    other = predictor.predict(row | {"source": "models/x/server.txt"})
    assert component(other, "output").expected == 128_256 * 4
