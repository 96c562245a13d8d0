"""A person's own figures from a file: read in full or refused in one line that names file and figure."""

from pathlib import Path

import pytest

from hardware.spec import Basis
from planner.compare.scenario import STATED_UNITS
from planner.errors import PlannerError
from planner.prices.figure import Figure, assumed_figures
from planner.readers.cost_file import MAX_BYTES, read_cost_file


def read(path: Path, text: str) -> dict[str, Figure]:
    file = path / "costs.toml"
    file.write_text(text, encoding="utf-8")
    return {figure.name: figure for figure in read_cost_file(file, assumed_figures(), STATED_UNITS)}


def test_numbers_texts_and_tables(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "electricity_usd_per_kwh = 0.2\n"
        'pue = "1.3(1.2-1.4)"\n'
        "rent_price_decline_per_year = -0.1\n"
        "[machine_usd]\n"
        "value = 250000\nlow = 240000\nhigh = 300000\n"
        'source = "quote 4711"\nas_of = "2026-10-01"\n',
    )
    assert found["electricity_usd_per_kwh"].value == 0.2
    assert (found["pue"].low, found["pue"].high) == (1.2, 1.4)
    assert found["rent_price_decline_per_year"].value == -0.1
    machine = found["machine_usd"]
    assert (machine.value, machine.low, machine.high, machine.source, machine.as_of, machine.basis) == (
        250_000, 240_000, 300_000, "quote 4711", "2026-10-01", Basis.GIVEN,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("= 3", "not readable as TOML"),
        ("electricity = 0.2", "did you mean electricity_usd_per_kwh"),
        ('pue = "cheap"', "is no number"),
        ("pue = true", "is no number"),
        ("pue = nan", "is no number"),
        ("pue = [1, 2]", "is no number"),
        ("[pue]\nlow = 1", "has no value"),
        ("[pue]\nvalue = 1\nhihg = 2", "has 'hihg'"),
        ("[pue]\nvalue = 3\nlow = 1\nhigh = 2", "does not lie between its bounds"),
        ("[pue]\nvalue = {}", "is no number"),
        ("[" * 5_000, "not readable as TOML"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PlannerError) as refused:
        read(tmp_path, text)
    assert "costs.toml" in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match="at most"):
        read(tmp_path, "#" * (MAX_BYTES + 1))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match="does not exist"):
        read_cost_file(tmp_path / "none.toml", assumed_figures(), STATED_UNITS)
