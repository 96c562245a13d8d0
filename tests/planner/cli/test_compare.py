"""`planner compare`: a question on the command line, answered or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner

MACHINE = "8x H100 SXM"
SPEED = ("--set", "tasks_per_s=9(6-12)")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["compare", "llama-3.3-70b-instruct", *arguments])


def data(*arguments: str) -> Any:
    result = run(*arguments, "--format", "json", "--cases", "200")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_rent_and_purchase_against_hosts() -> None:
    found = data("--on", MACHINE, "--rps", "4", *SPEED)
    names = [option["name"] for option in found["options"]]
    for deal in ("bought (colocation)", "reserved", "on demand by the hour", "spot by the hour"):
        assert any(name.endswith(f", {deal}") for name in names), deal
    assert found["verdict"] in ("own", "hybrid", "api")


def test_machines_by_the_hour_are_there_when_they_are_needed() -> None:
    # 4 a second over machines of 3 (2 to 4): a quiet hour needs fewer of them.
    asked = (
        "--on",
        MACHINE,
        "--rps",
        "4",
        "--workload",
        "chat",
        "--set",
        "tasks_per_s=3",
        "--deal",
        "on-demand",
        "--hosts",
        "0",
    )
    hourly = next(option for option in data(*asked)["options"] if option["kind"] == "own")
    always = next(option for option in data(*asked, "--always-on")["options"] if option["kind"] == "own")
    assert hourly["n_machines"] == always["n_machines"] > 2
    assert (
        hourly["existing_hours_per_month"]
        < always["existing_hours_per_month"]
        == always["n_machines"] * 730.5
    )
    assert hourly["usd_per_month"] < always["usd_per_month"]


def test_prices_by_volume_are_a_discount_of_their_own() -> None:
    asked = ("--rps", "4", "--api", "google/gemini-2.5-flash-lite", "--hosts", "0")
    (full,) = data(*asked)["options"]
    (less,) = data(*asked, "--volume-price", "1000000=0.5")["options"]
    terms = {term["name"]: term["usd"] for term in less["terms"]}
    # 4 a second are 10,519,200 a month: the 9,519,200 beyond a million at half price.
    api_usd = sum(term["usd"] for term in full["terms"] if term["name"] != "people: API")
    assert terms["discount for the volume"] == pytest.approx(-0.5 * api_usd * 9_519_200 / 10_519_200)


def test_hosts_are_hosts_and_not_routers() -> None:
    found = data("--rps", "1", "--hosts", "50")
    providers = [option["api"]["provider"] for option in found["options"]]
    assert len(providers) == len(set(providers)) > 5
    assert "openrouter" not in providers
    assert not {f"huggingface_{provider}" for provider in providers} & set(providers)


def test_stated_figures_and_a_file_replace_assumptions(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("machine_usd = 200000\nelectricity_usd_per_kwh = 0.30\n")
    found = data("--on", MACHINE, "--rps", "4", *SPEED, "--costs", str(file), "--set", "machine_usd=100000")
    figures = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert figures["electricity_usd_per_kwh"] == 0.30
    own = next(option["own"] for option in found["options"] if option["own"])
    assert {one["name"]: one["value"] for one in own["figures"]}["machine_usd"] == 100_000


def test_the_seed_makes_the_answer_repeatable() -> None:
    asked = ("--on", MACHINE, "--rps", "4", *SPEED)
    assert data(*asked, "--seed", "5") == data(*asked, "--seed", "5")
    one, other = data(*asked, "--seed", "5")["duels"], data(*asked, "--seed", "6")["duels"]
    assert one != other


def test_data_that_stays_in_the_house() -> None:
    found = data("--on", MACHINE, "--rps", "4", *SPEED, "--data", "bought")
    assert [option["own"]["deal"] for option in found["options"]] == ["buy"]
    assert all("data is to stay on bought" in one["reason"] for one in found["excluded"])


def test_a_machine_that_the_model_does_not_run_on_is_left_out_by_name() -> None:
    found = data("--rps", "0.1", "--on", "RTX 3060 12GB, 16GiB DDR4-3200", "--hosts", "1")
    (left_out,) = found["excluded"]
    assert left_out["name"].startswith("RTX 3060")
    assert "does not fit" in left_out["reason"]
    assert found["verdict"] == "api"
    alone = run("--rps", "0.1", "--on", "RTX 3060 12GB, 16GiB DDR4-3200", "--hosts", "0")
    assert alone.exit_code == 1
    assert "no option is left to compare: RTX 3060" in alone.output


def test_apis_alone_need_no_machine() -> None:
    result = run("--rps", "4", "--api", "google/gemini-2.5-flash-lite", "--hosts", "0")
    assert result.exit_code == 0, result.output
    assert "google/gemini-2.5-flash-lite" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--on", MACHINE, "--users", "40", *SPEED), "--set tasks_per_month"),
        (("--on", MACHINE, "--rps", "4", "--set", "electricty=1"), "did you mean"),
        (("--on", MACHINE, "--rps", "4", "--set", "pue"), "is not NAME=VALUE"),
        (("--rps", "4", "--api", "nowhere"), "is not PROVIDER/MODEL"),
        (("--rps", "4", "--hosts", "0"), "no option is left to compare"),
        (("--on", MACHINE, "--rps", "4", "--costs", "/nowhere.toml"), "does not exist"),
    ],
)
def test_what_cannot_be_answered_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert says in result.output
    assert result.output.count("Error:") == 1
    assert "Traceback" not in result.output
