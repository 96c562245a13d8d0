"""A whole load test: the server found, levels of load one after the other, the knee, and the server's own account."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from hardware.units import MILLI
from planner.bench.endpoint.load_levels import LoadLevels
from planner.bench.endpoint.load_run import Send, Stop
from planner.bench.endpoint.prompt_text import prompt_of
from planner.bench.endpoint.server import Server, counters, engine_build, find_server
from planner.bench.endpoint.server_metrics import account, engine_of
from planner.bench.endpoint.stream import Limits, request_body, send
from planner.errors import BenchError
from planner.load.knee import find_knee
from planner.load.load_summary import LoadLevel
from planner.load.load_test import LoadQuestion, LoadTest
from planner.load.request_record import RequestPlan, RequestRecord
from planner.progress import Progress

_LIMITS: Final = Limits()
_NOTEWORTHY_CACHED: Final = 0.05
_MOST_TOLD: Final = 3  # kinds of errors


def run_load_test(
    question: LoadQuestion,
    *,
    api_key: str | None = None,
    limits: Limits = _LIMITS,
    progress: Progress | None = None,
) -> LoadTest:
    """Runs a test from the start to the end of its budget; Ctrl-C ends it with what was measured until then."""
    return asyncio.run(_run(question, api_key, limits, progress))


async def _run(
    question: LoadQuestion, api_key: str | None, limits: Limits, progress: Progress | None
) -> LoadTest:
    import httpx2

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    started = time.perf_counter()

    def clock() -> float:
        return time.perf_counter() - started

    stop = Stop()
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    async with httpx2.AsyncClient(headers=headers, limits=unlimited, follow_redirects=False) as client:
        server = await find_server(
            client, question.base_url, question.model, question.call, clock=clock, limits=limits
        )
        before = await counters(client, question.base_url)
        engine = engine_of(before)
        build = await engine_build(client, question.base_url, engine)
        cpu_before = time.process_time()
        send_one = sender(question, server, client, clock, limits)
        test = LoadLevels(question, send_one, clock, limits, stop, progress)
        with _ctrl_c(stop):
            await test.run()
        wall_s, cpu_s = clock(), time.process_time() - cpu_before
        after = await counters(client, question.base_url)
    levels = tuple(test.levels)
    if not any(level.n_good for level in levels):
        errors = [f"{text} ({n} times)" for level in levels for text, n in level.errors]
        raise BenchError(
            f"no request to {question.base_url} succeeded: {'; '.join(errors[:3]) or 'none was answered in time'}"
        )
    good = [record for record in test.records if record.is_good]
    return LoadTest(
        question=question,
        model=server.model,
        call=server.call,
        software=server.software,
        is_counted=server.scale.is_counted,
        decides_length=server.decides_length,
        measured_at=measured_at,
        levels=levels,
        knee=find_knee(test.points()),
        own_prompt_tokens=sum(record.n_prompt_tokens or 0 for record in good),
        own_output_tokens=sum(record.n_output_tokens or 0 for record in good),
        own_mean_ttft_s=sum(record.ttft_s for record in good) / len(good),
        account=account(before, after),
        wall_s=wall_s,
        client_cpu_s=cpu_s,
        is_stopped=stop.is_asked,
        notes=_notes(server, levels, wall_s, cpu_s, bool(before), stop),
        engine=engine,
        engine_build=build,
        n_trace_requests=len(question.trace),
    )


def sender(
    question: LoadQuestion, server: Server, client: Any, clock: Callable[[], float], limits: Limits
) -> Send:
    """Sends planned requests to a server, each with a prompt of its own behind what all share.

    Lengths and times follow the seed; words do not: a server would know those of the last test by heart.
    """
    chance = random.SystemRandom()
    n_shared = question.n_shared_prefix_tokens
    shared = prompt_of(server.scale.n_words(n_shared), random.Random(question.seed)) if n_shared else ""  # noqa: S311
    n_shared_words = len(shared.split())

    async def send_one(plan: RequestPlan, due_s: float) -> RequestRecord:
        n_words = max(1, server.scale.n_words(plan.n_prompt_tokens) - n_shared_words)
        prompt = f"{shared} {prompt_of(n_words, chance)}".strip()
        body = request_body(server.call, server.model, prompt, plan.n_output_tokens, server.extra)
        return await send(client, server.url, body, planned_s=due_s, clock=clock, limits=limits)

    return send_one


@contextmanager
def _ctrl_c(stop: Stop) -> Iterator[None]:
    """Ctrl-C asks the load to end; a second one ends the program at once."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        stop.ask()
        loop.remove_signal_handler(signal.SIGINT)

    try:
        loop.add_signal_handler(signal.SIGINT, once)
    except (RuntimeError, ValueError, NotImplementedError):  # not the main thread: its owner has the keyboard
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _notes(
    server: Server,
    levels: Sequence[LoadLevel],
    wall_s: float,
    cpu_s: float,
    has_counters: bool,
    stop: Stop,
) -> tuple[str, ...]:
    found = [note for level in levels for note in level.notes]
    found += [
        f"{n:,} request{'s' if n > 1 else ''} {_at(level)} failed: {text}"
        for level in levels
        for text, n in level.errors[:_MOST_TOLD]
    ][:_MOST_TOLD]
    if not server.scale.is_counted:
        found.append(
            "the server does not count tokens: prompt lengths are words, output lengths pieces of text"
        )
    if not server.decides_length:
        found.append("the server ends answers where the model does: they may be shorter than asked")
    if not has_counters:
        found.append("the server shows no counters of its own at /metrics")
    found += [
        f"{level.cached_fraction:.0%} of the prompts' tokens came from the server's own cache"
        for level in levels
        if (level.cached_fraction or 0.0) > _NOTEWORTHY_CACHED
    ][:1]
    if cpu_s > 0.7 * wall_s:
        found.append(
            f"this program used {cpu_s / wall_s:.0%} of a core: it may have been the limit; use fewer requests at once"
        )
    late_s = max((level.latest_send_s for level in levels), default=0.0)
    if late_s > 0.05:
        found.append(f"requests were sent up to {late_s / MILLI:.0f} ms late: this machine was busy")
    if stop.is_asked:
        found.append("stopped early: what follows was measured until then")
    return tuple(found)


def _at(level: LoadLevel) -> str:
    return f"at {level.concurrency} at once" if level.concurrency else f"at {level.offered_per_s or 0:.3g}/s"
