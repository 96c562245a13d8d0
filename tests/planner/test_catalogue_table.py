"""The catalogue at many quantizations and contexts says of each what `fit` says of it alone."""

import json
from pathlib import Path

import pytest

from planner import api
from planner.model.preset_rules import FOR_TRAINED_BITS
from planner.model.presets import BASE_TYPES
from profiles import loader

CONTEXTS = (4096, 16384, 40000, 131072)
# Dense, of experts, with windows, latent, hybrid, published in four bits, of a graph that is not described.
SAMPLE = (
    ("qwen3-8b", "Q4_K_M"), ("qwen3-30b-a3b", "IQ2_XS"), ("gemma-3-27b-it", "Q3_K_S"),
    ("deepseek-v2-lite-chat", "Q8_0"), ("granite-4.0-h-tiny", "Q6_K"), ("gpt-oss-20b", "MXFP4_MOE"),
    ("falcon-h1-34b-instruct", "IQ1_S"), ("smollm2-135m-instruct", "F32"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize(
    "on", ["Ryzen 9 7950X, 64GiB DDR5-5600", "RTX 4090, 64GiB DDR5-5600", "2x RTX 4090, 128GiB"]
)
def test_each_is_what_fit_says_of_it_alone(on: str) -> None:
    found = api.fit_catalogue_table(on=on, contexts=CONTEXTS)
    by_id = {model.id: model for model in found.models}
    n_compared = 0
    for model_id, preset in SAMPLE:
        if model_id not in by_id:
            continue
        model = by_id[model_id]
        row = model.presets.index(preset)
        alone = api.fit(model_id, on=on, contexts=model.n_context_tokens, quants=(preset,))
        for column, single in enumerate(alone.rows):
            split = single.placement.split
            on_one = (
                split.n_gpu_layers == 0
                or sum(bool(load.terms) for load in single.placement.loads if load.device.is_gpu) == 1
            )
            whole = (
                on_one
                and (not found.home.gpus or split.n_gpu_layers > single.placement.n_layers)
                and not split.n_cpu_moe
            )
            assert model.memory.fits[row, column] == (whole and single.placement.fits)
            if not model.memory.fits[row, column]:
                continue
            assert model.memory.needed_bytes[row, column] == single.placement.needed_bytes
            if single.decode.tokens_per_s is None or single.decode_full.tokens_per_s is None:
                assert model.decode is None
                assert model.missing == single.decode.missing
                continue
            assert model.decode is not None
            assert model.decode_full is not None
            for name in ("low", "expected", "high"):
                empty, full = getattr(model.decode, name)[row], getattr(model.decode_full, name)[row, column]
                assert empty == pytest.approx(getattr(single.decode.tokens_per_s, name), rel=1e-9)
                assert full == pytest.approx(getattr(single.decode_full.tokens_per_s, name), rel=1e-9)
            n_compared += 1
    assert n_compared >= 12


def test_every_quantization_is_there_and_the_finest_is_the_largest_that_fits() -> None:
    found = api.fit_catalogue_table(on="Ryzen 9 7950X, 64GiB DDR5-5600", contexts=CONTEXTS)
    assert {preset for model in found.models for preset in model.presets} == set(
        BASE_TYPES
    ) - FOR_TRAINED_BITS
    assert sum(model.memory.fits.size for model in found.models) > 30_000
    for model in found.models:
        assert model.memory.needed_bytes.shape == (len(model.presets), len(CONTEXTS))
        for column in range(len(CONTEXTS)):
            row = model.finest(column)
            fitting = model.memory.fits[:, column]
            assert (row is None) == (not fitting.any())
            if row is not None:
                needed = model.memory.needed_bytes[:, column]
                assert fitting[row]
                assert needed[row] == needed[fitting].max()
        # More context never needs less.
        assert (model.memory.needed_bytes[:, 1:] >= model.memory.needed_bytes[:, :-1]).all()


def test_a_model_of_ones_own_is_worked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = loader.model_entry("qwen3-0.6b") | {"id": "mine", "name": "Mine", "hub_id": None, "aliases": []}
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.json").write_text(json.dumps(entry))
    monkeypatch.setenv("PLANNER_PROFILES_DIR", str(tmp_path))
    loader.forget_models()
    found = api.fit_catalogue_table(
        on="Ryzen 9 7950X, 64GiB DDR5-5600", contexts=(4096,), quants=("Q4_K_M", "Q8_0")
    )
    by_id = {model.id: model for model in found.models}
    packaged, own = by_id["qwen3-0.6b"], by_id["mine"]
    assert own.presets == packaged.presets == ("Q4_K_M", "Q8_0")
    assert (own.memory.needed_bytes == packaged.memory.needed_bytes).all()
    loader.forget_models()
