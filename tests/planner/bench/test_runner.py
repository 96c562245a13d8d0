"""Children that crash, hang, are killed or talk nonsense: what is said, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.bench.runner import Ended, run_child
from planner.errors import BenchError

ROOT = Path(__file__).parents[3]
HELLO = """
import ctypes, json, os, signal, subprocess, sys, time
def send(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)
request = sys.stdin.readline()
send("engine", pid=os.getpid())
"""


class Heard(list[dict[str, Any]]):
    """The events of a child."""

    @property
    def kinds(self) -> list[str]:
        return [event["event"] for event in self]


def run(script: str, *, load_limit_s: float = 20, measure_limit_s: float = 20) -> tuple[Ended, Heard]:
    heard = Heard()
    ended = run_child(
        '{"mode": "test"}',
        heard.append,
        load_limit_s=load_limit_s,
        measure_limit_s=measure_limit_s,
        command=[sys.executable, "-c", HELLO + script],
    )
    return ended, heard


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie whose parent has not collected it yet is dead for our purpose.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], limit_s: float = 10) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_a_finished_child_has_no_problem() -> None:
    ended, heard = run("send('done')")
    assert ended == Ended(problem=None, hint=None)
    assert heard.kinds == ["engine", "done"]


def test_a_segmentation_fault_is_one_line_with_the_last_words() -> None:
    ended, _ = run(
        "print('load_tensors: ok', file=sys.stderr)\n"
        "print('ggml.c:42: GGML_ASSERT(n > 0) failed', file=sys.stderr)\n"
        "print('some trailing line', file=sys.stderr, flush=True)\n"
        "ctypes.string_at(0)"
    )
    # The line that names a failure is worth more than the very last one.
    assert ended.problem == (
        'the engine crashed (SIGSEGV); it said last: "ggml.c:42: GGML_ASSERT(n > 0) failed"'
    )


def test_a_kill_by_the_system_is_taken_for_lack_of_memory() -> None:
    ended, _ = run("os.kill(os.getpid(), signal.SIGKILL)")
    assert ended.problem is not None
    assert "memory ran out" in ended.problem
    assert ended.hint is not None
    assert "smaller" in ended.hint


def test_an_early_exit_is_a_problem_even_with_status_0() -> None:
    ended, _ = run("sys.exit(0)")
    assert ended.problem == "the engine ended early with status 0 without a word"
    ended, _ = run("sys.exit('no such library')")
    assert ended.problem == 'the engine ended early with status 1; it said last: "no such library"'


def test_what_the_child_refuses_is_passed_on() -> None:
    ended, _ = run("send('error', message='could not load x.gguf: magic is wrong')")
    assert ended.problem == "could not load x.gguf: magic is wrong"


def test_a_child_that_hangs_while_loading_is_stopped() -> None:
    ended, heard = run("time.sleep(60)", load_limit_s=1.0)
    assert ended.problem == "the engine took longer than 1 s to load the model and was stopped"
    assert not is_alive(heard[0]["pid"])


def test_a_child_that_hangs_while_measuring_is_stopped_with_all_it_started() -> None:
    ended, heard = run(
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # it would not listen to a polite request
        "send('helper', pid=helper.pid)\nsend('model')\ntime.sleep(60)",
        measure_limit_s=0.5,
    )
    assert ended.problem is not None
    assert "to measure" in ended.problem
    assert not is_alive(heard[0]["pid"])
    assert wait_until(lambda: not is_alive(heard[1]["pid"]))


def test_the_time_for_measuring_starts_with_the_loaded_model() -> None:
    # Loading takes longer than the limit for measuring; both keep to their own.
    ended, _ = run("time.sleep(0.7)\nsend('model')\nsend('done')", measure_limit_s=0.5)
    assert ended.problem is None


def test_noise_between_the_events_is_ignored() -> None:
    ended, heard = run(
        "print('not json'); print('[1, 2]'); print('{}'); print('{\"event\": 7}')\n"
        "print('x' * 300_000)\n"  # longer than any event may be
        "print('y' * 300_000, file=sys.stderr)\n"
        "send('done')"
    )
    assert ended.problem is None
    assert heard.kinds == ["engine", "done"]


def test_foreign_text_cannot_steer_the_terminal() -> None:
    ended, _ = run("sys.exit('error: \\x1b[2J\\x07' + 'z' * 1000)")
    assert ended.problem is not None
    assert ended.problem.isprintable()
    assert len(ended.problem) < 300


def test_a_child_that_reads_nothing_is_no_obstacle() -> None:
    ended = run_child(
        "x" * 1_000_000,  # more than a pipe holds
        lambda event: None,
        load_limit_s=20,
        measure_limit_s=20,
        command=[sys.executable, "-c", "import sys; sys.exit('not today')"],
    )
    assert ended.problem is not None
    assert "not today" in ended.problem


def test_a_missing_program_is_one_line() -> None:
    with pytest.raises(BenchError, match=r"could not start .*/no/such/engine: No such file"):
        run_child("{}", lambda event: None, load_limit_s=1, measure_limit_s=1, command=["/no/such/engine"])


def test_an_error_in_our_own_code_leaves_nothing_running() -> None:
    pids: list[int] = []

    def fail(event: dict[str, Any]) -> None:
        pids.append(event["pid"])
        raise RuntimeError("a bug in the caller")

    with pytest.raises(RuntimeError, match="a bug"):
        run_child(
            "{}",
            fail,
            load_limit_s=20,
            measure_limit_s=20,
            command=[sys.executable, "-c", HELLO + "time.sleep(60)"],
        )
    assert not is_alive(pids[0])


def test_progress_is_shown_within_0_and_1() -> None:
    shown: list[tuple[float, str]] = []
    run_child(
        "{}",
        lambda event: None,
        load_limit_s=20,
        measure_limit_s=20,
        progress=lambda part, text: shown.append((part, text)),
        command=[
            sys.executable,
            "-c",
            HELLO + "send('loading', done_fraction=0.05, text='loading')\nsend('done', done_fraction=7)",
        ],
    )
    assert shown == [(0.05, "loading"), (1.0, "")]


# A job in the background of a script starts with SIGINT ignored, which would hide what is tested here.
PARENT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from planner.bench.runner import run_child
script = sys.argv[1]
try:
    run_child("{}", lambda event: print(event["pid"], flush=True), load_limit_s=60, measure_limit_s=60,
              command=[sys.executable, "-c", script])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_leaves_no_process() -> None:
    script = HELLO + (
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "send('helper', pid=helper.pid)\ntime.sleep(60)"
    )
    # Its own session, as a terminal gives a foreground program, so that the signal reaches only this tree.
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        child, helper = int(parent.stdout.readline()), int(parent.stdout.readline())
        assert is_alive(child)
        assert is_alive(helper)
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline() == "interrupted\n"
        assert parent.wait(timeout=10) == 0
    assert not is_alive(child)
    assert wait_until(lambda: not is_alive(helper))
