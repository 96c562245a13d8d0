"""`planner price` and its commands as a person meets them."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner
from planner.cli.price import COMMANDS
from planner.cli.render import as_csv
from planner.report.document import Document, Table
from planner.report.price_history_document import sparkline
from profiles.loader import USER_FOLDER_VARIABLE


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's data."""
    monkeypatch.setenv(USER_FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["price", *arguments], catch_exceptions=False)


def answer(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    data: dict[str, object] = json.loads(result.stdout)
    return data


def rows(*arguments: str) -> list[dict[str, str]]:
    result = run(*arguments, "--format", "csv")
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0 and "Example" in result.output


def test_the_word_show_may_be_left_out() -> None:
    assert run("gpt-oss-120b").stdout == run("show", "gpt-oss-120b").stdout
    assert run("--provider", "groq").stdout == run("show", "--provider", "groq").stdout
    assert run().stdout == run("show").stdout


@pytest.mark.parametrize("output_format", ["table", "json", "csv", "md"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("table",),
        ("table", "--at", "2022-08-15", "--all"),
        ("history", "o3"),
        ("call", "openai", "gpt-5", "--prompt-tokens", "8k", "--output-tokens", "1k"),
    ],
    ids=["table", "past", "history", "call"],
)
def test_every_answer_in_every_format(arguments: tuple[str, ...], output_format: str) -> None:
    result = run(*arguments, "--format", output_format)
    assert result.exit_code == 0 and result.stdout.strip()
    if output_format == "table":
        assert max(map(len, result.stdout.splitlines())) <= 80
    if output_format == "csv":
        found = list(csv.reader(io.StringIO(result.stdout)))
        assert len(found) > 1 and len({len(row) for row in found}) == 1


def test_the_table_has_both_kinds_with_price_context_score_licence_and_modality() -> None:
    table = {row["model"]: row for row in rows("table")}
    assert {row["kind"] for row in table.values()} == {"closed", "open"}
    sol = table["GPT-5.6 Sol"]
    assert (sol["in"], sol["cached"], sol["out"], sol["at"]) == ("4", "0.4", "20", "openai")
    assert (sol["score"], sol["benchmark"]) == ("81.05", "LiveBench 2026-06-25")
    assert (sol["licence"], sol["takes"]) == ("closed", "text image")
    flash = table["DeepSeek V4 Flash"]
    assert (flash["kind"], flash["licence"], flash["context"]) == ("open", "mit", "1048576")
    assert int(flash["hosts"]) > 3
    assert len([row for row in table.values() if row["kind"] == "closed"]) >= 20
    assert len([row for row in table.values() if row["kind"] == "open"]) >= 20


def test_the_table_is_filtered_and_sorted() -> None:
    outputs = [float(row["out"]) for row in rows("table", "--sort", "output", "--kind", "open")]
    assert outputs == sorted(outputs)
    assert [
        float(row["out"]) for row in rows("table", "--sort", "output", "--kind", "open", "--reverse")
    ] == outputs[::-1]
    scored = [row for row in rows("table", "--sort", "score") if row["benchmark"] == "LiveBench 2026-06-25"]
    assert [float(row["score"]) for row in scored] == sorted(
        (float(row["score"]) for row in scored), reverse=True
    )
    assert {row["licence"] for row in rows("table", "--licence", "apache*")} == {"apache-2.0"}
    assert all("video" in row["takes"] for row in rows("table", "--modality", "video"))
    assert all(int(row["context"]) >= 1_000_000 for row in rows("table", "--min-context", "900k"))
    assert all(
        3 * float(row["in"]) + float(row["out"]) <= 4 * 0.5 for row in rows("table", "--max-price", "0.5")
    )
    assert all(float(row["score"]) >= 75 for row in rows("table", "--min-score", "75"))
    assert {row["model"].split()[0] for row in rows("table", "gemini")} == {"Gemini"}
    assert "No model matches" in run("table", "no-such-model").stdout


def test_the_table_of_a_past_day_has_the_prices_of_that_day() -> None:
    spring = {row["model"]: row["in"] for row in rows("table", "--at", "2025-05-01")}
    assert {name: spring[name] for name in ("o3", "o1", "GPT-4.5")} == {
        "o3": "10",
        "o1": "15",
        "GPT-4.5": "75",
    }
    assert "GPT-5.5" not in spring and "Kimi K3" not in spring  # nobody sold them yet
    summer = {row["model"]: row for row in rows("table", "--at", "2025-07-15")}
    assert (summer["Llama 3.3 70B Instruct"]["in"], summer["o3"]["in"]) == ("0.2", "2")
    old = run("table", "--at", "2022-08-15", "--all").stdout
    assert "GPT-3" in old and "not known before" in " ".join(old.split())


def test_scores_are_data_that_a_user_replaces(own_folder: Path) -> None:
    (own_folder / "benchmark_scores.csv").write_text(
        "id,model,setting,benchmark,release,score,as_of,source\n"
        "mine,gpt-5.5,our prompts,Ours,2026-11-01,93.5,2026-11-02,our own runs\n",
        encoding="utf-8",
    )
    from profiles import loader

    loader._table.cache_clear()
    table = {row["model"]: row for row in rows("table")}
    assert (table["GPT-5.5"]["score"], table["GPT-5.5"]["benchmark"]) == ("93.5", "Ours 2026-11-01")
    assert table["GPT-5.6 Sol"]["benchmark"] == "LiveBench 2026-06-25"


def test_how_far_hosts_lie_apart_is_said(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "provider,model_id,input_per_mtok,output_per_mtok\n"
        "a,some-model,1,1\nb,some-model,2,2\nc,some-model,3,11\n",
        encoding="utf-8",
    )
    # (3 · 1 + 1) / 4, (3 · 2 + 2) / 4 and (3 · 3 + 11) / 4.
    text = " ".join(run("some-model", "--price-file", str(path)).stdout.split())
    assert "Three tokens in for one out cost from 1 to 5, in the middle 2." in text


def test_a_history_has_days_and_sources() -> None:
    found = answer("history", "o3", "--provider", "openai")
    prices = [
        (step["since"], step["until"], step["input_usd_per_mtok"], step["output_usd_per_mtok"])
        for step in found["histories"][0]["prices"]  # type: ignore[index]
    ]
    assert prices[0] == ("2025-04-16", "2025-06-09", 10.0, 40.0)
    assert prices[-1] == ("2025-06-10", None, 2.0, 8.0)
    assert "█" in run("history", "o3").stdout and "by 2025-06-09" in run("history", "o3").stdout


def test_a_line_is_logarithmic_and_has_dots_for_days_without_a_price() -> None:
    # 1, 10 and 100 stand at 0, 3.5 and 7 of eight blocks.
    assert sparkline((None, 1.0, 10.0, 100.0, None)) == "·▁▅█·"
    assert sparkline((2.0, 2.0)) == "██"
    assert sparkline((None, 0.0)) == "··"


def test_a_call_is_the_sum_of_its_terms() -> None:
    # 10,240 fresh · 5 + 92,160 cached · 0.5 + 2,048 · 25, per million.
    found = answer("call", "anthropic", "claude-opus-5", "--prompt-tokens", "100k", "--cached-tokens", "90k",
                   "--output-tokens", "2k", "--calls", "1000")  # fmt: skip
    assert found["total_usd"] == pytest.approx(0.0512 + 0.04608 + 0.0512)
    assert found["total_usd"] == pytest.approx(sum(found["terms_usd"].values()))  # type: ignore[attr-defined]
    assert found["all_calls_usd_cents"] == "148.48"


def test_the_hour_of_the_call_counts() -> None:
    def total(at: str) -> object:
        return answer("call", "deepseek", "deepseek-v4-flash", "--prompt-tokens", "100000", "--at", at)[
            "total_usd"
        ]

    assert total("2026-11-21T02:00") == pytest.approx(0.015)  # a Saturday
    assert total("2026-11-20T02:00") == pytest.approx(0.030)
    assert total("2026-11-20T10:00+08:00") == pytest.approx(0.030)  # 02:00 UTC


def test_amounts_in_another_currency_are_the_same_amounts() -> None:
    dollars, euros = (
        rows("gpt-5", "--provider", "openai"),
        rows("gpt-5", "--provider", "openai", "--currency", "EUR"),
    )
    assert float(euros[0]["out"]) * 1.1172 == pytest.approx(float(dollars[0]["out"]), rel=1e-3)
    assert "1 EUR = 1.1172 USD on 2026-10-30" in " ".join(run("gpt-5", "--currency", "eur").stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("no-such-model-anywhere",), 1, "no API price for 'no-such-model-anywhere'"),
        (("gpt-5", "--at", "yesterday"), 2, "is no date"),
        (("gpt-4.5-preview", "--at", "2025-01-01", "--provider", "openai"), 1, "not known before 2025-02-27"),
        (("gpt-5", "--currency", "XXX"), 1, "no exchange rate of 'XXX'"),
        (("gpt-5", "--price-file", "absent.csv"), 1, "absent.csv: there is no such file"),
        (("history", "flash-lite"), 1, "no whole name of a model"),
        (("call", "openai", "gpt-5", "--prompt-tokens", "1", "--cached-tokens", "2"), 1, "2 cached tokens of a prompt of 1"),
        (("call", "cerebras", "gpt-oss-120b", "--prompt-tokens", "1", "--processing", "batch"), 1, "no batch price"),
        (("update", "--url", "ftp://x/y"), 1, "write https://HOST/PATH"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_one_line(arguments: tuple[str, ...], code: int, part: str) -> None:
    result = CliRunner().invoke(planner, ["price", *arguments])
    assert result.exit_code == code
    assert part in result.output
    if code == 1:
        assert result.output.count("\n") == 1 and result.output.startswith("Error: ")


HOSTILE = ("=cmd()", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "＝cmd()", ' =HYPERLINK("x")')


def test_a_provider_that_is_a_formula_changes_nothing_in_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(
        json.dumps(
            [
                {"provider": name.strip(), "model_id": f"gpt-5 {name.strip()}", "input_per_mtok": 1, "output_per_mtok": 2,
                 "note": name.strip()}
                for name in HOSTILE
            ]
        ),
        encoding="utf-8",
    )  # fmt: skip
    result = run("show", "--price-file", str(path), "--provider", "=cmd()", "--format", "csv")
    assert result.exit_code == 0, result.output
    for row in csv.reader(io.StringIO(result.stdout)):
        assert not any(cell.lstrip().startswith(("=", "+", "@", "＝")) for cell in row)
    assert "'=cmd()" in result.stdout
    assert json.loads(run("show", "--price-file", str(path), "--provider", "=cmd()", "--format", "json").stdout)["prices"][0]["provider"] == "=cmd()"  # fmt: skip


@pytest.mark.parametrize("cell", HOSTILE)
def test_no_cell_of_any_csv_is_a_formula(cell: str) -> None:
    table = Table(title="", headers=(cell, "b"), rows=((cell, -1.5), ("-3.2", "–")))
    header, hostile, plain = list(csv.reader(io.StringIO(as_csv(Document(schema="x/1", title="", answer=(), tables=(table,))))))  # fmt: skip
    assert header[0].startswith(("'", "\ufffd")) and hostile[0].startswith(("'", "\ufffd"))
    assert hostile[1] == "-1.5" and plain == ["-3.2", "–"]  # numbers stay numbers
