"""Hours, weekdays, long prompts and other ways of processing."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import PriceError
from planner.prices.schedule_json import schedule_data, schedule_of
from planner.prices.tariff import EVERY_DAY, Schedule, Tariff, Tier, TokenRates, Window, flat

CHEAP = Tariff(rates=TokenRates(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0))
DEAR = Tariff(rates=TokenRates(input_usd_per_mtok=3.0, output_usd_per_mtok=6.0))

money = st.floats(0, 1000, allow_nan=False)
rates = st.builds(
    TokenRates,
    input_usd_per_mtok=money,
    output_usd_per_mtok=money,
    cache_read_usd_per_mtok=st.none() | money,
    cache_write_usd_per_mtok=st.none() | money,
    thinking_usd_per_mtok=st.none() | money,
)
tariffs = st.builds(
    lambda base, steps, fee: Tariff(
        rates=base,
        tiers=tuple(Tier(above_prompt_tokens=at, rates=charged) for at, charged in sorted(steps.items())),
        usd_per_request=fee,
    ),
    rates,
    st.dictionaries(st.integers(1, 1_000_000), rates, max_size=3),
    money,
)
clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59))
windows = st.builds(
    Window,
    start=clocks,
    end=clocks,
    tariff=tariffs,
    weekdays=st.sets(st.sampled_from(EVERY_DAY), min_size=1).map(lambda days: tuple(sorted(days))),
)
schedules = st.builds(
    Schedule,
    tariff=tariffs,
    windows=st.lists(windows, max_size=3).map(tuple),
    modes=st.dictionaries(st.sampled_from(["batch", "flex", "priority", "fast"]), tariffs).map(
        lambda modes: tuple(modes.items())
    ),
)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026 (the 23rd is a Monday)."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_a_window_holds_from_its_start_up_to_its_end_on_its_days() -> None:
    weekday_mornings = Window(start=time(1), end=time(4), tariff=DEAR, weekdays=(1, 2, 3, 4, 5))
    assert weekday_mornings.holds(at(23, 1)) and weekday_mornings.holds(at(27, 3, 59))
    assert not weekday_mornings.holds(at(23, 4)) and not weekday_mornings.holds(at(23, 0, 59))
    assert not weekday_mornings.holds(at(28, 2)) and not weekday_mornings.holds(at(29, 2))  # a weekend


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_began() -> None:
    friday_night = Window(start=time(22), end=time(2), tariff=CHEAP, weekdays=(5,))
    assert friday_night.holds(at(27, 23)) and friday_night.holds(at(28, 1, 59))  # Friday into Saturday
    assert not friday_night.holds(at(27, 1)) and not friday_night.holds(at(28, 23))
    sunday_night = Window(start=time(22), end=time(2), tariff=CHEAP, weekdays=(7,))
    assert sunday_night.holds(at(30, 1))  # Monday


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    evening = Window(start=time(10), end=time(0), tariff=CHEAP, weekdays=(1,))
    assert evening.holds(at(23, 10)) and evening.holds(at(23, 23, 59))
    assert not evening.holds(at(24, 0)) and not evening.holds(at(23, 9))
    whole_day = Window(start=time(0), end=time(0), tariff=CHEAP, weekdays=(6, 7))
    assert whole_day.holds(at(28, 0)) and whole_day.holds(at(29, 23, 59)) and not whole_day.holds(at(30, 0))


def test_hours_are_utc_wherever_the_moment_was_named() -> None:
    schedule = Schedule(tariff=CHEAP, windows=(Window(start=time(1), end=time(4), tariff=DEAR),))
    beijing = timezone(timedelta(hours=8))
    assert schedule.at(datetime(2026, 11, 23, 10, tzinfo=beijing)) == DEAR  # 02:00 UTC
    assert schedule.at(datetime(2026, 11, 23, 10)) == CHEAP  # noqa: DTZ001 - without a zone it is UTC


def test_the_usual_price_is_that_of_most_hours_of_a_week() -> None:
    # Dear for 13 hours on 5 days is 65 of 168 hours; for 17 hours on 5 days, 85.
    def dear_until(hour: int) -> Schedule:
        window = Window(start=time(0), end=time(hour), tariff=DEAR, weekdays=(1, 2, 3, 4, 5))
        return Schedule(tariff=CHEAP, windows=(window,))

    assert dear_until(13).usual == CHEAP
    assert dear_until(17).usual == DEAR
    # Two windows of one price count together: 2 · 7 · 7 = 98 hours.
    two = tuple(Window(start=time(start), end=time(start + 7), tariff=DEAR) for start in (0, 10))
    assert Schedule(tariff=CHEAP, windows=two).usual == DEAR


@given(schedules)
def test_the_usual_price_is_found_by_trying_every_minute_too(schedule: Schedule) -> None:
    minutes: dict[int, int] = {}
    known: list[Tariff] = []
    for minute in range(0, 7 * 24 * 60, 1 if len(schedule.windows) < 2 else 7):
        tariff = schedule.at(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minute))
        if tariff not in known:
            known.append(tariff)
        minutes[known.index(tariff)] = minutes.get(known.index(tariff), 0) + 1
    most = max(minutes.values())
    near = {
        i for i, count in minutes.items() if count >= most - 20
    }  # sampled every seven minutes: nearly as many
    assert schedule.usual in [known[i] for i in near]


@given(schedules)
def test_a_schedule_survives_json(schedule: Schedule) -> None:
    assert schedule_of(schedule_data(schedule)) == schedule


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"input_usd_per_mtok": "many", "output_usd_per_mtok": 1},
        {"input_usd_per_mtok": 1, "output_usd_per_mtok": float("nan")},
        {"input_usd_per_mtok": -1, "output_usd_per_mtok": 1},
        {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "modes": {"=cmd()": {}}},
        {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "windows": [{"start_utc": "25:00"}]},
        {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "windows": 3},
    ],
)
def test_what_is_no_schedule_is_refused_as_one(data: object) -> None:
    with pytest.raises(PriceError):
        schedule_of(data)


def test_impossible_figures_are_refused() -> None:
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(PriceError, match="input_usd_per_mtok"):
            flat(wrong, 1.0)
    with pytest.raises(PriceError, match="above the one before"):
        Tariff(
            rates=CHEAP.rates,
            tiers=(
                Tier(above_prompt_tokens=9, rates=DEAR.rates),
                Tier(above_prompt_tokens=9, rates=CHEAP.rates),
            ),
        )
    with pytest.raises(PriceError, match="weekdays"):
        Window(start=time(0), end=time(1), tariff=CHEAP, weekdays=(0,))


def test_a_window_says_when_it_holds() -> None:
    assert str(Window(start=time(1), end=time(4), tariff=CHEAP)) == "01:00-04:00 UTC"
    assert (
        str(Window(start=time(10), end=time(0), tariff=CHEAP, weekdays=(1, 2, 3, 4, 5)))
        == "Mon-Fri 10:00-24:00 UTC"
    )
    assert str(Window(start=time(0), end=time(0), tariff=CHEAP, weekdays=(6, 7))) == "Sat-Sun all day UTC"
    assert str(Window(start=time(0), end=time(0), tariff=CHEAP, weekdays=(1, 3))) == "Mon,Wed all day UTC"
