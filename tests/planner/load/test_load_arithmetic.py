"""The arithmetic of load tests, by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.bench.endpoint.prompt_text import PromptScale, scale_from
from planner.bench.endpoint.server_metrics import account, read_counters
from planner.errors import BenchError
from planner.load.knee import LoadPoint, find_knee
from planner.load.load_summary import percentiles, summarize
from planner.load.plans import endless_plans, poisson_plans
from planner.load.raw_load import RawLoad
from planner.load.request_record import RequestRecord
from planner.workload.lengths import parse_lengths


def record(sent: float, *tokens: float, planned: float | None = None, n: int | None = None) -> RequestRecord:
    return RequestRecord(
        planned_s=sent if planned is None else planned, sent_s=sent, end_s=tokens[-1], token_s=tokens,
        n_prompt_tokens=10, n_output_tokens=len(tokens) if n is None else n,
    )  # fmt: skip


def test_latencies_of_one_request() -> None:
    # Due at 1.0, sent late at 1.2, tokens at 1.5, 1.6, 1.8, which the server counts as 4 (one piece held two).
    one = record(1.2, 1.5, 1.6, 1.8, planned=1.0, n=4)
    assert one.ttft_s == pytest.approx(0.5)
    assert one.e2e_s == pytest.approx(0.8)
    assert one.tpot_s == pytest.approx(0.3 / 3)
    assert record(0, 1.0).tpot_s is None


def test_the_first_burst_does_not_count() -> None:
    # Two places. Each has had one answer at 2.0; from there on answers come every 0.5 s, the last one at 5.0: 6 in 3 s.
    first = [record(0, 0.9, 1.0), record(0, 1.9, 2.0)]
    later = [record(2.0 + 0.5 * i, 2.3 + 0.5 * i, 2.5 + 0.5 * i) for i in range(6)]
    raw = RawLoad(
        records=(*first, *later), started_s=0, stopped_s=5.2, n_cut_off=0, n_not_sent=0, steady_from_s=2.0
    )
    level = summarize((raw,), concurrency=2)
    assert level.window_s == pytest.approx(3.0)
    assert level.requests_per_s == pytest.approx(2.0)
    assert level.output_tokens_per_s == pytest.approx(4.0)
    assert level.ttft is not None and level.ttft.mean == pytest.approx(0.3)
    # 12 tokens in 3 s, two a request: 2 requests a second, the first stretch's mean of two tokens included.
    assert level.rates_per_s == pytest.approx((2.0,))


def test_stretches_of_a_level_are_added_up() -> None:
    # Two requests a second for 3 s, then one a second for 6 s: 12 in 9 s, and the rates apart tell how sure that is.
    def stretch(start: float, each_s: float) -> RawLoad:
        records = [
            record(start + each_s * i, start + each_s * (i + 0.5), start + each_s * (i + 1)) for i in range(7)
        ]
        return RawLoad(
            records=tuple(records), started_s=start, stopped_s=records[-1].end_s, n_cut_off=0, n_not_sent=0,
            steady_from_s=records[0].end_s,
        )  # fmt: skip

    level = summarize((stretch(0, 0.5), stretch(100, 1.0)), concurrency=1)
    assert level.window_s == pytest.approx(9.0)
    assert level.requests_per_s == pytest.approx(12 / 9)
    assert level.rates_per_s == pytest.approx((2.0, 1.0))
    assert level.mean_under_way == pytest.approx(1.0)


def test_without_a_steady_part_littles_law_tells_the_pace() -> None:
    # Two at once, 2 s each, and no more: 1 a second by concurrency over time, although only 2 in 2.5 s were seen.
    raw = RawLoad(
        records=(record(0, 1, 2), record(0.5, 1.5, 2.5)),
        started_s=0,
        stopped_s=1.0,
        n_cut_off=0,
        n_not_sent=0,
    )
    level = summarize((raw,), concurrency=2)
    assert level.rates_per_s == ()
    assert level.requests_per_s == pytest.approx(1.0)
    assert "only 2 answers at concurrency 2" in level.notes[0]


def test_percentiles_are_numpys() -> None:
    found = percentiles([4.0, 1.0, 3.0, 2.0])
    assert found is not None
    assert found.at == pytest.approx((2.5, 3.7, 3.85, 3.97))
    assert percentiles([]) is None


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=50))
def test_percentiles_rise_and_stay_within(values: list[float]) -> None:
    found = percentiles(values)
    assert found is not None
    assert all(a <= b for a, b in itertools.pairwise(found.at))
    assert min(values) <= found.at[0] and found.at[-1] <= max(values)


def point(concurrency: float, capacity: float, alone_s: float) -> LoadPoint:
    """A server that obeys the asymptotes exactly."""
    rate = min(concurrency / alone_s, capacity)
    return LoadPoint(concurrency=concurrency, requests_per_s=rate, e2e_s=concurrency / rate)


@given(capacity=st.floats(0.5, 50), alone_s=st.floats(0.1, 10))
def test_the_knee_is_where_the_two_bounds_meet(capacity: float, alone_s: float) -> None:
    points = [point(2**power, max(capacity, 1 / alone_s), alone_s) for power in range(14)]
    knee = find_knee(points)
    assert knee is not None and knee.is_reached
    assert knee.requests_per_s == pytest.approx(max(capacity, 1 / alone_s))
    assert knee.concurrency == pytest.approx(max(1.0, capacity * alone_s))


def test_without_a_single_request_there_is_no_knee() -> None:
    assert find_knee([point(2, 5, 1), point(4, 5, 1)]) is None
    rising = find_knee([point(1, 100, 1), point(2, 100, 1), point(4, 100, 1)])
    assert rising is not None and not rising.is_reached


@pytest.mark.parametrize("text", ["512", "256-1024", "lognormal:300:0.5"])
def test_lengths_are_read_as_they_are_written(text: str) -> None:
    assert str(parse_lengths(text)) == text


@pytest.mark.parametrize("text", ["", "0", "9-3", "-5", "many", "lognormal:0:1", "1e9", "lognormal:5"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no length in tokens"):
        parse_lengths(text)


def test_a_log_normal_has_its_median() -> None:
    plans = itertools.islice(endless_plans(parse_lengths("lognormal:300:0.8"), parse_lengths("1"), 1), 4001)
    lengths = sorted(plan.n_prompt_tokens for plan in plans)
    # The median of n draws is off by about 1.25·σ/√n = 1.6 % in log; three of these.
    assert lengths[2000] == pytest.approx(300, rel=0.05)


def test_poisson_arrivals_have_their_rate_and_their_spread() -> None:
    plans = poisson_plans(parse_lengths("1"), parse_lengths("1"), rate_per_s=20, duration_s=200, seed=3)
    # 4,000 expected, ± √4000 = 63; three of these.
    assert abs(len(plans) - 4000) < 190
    gaps = [(b.arrival_s or 0) - (a.arrival_s or 0) for a, b in itertools.pairwise(plans)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance**0.5 / mean == pytest.approx(1.0, rel=0.06)  # an exponential's spread is its mean
    with pytest.raises(BenchError, match="gave none"):
        poisson_plans(parse_lengths("1"), parse_lengths("1"), rate_per_s=0.001, duration_s=1, seed=3)


def test_words_become_tokens_by_two_counts() -> None:
    # 40 words were 57 tokens and 200 words 217: 17 of a template and one a word.
    scale = scale_from(40, 57, 200, 217)
    assert (scale.fixed_tokens, scale.tokens_per_word) == (17.0, 1.0)
    assert scale.n_words(117) == 100
    assert scale.n_words(3) == 1
    assert scale_from(40, 57, 200, 57) == PromptScale()  # counts that cannot be true


def test_a_page_of_counters_is_read_with_its_noise() -> None:
    before = read_counters("vllm:prompt_tokens_total 5\n")
    after = read_counters(
        '# TYPE x counter\nvllm:prompt_tokens_total{engine="0"} 15.0\nvllm:prompt_tokens_total{engine="1"} 10\n'
        "vllm:generation_tokens_total 7 1700000000000\nvllm:time_to_first_token_seconds_sum 3.0\n"
        "vllm:time_to_first_token_seconds_count 6\nbroken{ 1\nother NaN\n\x1b[31m 4\n"
    )
    found = account(before, after)
    assert found is not None
    assert (found.n_prompt_tokens, found.n_output_tokens, found.mean_ttft_s) == (20.0, 7.0, 0.5)
    assert account({}, read_counters("go_goroutines 5")) is None
