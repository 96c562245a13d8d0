import pytest

from planner.prices import names


@pytest.mark.parametrize(
    ("query", "name"),
    [
        # Spellings that the hosts in genai-prices use for one model.
        ("Llama-3.3-70B", "meta-llama/Llama-3.3-70B-Instruct"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b-versatile"),
        ("Llama-3.3-70B", "Meta-Llama-3_3-70B-Instruct"),
        ("Llama-3.3-70B", "meta-llama/Meta-Llama-3.3-70B-Instruct-Turbo"),
        ("Llama-3.3-70B", "@cf/meta/llama-3.3-70b-instruct-fp8-fast"),
        ("Llama-3.1-8B", "llama-v3p1-8b-instruct"),
        ("openai/gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("gpt-oss-120b", "databricks-gpt-oss-120b"),
        ("GLM-5.2", "glm-5p2"),
        ("zai-org/GLM-5.2", "databricks-glm-5-2"),
        ("claude haiku 4.5", "claude-haiku-4-5"),
        ("Qwen/Qwen3-30B-A3B", "@cf/qwen/qwen3-30b-a3b-fp8"),
    ],
)
def test_one_model_under_two_names(query: str, name: str) -> None:
    assert names.is_same(query, name)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("GLM-5", "zai-org/GLM-5.2"),
        ("GLM-5", "glm-5p2"),
        ("gpt-5", "gpt-5-nano"),
        ("gpt-4", "gpt-4-turbo"),  # a model of its own, unlike "…-Instruct-Turbo"
        ("Llama-3.1-70B", "llama-3.3-70b-versatile"),
        ("Llama-3.1-8B", "llama-3.1-8b-instant-extra"),
        ("Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
        ("Llama-70B", "DeepSeek-R1-Distill-Llama-70B"),
        ("gpt-oss-20b", "gpt-oss-120b"),
        ("", "gpt-5"),
    ],
)
def test_two_models_are_not_taken_for_one(query: str, name: str) -> None:
    assert not names.is_same(query, name)


def test_a_query_can_stand_inside_a_longer_name_but_not_inside_a_word() -> None:
    assert names.is_within("Llama-70B", "DeepSeek-R1-Distill-Llama-70B")
    assert names.is_within("gpt-5", "gpt-5-nano")
    assert not names.is_within("GLM-5", "GLM-5.2")
    assert not names.is_within("20b", "gpt-oss-120b")
    assert not names.is_within("", "gpt-5")
    assert not names.is_within("a longer query", "gpt")


def test_the_nearest_names_are_suggested_and_nothing_for_nonsense() -> None:
    offered = ["llama-3.3-70b-versatile", "gpt-oss-120b", "gemma-3-27b-it"]
    assert names.nearest("lama-3.3-70b", offered)[0] == "llama-3.3-70b-versatile"
    assert names.nearest("zzzz", offered) == ()
