"""Speculative decoding: a draft's flags, copies of state, and the cache of prediction layers."""

import pytest

from planner import api
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.draft import draft_flags, mtp_compute_bytes, mtp_kv_bytes, target_flags
from planner.errors import MissingFactError

FLAGS = LlamaCppFlags(n_context_tokens=262_144, k_type="Q8_0", v_type="Q8_0", rollback_sequences=3)


def test_a_draft_has_the_targets_length_and_its_own_cache_types() -> None:
    found = draft_flags(FLAGS)
    assert (found.n_context_tokens, found.k_type, found.v_type) == (262_144, "F16", "F16")
    assert found.rollback_sequences == 0
    assert draft_flags(FLAGS, k_type="Q8_0").k_type == "Q8_0"


def test_mtp_keeps_a_state_for_each_drafted_token_and_a_draft_model_none() -> None:
    assert target_flags(FLAGS, "draft").rollback_sequences == 0
    assert target_flags(FLAGS, "mtp").rollback_sequences == 3
    assert target_flags(FLAGS, "eagle3", 6).rollback_sequences == 6


def test_the_mtp_cache_of_a_recorded_log() -> None:
    """Qwen3.6 27B: a log at 262,144 tokens prints 1,024.00 MiB for the draft layer in F16."""
    network = api.open_model("qwen3.6-27b").network
    assert mtp_kv_bytes(network, draft_flags(FLAGS)) == 1024 * 2**20


def test_the_mtp_cache_of_mla_is_its_latent() -> None:
    """DeepSeek V3: 512 + 64 elements of 2 bytes for 4,096 cells."""
    network = api.open_model("deepseek-v3").network
    assert mtp_kv_bytes(network, LlamaCppFlags(n_context_tokens=4096)) == 4096 * 576 * 2


@pytest.mark.parametrize(
    ("n_tokens", "n_ubatch", "mib", "within"),
    [(4096, 512, 158, 0), (32_768, 512, 212, 0.26), (131_072, 512, 200, 0), (131_072, 2048, 800, 0)],
)
def test_the_mtp_compute_buffer_of_the_engine(n_tokens: int, n_ubatch: int, mib: int, within: float) -> None:
    """llama-cpp-python 0.3.36 planning GLM-4.5-Air's MTP context on a pretended H100; 32,768 leaves a hole."""
    network = api.open_model("glm-4.5-air").network
    found = mtp_compute_bytes(network, LlamaCppFlags(n_context_tokens=n_tokens, n_ubatch=n_ubatch))
    assert found == pytest.approx(mib * 2**20, rel=within or 1e-9)


def test_longer_contexts_and_more_sequences_never_need_less() -> None:
    network = api.open_model("glm-4.5-air").network
    for rule in (mtp_kv_bytes, mtp_compute_bytes):
        sizes = [rule(network, LlamaCppFlags(n_context_tokens=n)) for n in (1024, 4096, 65_536)]
        assert sizes == sorted(sizes)
        apart = LlamaCppFlags(n_context_tokens=65_536, n_sequences=4, unified_cache=False)
        assert rule(network, apart) >= 0


def test_a_model_without_prediction_layers_says_so() -> None:
    with pytest.raises(MissingFactError, match="no extra prediction layers"):
        mtp_kv_bytes(api.open_model("llama-3.1-8b-instruct").network, FLAGS)
