"""The engine as referee: how llama.cpp itself would divide a model's memory, asked without loading anything.

    with Referee() as referee:
        answer = referee.ask(PlanQuestion(model_path=header, n_context_tokens=8192, gpus=(gpu,)))

The engine lives in a process of its own that answers many questions; one that brings it down costs that answer
only. A file needs its header alone: the weights may be a hole in it (`header_copy`).
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from hardware.units import GIB
from planner.bench.llama_cpp import require_engine
from planner.bench.plan_question import PlanQuestion
from planner.bench.runner import ChildOutput, crashed, kill_child, start_child
from planner.errors import BenchError
from planner.estimate.engine_plan import EngineFailure, EnginePlan

MEMORY_LIMIT_BYTES = 8 * GIB  # of the engine's process: plans need 0.1 to 1 GiB, more with very many cells
_COMMAND = (sys.executable, "-P", "-m", "planner.bench.referee_child")
_END_WAIT_S = 5.0


class Referee:
    """A process that holds the engine; started at the first question, and again after a crash."""

    def __init__(
        self,
        *,
        limit_s: float = 120.0,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
        command: Sequence[str] | None = None,
    ) -> None:
        self._limit_s = limit_s
        self._command = (*(command or _COMMAND), str(memory_limit_bytes))
        self._needs_engine = command is None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: ChildOutput | None = None

    def __enter__(self) -> "Referee":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the engine's process."""
        if self._process is not None:
            kill_child(self._process)
        if self._output is not None:
            self._output.close()
        self._process = self._output = None

    def plan(self, question: PlanQuestion) -> EnginePlan:
        """The engine's plan; BenchError when it gives none."""
        answer = self.ask(question)
        if isinstance(answer, EnginePlan):
            return answer
        hint = f"; {answer.hint}" if answer.hint else ""
        raise BenchError(f"{question.model_path.name}: {answer.problem}{hint}")

    def ask(self, question: PlanQuestion) -> EnginePlan | EngineFailure:
        """The engine's plan, or how it failed to give one."""
        if not question.model_path.is_file():
            raise BenchError(f"there is no model file {question.model_path}; give the path of a .gguf file")
        if self._needs_engine:
            require_engine()
        if self._process is None:
            self._process = start_child(self._command)
            self._output = ChildOutput(self._process)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question.to_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._fell()
        event = self._answer()
        if event is None:
            return self._fell()
        if isinstance(event, EngineFailure):
            return event
        if event["event"] == "refused":
            return EngineFailure(problem=str(event.get("message", "no reason given")))
        return EnginePlan.from_data(event)

    def _answer(self) -> dict[str, Any] | EngineFailure | None:
        """The next answer; None when the process has gone."""
        assert self._process is not None
        assert self._output is not None
        deadline = time.monotonic() + self._limit_s
        while self._output.open:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self.close()
                return EngineFailure(
                    problem=f"the engine took longer than {self._limit_s:.0f} s to plan and was stopped",
                    hint="allow more time or ask for a smaller context",
                )
            for event in self._output.read(min(left_s, 1.0)):
                if event["event"] in ("plan", "refused"):
                    return event
            if self._output.quiet and self._process.poll() is not None:
                break
        return None

    def _fell(self) -> EngineFailure:
        """What brought the process down; the next question starts another."""
        assert self._process is not None
        assert self._output is not None
        try:
            status = self._process.wait(timeout=_END_WAIT_S)
        except subprocess.TimeoutExpired:  # it closed its pipes and lives on
            status = 0
        while self._output.open and not self._output.quiet:
            for _ in self._output.read(0.1):
                pass
        ended = crashed(status, self._output.last_lines)
        self.close()
        return EngineFailure(problem=ended.problem or "the engine ended", hint=ended.hint)


def header_copy(header: bytes, file_bytes: int, path: Path) -> Path:
    """A file that begins with a GGUF header and is a hole for the rest: all that planning needs."""
    with path.open("wb") as file:
        file.write(header)
        file.truncate(max(file_bytes, len(header)))
    return path
