"""`planner model`: the answer first, then its tables; claims that do not match are shown, the rest is quiet."""

import json
from dataclasses import replace
from typing import Any

import pytest

from planner.cli.render import as_csv, as_json, as_markdown, as_table
from planner.model.card import Benchmark, Card, Meaning, Place, StatedParameters
from planner.model.claims import Claim, SourceFacts, card_claims
from planner.model.network import Network, Tower
from planner.model.opened_model import OpenedModel
from planner.model.presets import preset_storage
from planner.readers.config.network import network_from_config
from planner.report.document import Table
from planner.report.full_data import report_data
from planner.report.model_data import model_data
from planner.report.model_document import model_document
from tests.planner.report.reports import SLY, SMOLLM2, cpu_report

# Three gated DeltaNet layers to each full one, a vision tower and a prediction layer beside them.
HYBRID = {
    "model_type": "qwen3_next", "hidden_size": 2048, "num_hidden_layers": 8, "num_attention_heads": 16,
    "num_key_value_heads": 2, "head_dim": 256, "intermediate_size": 5120, "moe_intermediate_size": 512,
    "num_experts": 64, "num_experts_per_tok": 8, "shared_expert_intermediate_size": 512, "vocab_size": 151_936,
    "full_attention_interval": 4, "linear_num_value_heads": 32, "linear_num_key_heads": 16,
    "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
    "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": False,
    "max_position_embeddings": 262_144,
}  # fmt: skip


def opened(network: Network = SMOLLM2, **more: Any) -> OpenedModel:
    return OpenedModel(reference="org/name", name="name", source="config.json", network=network, **more)


def claim(what: str, agrees: bool | None, **more: Any) -> Claim:
    return Claim(what=what, claimed="1B", found="2 B", agrees=agrees, source="card, text", **more)


def table_of(document: Any, start: str) -> Table:
    (found,) = [table for table in document.tables if table.title.startswith(start)]
    assert isinstance(found, Table)
    return found


def test_parts_are_shown_apart_and_add_up() -> None:
    network = replace(
        network_from_config(HYBRID), towers=(Tower(name="vision", parameters=1_000_000),), stored_copies=2048
    )
    document = model_document(opened(network, stored_elements=999))
    rows = {row[0]: row[1] for row in table_of(document, "Parameters").rows}
    parts = [rows[name] for name in ("language model", "vision", "stored a second time")]
    total = rows["total"]
    assert sum(int(str(part).replace(",", "")) for part in parts) == int(str(total).replace(",", ""))
    assert rows["elements in the files"] == "999"  # not what was counted: shown, and not added


def test_layers_by_kind_with_cache_and_state() -> None:
    layers = table_of(model_document(opened(network_from_config(HYBRID))), "Layers")
    (delta, full) = layers.rows
    assert layers.headers == ("kind", "layers", "which", "parameters", "KV/token", "state")
    assert (delta[1], full[1]) == (6, 2)
    # Full: 2 heads · 256 · 2 (K and V) · 2 bytes = 2,048 bytes a token and layer.
    assert (full[4], full[5]) == ("2.0 KiB", "–")
    # DeltaNet: 32 · 128 · 128 state and (2·2048 + 4096) · 3 convolution inputs, in f32: 2.09 MiB, whatever the context.
    assert pytest.approx(2.09, abs=0.005) == (4 * (32 * 128 * 128 + 8192 * 3)) / 2**20
    assert (delta[4], delta[5]) == ("–", "2.1 MiB")


def test_a_model_without_state_has_no_column_for_it() -> None:
    document = model_document(opened())
    assert table_of(document, "Layers").headers[-1] == "KV/token"
    assert len(table_of(document, "Cache").rows) == 1


def test_claims_that_differ_stand_in_the_answer_and_a_table_and_agreement_is_one_line() -> None:
    claims = (
        claim("context", True),
        claim("total parameters", True, note="language model"),
        claim("quantization", None, note="not said"),
        claim("licence", False),
    )
    document = model_document(opened(claims=claims))
    assert document.answer[-1] == "What is claimed of its licence is not what was found."
    table = table_of(document, "Claims")
    assert [(row[0], row[4]) for row in table.rows] == [
        ("licence", "differs"),
        ("quantization", "open: not said"),
    ]
    assert document.notes == ("found as claimed: context 1B, total parameters 1B (language model)",)
    agreeing = model_document(opened(claims=claims[:2]))
    assert not [table for table in agreeing.tables if table.title.startswith("Claims")]
    assert "claimed" not in " ".join(agreeing.answer)


def test_the_card_is_one_line_and_its_results_a_short_table() -> None:
    results = tuple(
        Benchmark(dataset=f"set-{i}", metric="acc", task=None, value=float(i), value_text=str(i))
        for i in range(20)
    )
    card = Card(
        licence="other", licence_name="thing-1.0", base_models=("a/b", "c/d", "e/f", "g/h"), base_relation="merge",
        languages=tuple("abcdef"), benchmarks=results, n_benchmarks=20, gated=True,
    )  # fmt: skip
    document = model_document(opened(card=card, licence=card.licence_shown))
    assert "Licence: thing-1.0." in document.answer
    expected = (
        "its card: licence thing-1.0; merged of a/b, c/d, e/f and 1 more; 6 languages; gated: its files need"
    )
    (note,) = document.notes
    assert note == f"{expected} an accepted licence"
    table = table_of(document, "Results stated in the card's metadata, 8 of 20")
    assert len(table.rows) == 8
    assert len(model_document(opened(card=card)).data["card"]["benchmarks"]) == 20


def test_json_has_everything_with_units_in_its_keys() -> None:
    stated = StatedParameters(meaning=Meaning.TOTAL, value=135e6, step=1e6, text="135M", place=Place.LABELLED)
    card = Card(parameters=(stated,))
    facts = SourceFacts(source="config.json", rope_kind="yarn", rope_factor=4.0, original_context_tokens=2048)
    model = opened(card=card, facts=facts, claims=card_claims(card, SMOLLM2, facts, ()),
                   storage=preset_storage(SMOLLM2, "Q4_K_M"))  # fmt: skip
    data = json.loads(as_json(model_document(model)))
    assert data["schema"] == "planner.model/1"
    (found,) = data["claims"]
    # 134,515,008: 30 layers of 3,540,096 (see docs/tutorial.md), a table of 49,152 · 576 and a norm of 576.
    assert (found["claimed_parameters"], found["found_parameters"], found["agrees"]) == (
        [135_000_000], 30 * 3_540_096 + 49_152 * 576 + 576, True,
    )  # fmt: skip
    assert data["rope_scaling"]["original_context_tokens"] == 2048
    assert data["card"]["stated_parameters"][0]["parameters"] == 135_000_000
    # 3 heads · 64 · 2 · 2 bytes in each of 30 layers.
    assert data["layers"][0]["kv_bytes_per_token"] == 768
    assert data["kv_bytes_per_token"] == 30 * 768
    assert (
        sum(kind["n_bytes"] for kind in data["storage"]["by_type"].values())
        == data["storage"]["tensor_bytes"]
    )


def test_the_report_describes_a_model_by_the_same_function() -> None:
    report = cpu_report()
    assert report_data(report)["model"] == model_data(report.opened)
    shown = model_document(report.opened).data
    assert set(report_data(report)["model"]) <= set(shown)
    # A preset predicted for a model that has no storage of its own is what the report speaks of.
    predicted = replace(report.opened, storage=None)
    assert model_data(predicted)["storage"] is None
    assert model_data(predicted, preset_storage(SMOLLM2, "Q8_0"))["storage"]["predicted"] is True


@pytest.mark.parametrize("name", ["x" * 500, SLY])
def test_text_from_outside_stays_in_its_place(name: str) -> None:
    card = Card(
        licence=name, licence_link=name, base_models=(name,) * 9, quantized_by=name, pipeline=name, languages=(name,),
        benchmarks=(Benchmark(dataset=name, metric=name, task=name, value=None, value_text=name),), n_benchmarks=1,
    )  # fmt: skip
    odd = Claim(what="licence", claimed=name, found=name, agrees=False, source=name, note="x")
    facts = SourceFacts(source="config.json", quantization=name)
    document = model_document(
        replace(opened(card=card, claims=(odd,), facts=facts, licence=name), name=name, notes=(name,))
    )
    for line in as_table(document, 80).splitlines():
        assert len(line) <= 80 or "x" * 60 in line
        assert line.isprintable()
    assert "\x1b" not in as_markdown(document) + as_csv(document)
    json.loads(as_json(document))
