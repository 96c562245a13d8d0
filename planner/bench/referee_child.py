"""The process that holds the engine while it is asked about memory, one JSON line for each question.

Run as `python -P -m planner.bench.referee_child MEMORY_LIMIT_BYTES`. Each line on standard input is a
PlanQuestion; each answer is one line with the event "plan" or "refused". It ends when its input closes, also
in the middle of a question, so that it never outlives the program that started it.
"""

import contextlib
import json
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from planner.bench.llama_cpp_memory import EngineError
from planner.bench.plan_question import PlanQuestion
from planner.bench.pretended.planning import Planner


def main(arguments: list[str]) -> int:
    """Answers until its input ends; only the engine itself can bring it down before."""
    _stay_harmless(int(arguments[0]))
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answers

    def answer(event: str, **facts: Any) -> None:
        pipe.write(json.dumps({"event": event, **facts}) + "\n")
        pipe.flush()

    questions: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(questions,), daemon=True).start()
    planner: Planner | None = None
    while True:
        question = PlanQuestion.from_data(json.loads(questions.get()))
        try:
            planner = planner or Planner()
            answer("plan", **asdict(planner.plan(question)))
        except (EngineError, ImportError) as error:
            answer("refused", message=" ".join(str(error).split()))


def _read(questions: "queue.Queue[bytes]") -> None:
    for line in sys.stdin.buffer:
        questions.put(line)
    os._exit(0)


def _stay_harmless(memory_limit_bytes: int) -> None:
    """Whatever goes wrong here stays here: bounded memory, no core file, first to go when memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > memory_limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit_bytes, hard))
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):  # read-only /proc: only a precaution is lost
        score.write_text("1000")
    sys.unraisablehook = _die  # an error in a callback would otherwise be taken for the answer 0


def _die(problem: "sys.UnraisableHookArgs") -> None:
    traceback.print_exception(problem.exc_type, problem.exc_value, problem.exc_traceback)
    sys.stderr.write(f"error in a callback of the engine: {problem.exc_value!r}\n")
    sys.stderr.flush()
    os._exit(70)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
