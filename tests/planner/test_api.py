"""The use cases end to end on real parts: the real small model, the real engine, this machine."""

from pathlib import Path

import pytest

from planner import api
from planner.bench.llama_cpp import engine_is_installed, engine_memory
from planner.bench.protocol import MemoryRequest
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import BenchError

needs_engine = pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path))


@needs_engine
@pytest.mark.engine
@pytest.mark.parametrize(
    ("n_context_tokens", "n_ubatch", "flash"), [(512, 512, True), (4096, 512, True), (8192, 128, True), (8192, 512, False)]
)  # fmt: skip
def test_memory_is_what_the_engine_reports(
    smollm2_path: Path, n_context_tokens: int, n_ubatch: int, flash: bool
) -> None:
    """The total of `planner fit` within 3 % of llama.cpp's own account for the same flags.

    The library asks for the logits of a whole batch, where llama-server would ask for those of one token.
    """
    flags = LlamaCppFlags(
        n_context_tokens=n_context_tokens, n_ubatch=n_ubatch, flash_attention=flash, n_outputs=2048
    )
    answer = api.fit(str(smollm2_path), contexts=[n_context_tokens], flags=flags)
    (row,) = answer.rows
    report = engine_memory(
        MemoryRequest(
            model_path=smollm2_path, n_context_tokens=n_context_tokens, n_batch=2048, n_ubatch=n_ubatch,
            flash_attention=flash,
        )
    )  # fmt: skip
    assert row.placement.needed_bytes == pytest.approx(report.memory.total_bytes, rel=0.03)


@needs_engine
@pytest.mark.engine
def test_a_benchmark_becomes_the_estimate(smollm2_path: Path) -> None:
    """After a run the estimate for the same file is its own quartile, to the cache of a shallow test.

    On a busy machine the tests are shortened, to a single token at worst.
    """
    before = api.fit(str(smollm2_path), contexts=[1024]).rows[0]
    assert before.decode.tokens_per_s is None  # nothing is known of this machine's memory yet
    run = api.bench(str(smollm2_path), settings=api.BenchSettings(budget_s=15)).run
    after = api.fit(str(smollm2_path), contexts=[1024]).rows[0]
    assert after.decode.tokens_per_s is not None
    measured = run.measurement("decode")
    assert measured is not None
    # The estimate is for an empty cache; the test averages half its tokens, worth at most a few per cent.
    assert after.decode.tokens_per_s.expected == pytest.approx(measured.quartile_tokens_per_s, rel=0.1)
    prompt = run.measurement("prefill")
    assert prompt is not None
    assert after.prefill.tokens_per_s is not None
    # The estimate is for 512 tokens. Fewer share the reading of the weights between them, so each takes longer.
    if prompt.n_prompt_tokens == 512:
        assert after.prefill.tokens_per_s.expected == pytest.approx(prompt.quartile_tokens_per_s)
    assert after.prefill.tokens_per_s.expected >= 0.9 * prompt.quartile_tokens_per_s


def test_what_is_not_here_cannot_be_measured() -> None:
    with pytest.raises(BenchError, match="download"):
        api.bench("qwen3-8b")


def test_the_catalogue_is_ordered_and_fits() -> None:
    found = api.fit_catalogue(on="RTX 4090, 64GiB DDR5-5600", n_context_tokens=4096)
    assert len(found.rows) > 60
    assert all(row.placement.fits for _, row in found.rows)
    split = [row.placement.split.n_cpu_moe > 0 or row.placement.split.n_gpu_layers <= row.placement.n_layers
             for _, row in found.rows]  # fmt: skip
    assert split == sorted(split)  # whole on the card before split


def test_more_memory_never_fits_fewer_models() -> None:
    small = {name for name, _ in api.fit_catalogue(on="RTX 3060, 16GiB DDR4-3200").rows}
    large = {name for name, _ in api.fit_catalogue(on="RTX 4090, 64GiB DDR5-5600").rows}
    assert small <= large


def test_a_default_context_is_within_what_the_model_was_trained_for(smollm2_path: Path) -> None:
    opened = api.open_model(str(smollm2_path))
    assert api.default_contexts(opened) == (4096, 8192)
