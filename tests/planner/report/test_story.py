"""The three sentences and the tables, as a person reads them."""

import re
from dataclasses import replace

import pytest

from hardware.spec import Machine, Memory
from planner.estimate.speed import SpeedFacts
from planner.report.described import ranges
from planner.report.outside_text import plain
from planner.report.story import story
from tests.planner.report.reports import (
    CPU_ONLY,
    GIB,
    HOSTILE,
    LARGE,
    SLY,
    cpu_report,
    gpu_report,
    hostile_report,
    make_report,
    outside_report,
)


def test_the_first_sentence_says_where_it_fits_and_what_is_left() -> None:
    fit = story(cpu_report()).answer[0]
    assert fit.startswith(
        "SmolLM2-135M-Instruct (Q4_1) fits in RAM with a context of 4,096 tokens: it needs "
    )
    assert "of 20.3 GiB (leaving 20.1 GiB)" in fit
    assert "the longest context that fits this way is 8,192 tokens." in fit
    both = story(gpu_report()).answer[0]
    assert "fits on 2 GPUs" in both
    assert both.index("on GPU 0") < both.index("on GPU 1") < both.index("in RAM")


def test_a_model_that_does_not_fit_is_a_result_with_both_numbers() -> None:
    told = story(make_report(name="Big", network=LARGE, quant="F16", measured=False))
    fit, speed, cost = told.answer
    # 70.6 B parameters of 2 bytes are 131.4 GiB, embeddings and caches come on top; 20.3 GiB are free.
    assert fit.startswith(
        "Big (F16) does not fit on this machine with a context of 4,096 tokens: RAM would need 13"
    )
    assert "has 20.3 GiB" in fit and "too little" in fit
    assert speed == "Without room for the model there is no speed to give."
    assert "is unknown, because the model does not fit" in cost
    memory = told.sections[0]
    assert memory.lead.endswith("It does not fit.")
    contexts = next(table for table in told.tables if table.title.startswith("Contexts"))
    assert {row[1] for row in contexts.rows} == {"does not fit"}
    # Nothing invites to start it, and no speed is claimed anywhere, though bytes over bandwidth would give one.
    assert told.command is None
    assert not any("tok/s" in figure.value for figure in told.figures)
    speeds = next(table for table in told.tables if table.title.startswith("Estimate against"))
    assert {cell for row in speeds.rows for cell in row[1:]} == {"–"}


def test_the_second_sentence_says_measured_and_whether_the_estimate_held() -> None:
    speed = story(outside_report()).answer[1]
    assert "it writes 92.11 ± 1.71 tokens per second (tg128)" in speed
    assert "reads prompts at 165.28 ± 5.33 tokens per second (pp512)" in speed
    assert "2 of 3 estimates made before any benchmark held" in speed
    assert re.search(r"tg32 @ d4096 came out at 0\.\d\d times the expected", speed)


def test_when_all_estimates_held_each_is_shown() -> None:
    report = cpu_report()
    assert report.run is not None
    run = replace(report.run, measurements=report.run.measurements[:2])
    speed = story(replace(report, run=run)).answer[1]
    assert "all 2 estimates made before any benchmark held" in speed
    assert "pp512 191 (153–239) and tg128 89.4 (71.5–112)" in speed


def test_an_unmeasured_report_says_so() -> None:
    speed = story(gpu_report()).answer[1]
    assert speed.startswith("By estimate it writes ")
    assert "limited by memory bandwidth of GPU 0 (1,008.0 GB/s)" in speed
    assert speed.endswith("for this report nothing was measured.")


def test_an_earlier_benchmark_is_not_called_an_estimate() -> None:
    # The rows know a benchmark of this file, but this report ran none.
    report = replace(make_report(), run=None)
    assert story(report).answer[1].startswith("By an earlier benchmark of this file here it writes ")


def test_an_unknown_speed_names_what_is_missing() -> None:
    machine = Machine(
        name="64GiB", cpu=None, memory=Memory(total_bytes=64 * GIB, available_bytes=64 * GIB), described=True
    )
    told = story(make_report(machine=machine, measured=False))
    assert "add its type, for example DDR5-5600" in told.answer[1]
    assert "is unknown, because a speed is unknown" in told.answer[2]
    notes = next(table for table in told.tables if table.title == "Notes and problems")
    assert any("DDR5-5600" in str(row[1]) for row in notes.rows)


def test_the_third_sentence_says_what_a_month_may_cost() -> None:
    cost = story(cpu_report()).answer[2]
    # $1.725 for the workload by hand (test_findings), $0.0575 per million tokens beyond.
    assert "the cheapest listed API (llama-3.1-8b-instant of groq, another model) takes $1.7" in cost
    assert "one request at a time at its measured speed, makes at most" in cost
    assert "it pays off if its month costs less than $1.7" in cost
    assert cost.endswith("what this machine costs is unknown: give --own-usd-per-month.")


@pytest.mark.parametrize(
    ("own_usd", "said"),
    [
        (140.0, "so the API is cheaper by $138"),  # 140 − 1.725 = 138.275
        (0.704, "so owning is cheaper by $1.02"),  # 1.725 − 0.704 = 1.021
    ],
)
def test_a_known_cost_is_compared(own_usd: float, said: str) -> None:
    report = make_report(own_usd_per_month=own_usd, own_cost_note="as given")
    cost = story(report).answer[2]
    assert f"a month of it costs ${own_usd:,.2f} (as given)".replace("$140.00", "$140") in cost
    assert said in cost


def test_several_machines_are_counted() -> None:
    cost = story(replace(cpu_report(), capacity_tokens_per_month=12e6)).answer[2]
    assert "so that takes 3 such machines, or several requests at once, and each pays off" in cost
    # Three machines of $9 cost $27; the API takes $1.725.
    owned = replace(
        cpu_report(), capacity_tokens_per_month=12e6, own_usd_per_month=9.0, own_cost_note="as given"
    )
    assert (
        "a month of it costs $9.00 (as given), of 3 $27.00, so the API is cheaper by $25.2"
        in story(owned).answer[2]
    )


def test_without_any_price_the_capacity_is_still_said() -> None:
    told = story(make_report(prices=()))
    assert told.answer[2].startswith(
        "No API price is known to hold against 30.0 M tokens a month; this machine"
    )
    assert not any(section.chart == "cost" for section in told.sections)


def test_memory_columns_add_up_to_what_is_needed() -> None:
    report = gpu_report()
    table = next(table for table in story(report).tables if table.title.startswith("Memory by term"))
    needed = next(row for row in table.rows if row[0] == "needed")
    for column, load in enumerate(report.rows[0].placement.loads, start=1):
        # Printed to a tenth of a unit, so a column of n terms may be off by n · 0.05 units.
        parts = [str(row[column]) for row in table.rows[: table.rows.index(needed)]]
        total = sum(size_bytes(part) for part in parts if part != "–")
        assert total == pytest.approx(load.needed_bytes, rel=0.01)
        assert size_bytes(str(needed[column])) == pytest.approx(load.needed_bytes, rel=0.01)


def size_bytes(text: str) -> float:
    number, unit = text.split()
    return float(number.replace(",", "")) * {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]


def test_every_term_of_every_estimate_is_shown_with_its_basis() -> None:
    report = gpu_report()
    shown = {
        (row[1], row[3], row[4])
        for table in story(report).tables
        if table.title.startswith("Terms at")
        for row in table.rows
    }
    for fit in (report.before, *report.rows):
        terms = [term for load in fit.placement.loads for term in load.terms]
        terms += [*fit.decode.terms, *fit.decode_full.terms, *fit.prefill.terms]
        for term in terms:
            assert (term.name, str(term.basis), term.source) in shown


def test_a_price_carries_its_source_and_date() -> None:
    table = next(table for table in story(cpu_report()).tables if table.title == "Cost per month by API")
    sources = {row[1]: row[5] for row in table.rows}
    assert sources["llama-3.1-8b-instant"] == "genai-prices 0.2.3, checked 2026-10-14"
    assert sources["gemini-2.5-flash-lite"] == "genai-prices 0.2.3, list of 2026-10-30"


@pytest.mark.parametrize("name", [HOSTILE, SLY])
def test_text_from_outside_stays_on_its_line_and_printable(name: str) -> None:
    told = story(hostile_report(name))
    texts = [told.title, told.subtitle, told.command or "", *told.answer]
    texts += [str(cell) for table in told.tables for row in table.rows for cell in row]
    texts += [figure.note for figure in told.figures]
    for text in texts:
        assert text == plain(text, 10**6)  # nothing left to clean
        text.encode()  # no lone surrogate, which no file could hold


def test_plain_text_is_cut() -> None:
    assert plain("x" * 1000, 10) == "xxxxxxxxx…"
    assert plain("a\u202eb\x00c\u2028d") == "a b c d"


def test_layer_numbers_are_said_in_stretches() -> None:
    assert ranges((0, 1, 2, 5, 7, 8)) == "0–2, 5, 7–8"
    assert ranges(tuple(range(0, 60, 2))).endswith("22, …")


def test_a_report_that_knows_almost_nothing_is_still_told() -> None:
    machine = replace(CPU_ONLY, cpu=None, memory_bandwidth=None, matrix_throughput=None, os=None, problems=())
    told = story(make_report(machine=machine, measured=False, prices=(), facts=SpeedFacts()))
    assert "planner hardware --measure" in " ".join(str(row) for table in told.tables for row in table.rows)
