"""Sizes, tokens and how they are written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import units


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("24GiB", 24 * 1024**3),
        ("80 GB", 80_000_000_000),
        ("1.5 TiB", 1_649_267_441_664),  # 1.5 * 1024**4
        ("92.1MiB", 96_573_850),  # 92.1 * 1048576 = 96573849.6
        (" 512 kb ", 512_000),
        ("7B", 7),
        ("0GiB", 0),
    ],
)
def test_sizes_are_read_with_their_unit(text: str, n_bytes: int) -> None:
    assert units.parse_size_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["64G", "64", "", "GiB", "-1GiB", "1e3GiB", "64Gib/s", "6 4GiB", "١GiB x"])
def test_ambiguous_or_broken_sizes_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="write") as caught:
        units.parse_size_bytes(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "tokens"), [("8192", 8192), ("64k", 65_536), ("1M", 1_048_576), ("0.5K", 512), ("1", 1)]
)
def test_tokens_count_in_1024s(text: str, tokens: int) -> None:
    assert units.parse_tokens(text) == tokens


@pytest.mark.parametrize("text", ["0", "0.3", "-5", "8 thousand", "", "1.0001k"])
def test_tokens_must_be_whole_and_positive(text: str) -> None:
    with pytest.raises(ValueError, match="tokens"):
        units.parse_tokens(text)


@pytest.mark.parametrize(
    ("n", "text"),
    [(8192, "8k"), (131_072, "128k"), (1_048_576, "1M"), (10_485_760, "10M"), (131_000, "131,000")],
)
def test_contexts_are_written_the_way_they_are_read(n: int, text: str) -> None:
    assert units.format_tokens(n) == text
    assert units.parse_tokens(text.replace(",", "")) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [("7B", 7 * 10**9), ("270m", 270_000_000), ("1.5 T", 1_500_000_000_000), ("135000", 135_000)],
)
def test_parameters_count_in_1000s(text: str, n: int) -> None:
    assert units.parse_count(text) == n


@pytest.mark.parametrize("text", ["many", "7GB", "-7B", "7 B B", ""])
def test_parameters_must_be_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="7B"):
        units.parse_count(text)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(96_573_850, "92.1 MiB"), (24 * 2**30, "24.0 GiB"), (1023, "1,023 B"), (2**40, "1.0 TiB"), (0, "0 B")],
)
def test_sizes_are_written_in_binary_units(n_bytes: int, text: str) -> None:
    assert units.format_bytes(n_bytes) == text


def test_bandwidth_is_written_in_decimal_units() -> None:
    # Data sheets say 1,008 GB/s for 1.008e12 bytes per second; GiB/s would read 938.8.
    assert units.format_rate_bytes_per_s(1.008e12) == "1,008.0 GB/s"


@pytest.mark.parametrize(
    ("n", "text"), [(134_515_008, "134.5 M"), (70_553_706_496, "70.6 B"), (1.03e12, "1.03 T"), (12, "12")]
)
def test_counts_are_written_with_a_letter(n: float, text: str) -> None:
    assert units.format_count(n) == text


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["B", "KiB", "MiB", "GiB", "KB", "MB", "GB"]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    factors = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
    assert units.parse_size_bytes(f"{number}{unit}") == number * factors[unit]
    assert units.parse_size_bytes(f" {number} {unit.lower()} ") == number * factors[unit]


def test_months_and_years_agree() -> None:
    # 12 months of hours are one year of 365.25 days.
    assert pytest.approx(365.25 * 24) == units.HOURS_PER_MONTH * 12
    assert pytest.approx(units.HOURS_PER_MONTH) == units.DAYS_PER_MONTH * 24
