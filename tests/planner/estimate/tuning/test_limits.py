"""How far a way of tuning goes, and what would have to give."""

import itertools
from dataclasses import replace

from planner import api
from planner.engines.tuning.settings import TuningSettings
from planner.estimate.tuning import tuning_estimate
from planner.estimate.tuning_limits import cheaper_ways, tuning_limits

CARD = 24 * 2**30


def test_the_longest_length_fits_and_one_more_does_not() -> None:
    network = api.open_model("llama-3.1-8b-instruct").network
    settings = TuningSettings(method="qlora", base_type="nf4-dq")
    limits = tuning_limits(network, settings, CARD)
    assert limits.n_tokens is not None
    assert limits.n_sequences is not None
    n_tokens, n_sequences = limits.n_tokens, limits.n_sequences
    for at_most, beyond in (
        (replace(settings, n_tokens=n_tokens), replace(settings, n_tokens=n_tokens + 1)),
        (replace(settings, n_sequences=n_sequences), replace(settings, n_sequences=n_sequences + 1)),
    ):
        assert tuning_estimate(network, at_most).gpu.expected <= CARD
        assert tuning_estimate(network, beyond).gpu.expected > CARD
    assert not limits.n_tokens_is_trained_length


def test_the_trained_length_is_the_end() -> None:
    network = api.open_model("llama-2-7b-chat-hf").network  # trained for 4,096 tokens
    limits = tuning_limits(network, TuningSettings(), 1000 * 2**30)
    assert limits.n_tokens == 4096
    assert limits.n_tokens_is_trained_length


def test_nothing_fits_a_card_that_is_too_small() -> None:
    network = api.open_model("llama-3.1-70b-instruct").network
    limits = tuning_limits(network, TuningSettings(method="full"), CARD)
    assert (limits.n_tokens, limits.n_sequences) == (None, None)


def test_each_change_needs_less_than_the_one_before() -> None:
    network = api.open_model("qwen3-30b-a3b").network
    start = TuningSettings(method="full", checkpointing=False, attention="eager", n_gpus=4)
    ways = cheaper_ways(network, start)
    needs = [tuning_estimate(network, start).gpu.expected, *(way.estimate.gpu.expected for way in ways)]
    assert all(later < earlier for earlier, later in itertools.pairwise(needs))
    changes = [way.change for way in ways]
    assert changes.index("--checkpointing") < changes.index("--method lora") < changes.index("--method qlora")


def test_qlora_is_offered_as_the_command_would_run_it() -> None:
    """Gemma 3 270M is mostly embeddings, 262,144 · 640: in FP32 they outweigh what four bits save."""
    ways = {way.change: way for way in cheaper_ways(api.open_model("qwen3-8b").network, TuningSettings())}
    assert ways["--method qlora"].estimate.settings.keep_fp32
    assert not ways["--keep-16-bit"].estimate.settings.keep_fp32
    small = [way.change for way in cheaper_ways(api.open_model("gemma-3-270m-it").network, TuningSettings())]
    assert "--method qlora" not in small
    assert "--method qlora --keep-16-bit" in small
