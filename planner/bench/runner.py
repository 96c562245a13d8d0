"""Runs an engine in a process of its own: watched, limited in time, and gone afterwards whatever happens."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import planner
from planner.bench.protocol import MAX_LINE_BYTES, parse_event
from planner.errors import BenchError
from planner.progress import Progress

# -P: a module lying in the current folder must not be imported in place of ours.
CHILD_COMMAND = (sys.executable, "-P", "-m", "planner.bench.llama_cpp_child")
_STOP_WAIT_S = 5.0
_MAX_SAID_CHARACTERS = 200
_TELLING_WORDS = ("error", "fail", "assert", "abort", "cannot", "unable", "out of memory", "not ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended: None and None when it finished its work and said so."""

    problem: str | None  # one line: crashed, refused, out of time
    hint: str | None


Parse = Callable[[bytes], dict[str, Any] | None]


class ChildOutput:
    """The child's two pipes: whole lines from one, the last words of the other; both bounded."""

    def __init__(self, process: subprocess.Popen[bytes], parse: Parse = parse_event) -> None:
        self._parse = parse
        assert process.stdout is not None
        assert process.stderr is not None
        self._selector = selectors.DefaultSelector()
        self._events = process.stdout.fileno()
        self._buffers = {self._events: b"", process.stderr.fileno(): b""}
        self.last_lines: deque[str] = deque(maxlen=50)
        self.quiet = False  # nothing came in the last read
        for descriptor in self._buffers:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    @property
    def open(self) -> bool:
        """Whether the child still holds a pipe."""
        return bool(self._selector.get_map())

    def read(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Waits up to `timeout_s` for output and yields the events in it."""
        ready = self._selector.select(max(0.0, timeout_s))
        self.quiet = not ready
        for key, _ in ready:
            descriptor = key.fd
            data = os.read(descriptor, MAX_LINE_BYTES)
            if not data:
                self._selector.unregister(descriptor)
            *lines, rest = (self._buffers[descriptor] + (data or b"\n")).split(b"\n")
            self._buffers[descriptor] = rest[-MAX_LINE_BYTES:]
            for line in lines:
                if descriptor != self._events:
                    self.last_lines.append(line.decode("utf-8", "replace"))
                elif (event := self._parse(line)) is not None:
                    yield event

    def close(self) -> None:
        """Stops listening."""
        self._selector.close()


def run_child(
    request: str,
    on_event: Callable[[dict[str, Any]], None],
    *,
    load_limit_s: float,
    measure_limit_s: float,
    progress: Progress | None = None,
    command: Sequence[str] = CHILD_COMMAND,
    parse: Parse = parse_event,
    says_done: bool = True,
) -> Ended:
    """Sends a request to a fresh child process and passes its events on until it ends.

    It may take `load_limit_s` until its "model" event and `measure_limit_s` from there; a child that takes
    longer is killed. A foreign program speaks in lines that `parse` understands, and does not say when it is done. On any way out, Ctrl-C included, its whole process group is gone.
    """
    process = start_child(command)
    output = None
    try:
        output = ChildOutput(process, parse)
        _send(process.stdin, request)
        deadline = time.monotonic() + load_limit_s
        loaded, refused, done = False, None, False
        while output.open:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                limit_s = measure_limit_s if loaded else load_limit_s
                doing = "measure" if loaded else "load the model"
                return Ended(
                    problem=f"the engine took longer than {limit_s:.0f} s to {doing} and was stopped",
                    hint="allow more time or choose a smaller model",
                )
            for event in output.read(min(left_s, 1.0)):
                if event["event"] == "model" and not loaded:
                    loaded, deadline = True, time.monotonic() + measure_limit_s
                refused = _text(event.get("message")) if event["event"] == "error" else refused
                done = done or event["event"] == "done"
                on_event(event)
                _show(progress, event)
            if output.quiet and process.poll() is not None:
                break  # it is gone; something it started may still hold the pipes
        status = _wait(process, deadline)
        if refused is not None:
            return Ended(problem=refused, hint=None)
        if status == 0 and (done or not says_done):
            return Ended(problem=None, hint=None)
        return crashed(status, output.last_lines)
    finally:
        kill_child(process)
        if output is not None:
            output.close()


def start_child(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts an engine's process in a group of its own, with three pipes; BenchError when it cannot."""
    root = str(Path(planner.__file__).parents[1])
    python_path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    # Without these, a failed assertion in the engine starts a debugger to print a back-trace.
    environment = {**os.environ, "PYTHONPATH": python_path, "GGML_NO_BACKTRACE": "1"}
    try:
        return subprocess.Popen(  # noqa: S603 (our own module, or the command a test passes)
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # its own group: Ctrl-C reaches us only, and one kill reaches all of it
        )
    except OSError as error:
        raise BenchError(f"could not start the engine's process {command[0]}: {error.strerror}") from error


def _send(stdin: IO[bytes] | None, request: str) -> None:
    assert stdin is not None
    # A child that has ended already shows in its exit status, with what it said.
    with contextlib.suppress(BrokenPipeError):
        stdin.write(request.encode() + b"\n")
        stdin.flush()


def _show(progress: Progress | None, event: dict[str, Any]) -> None:
    part, text = event.get("done_fraction"), event.get("text")
    if progress is not None and isinstance(part, int | float):
        progress(min(1.0, max(0.0, float(part))), _text(text) if text else "")


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        return process.wait(timeout=max(_STOP_WAIT_S, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:  # it closed its pipes and lives on
        kill_child(process)
        return process.wait()


def kill_child(process: subprocess.Popen[bytes]) -> None:
    """Ends a child with everything it started, and closes its pipes; harmless when it has ended."""
    # The group outlives its leader if the engine started processes, so it is signalled even after the end.
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone already; macOS: only zombies left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # closing flushes what the child never read
                stream.close()


def crashed(status: int, last_lines: Sequence[str]) -> Ended:
    """How a child ended that did not finish its work, with its last words."""
    said = _last_words(last_lines)
    saying = f'; it said last: "{said}"' if said else " without a word"
    if status == -signal.SIGKILL:
        return Ended(
            problem=f"the engine was killed (signal 9), most likely because memory ran out{saying}",
            hint="choose a smaller model, quantization or context, or close other programs",
        )
    if status < 0:
        return Ended(problem=f"the engine crashed ({_signal_name(-status)}){saying}", hint=None)
    return Ended(problem=f"the engine ended early with status {status}{saying}", hint=None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_words(lines: Sequence[str]) -> str:
    """The most telling of the last lines: one that names a failure, else the last one with anything."""
    words = [_text(line) for line in lines]
    words = [line for line in words if line]
    telling = [line for line in words if any(word in line.lower() for word in _TELLING_WORDS)]
    return (telling or words or [""])[-1]


def _text(value: object) -> str:
    """Foreign text made fit for one line of a terminal: printable, and not too long."""
    line = "".join(character if character.isprintable() else " " for character in str(value))
    return " ".join(line.split())[:_MAX_SAID_CHARACTERS]
