"""How ranks share weights: what is split, what is replicated, and that nothing is lost on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.rank_weights import Part, WeightRules, rank_weights
from planner.engines.sharding import Parallel, kv_heads_per_rank, padded_vocab, stage_layers
from planner.model.formats.layout import FormatLayout
from planner.model.network import Network
from planner.readers.catalogue_lookup import catalogue_resolver

resolve = catalogue_resolver()
NAMES = ("llama-3.1-8b-instruct", "qwen3-30b-a3b", "deepseek-v3", "qwen3.5-27b", "nemotron-3-nano-30b-a3b",
         "gpt-oss-20b", "gemma-3-27b-it", "qwen3-next-80b-a3b-instruct")  # fmt: skip


def published(name: str) -> tuple[Network, FormatLayout]:
    opened = resolve(name)
    assert opened is not None
    assert opened.published is not None
    return opened.network, opened.published


def test_kv_heads_are_replicated_when_ranks_outnumber_them() -> None:
    assert kv_heads_per_rank(8, 1) == 8
    assert kv_heads_per_rank(8, 4) == 2
    assert kv_heads_per_rank(4, 16) == 1


def test_vocabularies_are_padded_to_64() -> None:
    assert padded_vocab(128_256) == 128_256  # 2004 · 64
    assert padded_vocab(50_257) == 50_304  # GPT-2: 785.3 · 64, so 786


def test_spare_layers_go_to_the_stages_before_the_last() -> None:
    # vllm/distributed/utils.py: 61 layers over 4 stages are 15 each and one to spare, for the last but one.
    assert [len(stage) for stage in stage_layers(61, 4)] == [15, 15, 16, 15]
    assert [len(stage) for stage in stage_layers(62, 4)] == [15, 16, 16, 15]
    with pytest.raises(ValueError, match="cannot fill"):
        stage_layers(3, 4)


@given(st.integers(1, 130), st.integers(1, 16))
def test_stages_cover_every_layer_once(n_layers: int, n_stages: int) -> None:
    if n_stages > n_layers:
        return
    covered = [layer for stage in stage_layers(n_layers, n_stages) for layer in stage]
    assert covered == list(range(n_layers))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tensor", [1, 2, 4, 8])
def test_ranks_together_hold_the_whole_and_every_replica(name: str, tensor: int) -> None:
    network, layout = published(name)
    whole = rank_weights(network, layout, Parallel(), with_towers=False)
    found = rank_weights(network, layout, Parallel(tensor=tensor), with_towers=False)
    # Splitting loses nothing; rounding to whole bytes is half a byte per weight and rank.
    slack = tensor * len(layout.storage.weights)
    assert tensor * found.total_bytes >= whole.total_bytes - slack
    # What every rank holds alike is what the surplus is made of, KV heads and padding apart.
    surplus = tensor * found.total_bytes - whole.total_bytes
    attention = sum(w.n_bytes for w in layout.storage.weights if w.role in ("attn_k", "attn_v", "attn_qkv"))
    assert surplus <= (tensor - 1) * (found.replicated_bytes + attention) + slack + whole.total_bytes // 500


@pytest.mark.parametrize("name", NAMES)
def test_stages_together_hold_the_whole(name: str) -> None:
    network, layout = published(name)
    whole = rank_weights(network, layout, Parallel()).total_bytes
    ranks = Parallel(pipeline=4)
    stages = [rank_weights(network, layout, ranks, stage=i).total_bytes for i in range(4)]
    tied = sum(w.n_bytes for w in layout.storage.weights if w.role == "token_embd") * network.tied_embeddings
    outside = sum(w.n_bytes for w in layout.storage.weights if w.layer is None)
    assert whole <= sum(stages) <= whole + tied + outside  # a tied head is a second copy on the last stage


def test_expert_ranks_hold_whole_experts() -> None:
    network, layout = published("qwen3-30b-a3b")
    split = rank_weights(network, layout, Parallel(tensor=8))
    whole = rank_weights(network, layout, Parallel(tensor=8, expert=8))
    assert whole.parts[Part.EXPERTS] == split.parts[Part.EXPERTS]  # 128 experts over 8 ranks are 16 each
    assert whole.parts[Part.LAYERS] == split.parts[Part.LAYERS]
    uneven = rank_weights(network, layout, Parallel(tensor=3, expert=3)).parts[Part.EXPERTS]
    assert uneven == pytest.approx(43 / 128 * 8 * split.parts[Part.EXPERTS])  # ceil(128 / 3) = 43


def test_attention_replicas_hold_attention_whole_and_share_experts() -> None:
    network, layout = published("qwen3-30b-a3b")
    split = rank_weights(network, layout, Parallel(tensor=8, expert=8))
    rules = WeightRules(embedding_per_replica=True)
    replicas = rank_weights(network, layout, Parallel(tensor=8, expert=8, attention_replicas=8), rules=rules)
    assert replicas.parts[Part.EXPERTS] == split.parts[Part.EXPERTS]
    assert (
        replicas.parts[Part.LAYERS] > 6 * split.parts[Part.LAYERS]
    )  # norms, routers and KV heads are whole on either
    assert replicas.parts[Part.EMBEDDING] == 8 * split.parts[Part.EMBEDDING]
    assert replicas.parts[Part.HEAD] == split.parts[Part.HEAD]


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        Parallel(tensor=8, attention_replicas=3)
    with pytest.raises(ValueError, match="do not divide"):
        Parallel(tensor=8, expert=3)
