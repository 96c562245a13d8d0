"""How every process that holds an engine begins and ends: it may crash, hang or be killed without harm.

It reads one JSON request on standard input, answers in JSON lines on standard output (see planner.bench.protocol),
and ends when its standard input closes, so that it never outlives the program that started it.
"""

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from planner.bench.llama_cpp_memory import EngineError


class Reporter:
    """Writes events on the pipe to the parent."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe = pipe

    def send(self, event: str, **facts: Any) -> None:
        """One line with the event and what belongs to it."""
        self._pipe.write(json.dumps({"event": event, **facts}) + "\n")
        self._pipe.flush()


def serve(handle: Callable[[dict[str, Any], Reporter], None]) -> int:
    """Serves one request; the exit status is 0 unless the engine itself brings the process down."""
    _die_alone()
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the events
    line = sys.stdin.buffer.readline()
    if not line:
        return 0  # whoever started this has gone before asking
    request = json.loads(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reporter = Reporter(pipe)
    try:
        handle(request, reporter)
    except (EngineError, ImportError) as error:
        reporter.send("error", message=" ".join(str(error).split()))
        return 0
    reporter.send("done", done_fraction=1.0)
    return 0


def _die_alone() -> None:
    """Whatever goes wrong here stays here: if memory runs out, this process is the one to take."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash need not write gigabytes of weights to disk
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        try:
            score.write_text("1000")
        except OSError as error:  # read-only /proc: only a precaution is lost
            print(f"oom_score_adj: {error}", file=sys.stderr)  # noqa: T201 (goes to the captured log)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    if os.getpgrp() == os.getpid():  # a group of our own: a server that we started goes too
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
