"""Learning gives back what a log was drawn from."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from planner.errors import MissingFactError
from planner.workload.draw import arrivals_s, draw_tasks
from planner.workload.learned import learn
from planner.workload.learned_lengths import distance, learned_lengths
from planner.workload.lengths import parse_lengths
from planner.workload.logged_request import LoggedRequest, RequestLog
from planner.workload.workload import Traffic, Workload

START = 1_788_739_200.0  # Monday 2026-09-07, 00:00 UTC
WORKLOAD = Workload(
    name="w",
    prompt=parse_lengths("lognormal:700:0.6"),
    output=parse_lengths("20-200"),
    traffic=Traffic(tasks_per_s=1.0),
)


def log_of(workload: Workload, n: int, rate: float, start: float = START) -> RequestLog:
    times = arrivals_s(workload.traffic, tasks_per_s=rate, seed=1)
    requests = tuple(
        LoggedRequest(
            arrival_s=start + when,
            n_prompt_tokens=task.calls[0].n_prompt_tokens,
            n_output_tokens=task.calls[0].n_generated_tokens,
            n_thinking_tokens=task.calls[0].n_thinking_tokens or None,
        )
        for task, when in islice(zip(draw_tasks(workload, 1), times, strict=False), n)
    )
    return RequestLog(name="log", requests=requests, has_dates=start > 0)


def test_what_was_drawn_is_learned() -> None:
    learned = learn(log_of(WORKLOAD, 20_000, 2.0), "mine")
    found = learned.workload
    assert found.prompt.kind == "lognormal"
    assert [found.prompt.low, found.prompt.sigma] == pytest.approx([700, 0.6], rel=0.03)
    assert found.output.mean == pytest.approx(110, rel=0.02)
    assert found.traffic.tasks_per_s == pytest.approx(2.0, rel=0.03)
    assert found.traffic.pattern == "poisson"
    assert max(far for _, far in learned.distances) < 0.06
    assert {source.key for source in found.sources if source.basis == "measured"} >= {
        "prompt_tokens",
        "output_tokens",
    }
    assert all(source.date for source in found.sources if source.basis == "measured")


@pytest.mark.parametrize("burstiness", [0.3, 4.0])
def test_bursts_are_learned(burstiness: float) -> None:
    bursty = replace(WORKLOAD, traffic=Traffic(tasks_per_s=1.0, pattern="bursty", burstiness=burstiness))
    found = learn(log_of(bursty, 20_000, 2.0), "mine").workload.traffic
    assert found.pattern == "bursty"
    assert found.burstiness == pytest.approx(burstiness, rel=0.15)


def test_thinking_is_told_apart_from_the_answer() -> None:
    thinker = replace(WORKLOAD, thinking=parse_lengths("lognormal:400:0.5"))
    found = learn(log_of(thinker, 8_000, 2.0), "mine").workload
    assert found.thinking.mean == pytest.approx(thinker.thinking.mean, rel=0.03)
    assert found.output.mean == pytest.approx(110, rel=0.03)


def test_hours_and_days_are_learned_from_two_weeks() -> None:
    def times() -> Iterator[float]:
        # Twice as many in the 12 hours from noon on, none on Sundays.
        for hour in range(14 * 24):
            if hour // 24 % 7 == 6:
                continue
            n = 40 if hour % 24 >= 12 else 20
            yield from (START + hour * 3600 + (index + 0.5) * 3600 / n for index in range(n))
        yield START + 14 * 86_400 - 1

    requests = tuple(
        LoggedRequest(arrival_s=when, n_prompt_tokens=10, n_output_tokens=10) for when in times()
    )
    traffic = learn(RequestLog(name="log", requests=requests, has_dates=True), "mine").workload.traffic
    assert traffic.day_profile[13] == pytest.approx(2 * traffic.day_profile[3], rel=0.01)
    assert traffic.week_profile[6] < 0.01
    # Six days of seven: 7/6 of the mean each; hours 4/3 of the mean.
    assert traffic.peak_to_average == pytest.approx(7 / 6 * 4 / 3, rel=0.02)


def test_a_short_log_without_dates_has_no_profiles_and_says_so() -> None:
    learned = learn(log_of(WORKLOAD, 200, 2.0, start=0.0), "mine")
    assert learned.workload.traffic.peak_to_average == 1
    notes = {source.key: source.note for source in learned.workload.sources}
    assert notes["traffic.day_profile"] == "the log has no whole day with dates"


def test_a_clock_of_whole_seconds_is_no_burst() -> None:
    log = log_of(WORKLOAD, 20_000, 8.0)
    coarse = tuple(replace(one, arrival_s=float(int(one.arrival_s))) for one in log.requests)
    learned = learn(replace(log, requests=coarse), "mine")
    assert learned.workload.traffic.pattern == "poisson"
    assert learned.notes == ("the log's clock counts in steps of 1 s; requests are spread over each step",)


def test_hashes_tell_what_prompts_share() -> None:
    chance = random.Random(3)
    requests = []
    for index in range(400):
        # Nine of ten begin with two blocks; every second one goes on from the block of the one before it.
        own = 1000 + index - index % 2
        begins = (1, 2, own) if chance.random() < 0.9 else (9000 + index,)
        requests.append(
            LoggedRequest(
                arrival_s=START + index,
                n_prompt_tokens=512 * len(begins),
                n_output_tokens=9,
                prefix_hashes=begins,
            )
        )
    learned = learn(RequestLog(name="log", requests=tuple(requests), has_dates=True), "mine")
    assert learned.workload.shared_prefix_tokens == 1024
    # Of three blocks two are known but for the first time, and the third in every second request.
    assert learned.found_again == pytest.approx(5 / 6, abs=0.06)


@pytest.mark.parametrize("text", ["lognormal:900:1.2", "quantiles:5/10/20/5000/9000", "1-40"])
def test_learned_lengths_keep_the_mean_and_the_shape(text: str) -> None:
    lengths = parse_lengths(text)
    chance = random.Random(2)
    values = [lengths.draw(chance) for _ in range(20_000)]
    found = learned_lengths(values)
    assert found.mean == pytest.approx(sum(values) / len(values), rel=0.02)
    assert distance(found, values) < 0.06


def test_one_length_is_one_length() -> None:
    assert str(learned_lengths([7] * 30)) == "7"


def test_too_little_is_refused() -> None:
    with pytest.raises(MissingFactError, match="at least 20 at different times"):
        learn(log_of(WORKLOAD, 10, 1.0), "mine")
