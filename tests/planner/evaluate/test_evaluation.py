"""An evaluation against a server: solved, tried again, unanswered; and its rows in what a solved task costs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner.api.evaluating import evaluate, evaluation_rows
from planner.cli.main import planner
from planner.errors import MalformedError, PlannerError
from planner.evaluate.asking import Asking
from planner.readers.evaluations.file import read_evaluation
from planner.readers.tasks_file import read_tasks
from planner.report.evaluation_document import wilson

TASKS = """
{"task": "capital", "prompt": "Capital of France?", "check": {"contains": "Paris"}}
{"task": "sum", "system": "Be brief.", "prompt": "2 + 2?", "check": {"number": 4}}
{"task": "late", "prompt": "Again?", "check": {"exact": "second"}}
"""


class Server(ThreadingHTTPServer):
    """Answers whole, as vLLM's and llama-server's chat does without `stream`."""

    daemon_threads = True

    def __init__(self, fault: str | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.asked: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "tiny"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        before = sum(one["messages"][-1]["content"] == asked for one in self.server.asked)
        self.server.asked.append(body)
        if self.server.fault == "500":
            self._send(500, {"error": {"message": "CUDA error\x1b[31m"}})
            return
        if self.server.fault == "garbage":
            self._send_bytes(200, b"{not json")
            return
        if self.server.fault == "endless":
            self._send_bytes(200, b"x" * 9_000_000)
            return
        answers = {
            "Capital of France?": "It is Paris.",
            "2 + 2?": "5",
            "Again?": ("first", "second")[min(before, 1)],
        }
        message = {"role": "assistant", "content": answers[asked]}
        usage = {"prompt_tokens": 10, "completion_tokens": 2 + before}
        self._send(200, {"choices": [{"message": message}], "usage": usage})

    def _send(self, status: int, content: Any) -> None:
        self._send_bytes(status, json.dumps(content).encode())

    def _send_bytes(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def serving(fault: str | None = None) -> Iterator[tuple[str, Server]]:
    server = Server(fault)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    file = tmp_path / "mine.jsonl"
    file.write_text(TASKS)
    return file


def test_a_task_is_tried_again_until_it_is_solved(tasks: Path) -> None:
    with serving() as (url, server):
        found = evaluate(url, tasks, Asking(n_attempts=3))
    results = {result.task: (result.is_solved, result.n_attempts) for result in found.results}
    # "sum" answers 5 each time; "late" is right the second time.
    assert results == {"capital": (True, 1), "sum": (False, 3), "late": (True, 2)}
    assert found.n_solved == 2
    (brief,) = {str(one["messages"]) for one in server.asked if one["messages"][-1]["content"] == "2 + 2?"}
    assert "Be brief." in brief


def test_its_rows_are_what_a_solved_task_is_costed_from(tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    with serving() as (url, _):
        arguments = ["evaluate", url, str(tasks), "--attempts", "2", "--out", str(out), "--format", "json"]
        result = CliRunner().invoke(planner, arguments)
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert (data["n_tasks"], data["n_solved"], data["model"]) == (3, 2, "tiny")
    (read,) = read_evaluation(out)
    # capital once, sum twice, late twice
    assert (read.n_tasks, read.n_solved, read.n_attempts, read.prompt_tokens) == (3, 2, 5, 10)


@pytest.mark.parametrize(
    ("fault", "said"), [("500", "HTTP 500"), ("garbage", "not JSON"), ("endless", "without end")]
)
def test_a_server_that_fails_is_an_unsolved_task_with_its_reason(fault: str, said: str, tasks: Path) -> None:
    with serving(fault) as (url, _):
        found = evaluate(url, tasks)
    assert found.n_solved == 0
    for result in found.results:
        assert result.error is not None and said in result.error and "\x1b" not in result.error
    assert all("prompt_tokens" not in row for row in evaluation_rows(found))  # unknown is not 0


def test_a_server_that_never_answers_ends_it_early(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": "2 + 2?", "check": {"number": 4}}) for _ in range(200)))
    with serving("500") as (url, server), pytest.raises(PlannerError, match="answered none of the first"):
        evaluate(url, file, Asking(concurrency=2))
    assert len(server.asked) < 20


def test_no_server_is_one_line(tasks: Path) -> None:
    with pytest.raises(PlannerError, match="no server answers"):
        evaluate("http://127.0.0.1:1", tasks)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2"),
        ("[1]", "a task is an object"),
        ('{"prompt": "a", "check": {"exact": "b"}, "chek": 1}', "no key 'chek'"),
        ('{"check": {"exact": "b"}}', "either a prompt or messages"),
        ('{"prompt": "a"}', "has a check"),
        ('{"prompt": "a", "check": {"exec": "rm"}}', "a check is one of"),
        ('{"messages": [{"role": "tool", "content": "x"}], "check": {"exact": "b"}}', "a message has a role"),
        ('{"prompt": "a", "check": {"exact": "b"}, "max_tokens": "9"}', "whole number"),
        ('{"prompt": "a", "check": {"exact": "b"}, "task": "one"}', "already"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"task": "one", "prompt": "a", "check": {"exact": "b"}}\n' + line)
    with pytest.raises(MalformedError, match=message) as caught:
        read_tasks(file)
    assert "line 2" in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_file_is_no_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("\n\n")
    with pytest.raises(MalformedError, match="holds no task"):
        read_tasks(file)


def test_the_interval_of_a_share() -> None:
    # Wilson, z = 1.2816, 8 of 10: centre (0.8 + 0.0821)/(1.1642) = 0.7577, half 1.2816/1.1642 · √(0.016 + 0.0041) = 0.156
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.6015, abs=0.002) and high == pytest.approx(0.914, abs=0.002)
    assert wilson(0, 5)[0] == 0.0 and wilson(5, 5)[1] == 1.0
