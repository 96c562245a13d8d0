"""`planner tune` from the command line."""

import json

import pytest
from click.testing import CliRunner

from planner.cli.main import planner


def run(*arguments: str) -> str:
    """What it prints; it must succeed."""
    found = CliRunner().invoke(planner, ["tune", *arguments], env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    return found.output


def refused(*arguments: str) -> str:
    """What it says when it refuses."""
    found = CliRunner().invoke(planner, ["tune", *arguments])
    assert found.exit_code != 0
    return " ".join(found.output.split())


def test_the_answer_comes_first_and_in_words() -> None:
    text = " ".join(run("qwen3-8b", "--on", "RTX 4090", "--method", "qlora").split())
    assert text.startswith("QLoRA of Qwen3 8B with 1 × 2,048 tokens fits on RTX 4090: the GPU needs")
    assert "parameters are trained" in text


def test_what_does_not_fit_is_a_result_with_a_way_out() -> None:
    text = " ".join(run("llama-3.1-8b-instruct", "--on", "RTX 4090", "--method", "full").split())
    assert "does not fit on RTX 4090" in text
    assert "--method lora it fits" in text


def test_json_has_every_term_and_adds_up() -> None:
    data = json.loads(run("qwen3-8b", "--on", "RTX 4090", "--format", "json"))
    assert data["schema"] == "planner.tune/1"
    assert data["verdict"] in ("fits", "may fit", "does not fit")
    total = sum(term["expected_bytes"] for term in data["terms"])
    assert abs(total - data["needed_bytes"]["expected"]) <= len(data["terms"])
    assert data["settings"]["method"] == "lora"
    assert data["gpu_capacity_bytes"] == pytest.approx(24 * 2**30, rel=0.01)


def test_all_gpus_of_a_machine_when_they_share() -> None:
    data = json.loads(run("qwen3-8b", "--on", "4x RTX 4090", "--shard", "fsdp", "--format", "json"))
    assert data["settings"]["n_gpus"] == 4
    data = json.loads(run("qwen3-8b", "--on", "4x RTX 4090", "--format", "json"))
    assert data["settings"]["n_gpus"] == 1


def test_without_a_gpu_the_need_is_still_said() -> None:
    text = " ".join(run("qwen3-8b", "--on", "cpu only, 64GiB DDR5-5600").split())
    assert "of GPU memory" in text


def test_offloading_shows_ram() -> None:
    text = run("qwen3-8b", "--on", "2x RTX 4090, 64GiB DDR5-5600", "--method", "full", "--shard", "zero3",
               "--offload", "optimizer,weights")  # fmt: skip
    assert "RAM" in text
    assert "RAM lacks" in " ".join(text.split())  # 16 bytes for each of 8.2 billion parameters


@pytest.mark.parametrize("kind", ["csv", "md", "table"])
def test_other_formats(kind: str) -> None:
    assert "logits and loss" in run("qwen3-8b", "--on", "RTX 4090", "--format", kind)


def test_no_line_is_wider_than_a_terminal() -> None:
    text = run("qwen3-30b-a3b", "--on", "RTX 4090", "--method", "qlora", "--explain")
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("qwen3-8b", "--offload", "checkpoints", "--no-checkpointing"), "needs --checkpointing"),
        (("qwen3-8b", "--offload", "weights"), "--shard zero3 or fsdp"),
        (("qwen3-8b", "--method", "full", "--base", "nf4"), "cannot be trained"),
        (("qwen3-8b", "--method", "qlora", "--base", "bf16"), "quantized base"),
        (("qwen3-8b", "--keep-fp32"), "--method qlora"),
        (("qwen3-8b", "--targets", "everything"), "all-linear"),
        (("qwen3-8b", "--on", "RTX 4090", "--gpus", "3"), "3x RTX 4090"),
        (("kimi-linear-48b-a3b-instruct", "--on", "RTX 4090"), "Kimi delta attention"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(*arguments)
