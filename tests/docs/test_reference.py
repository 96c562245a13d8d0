"""The command reference is the one that the code prints, and the pages name only what the code has."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs import examples
from planner.cli.main import COMMANDS, planner

_CODE = re.compile(r"`([^`\n]+)`")
_OPTION = re.compile(r"--[a-z][a-z-]*")


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    # As `make docs` runs it, in a process of its own: click keeps parts of a help text that was shown before.
    fresh = tmp_path / "cli.md"
    subprocess.run([sys.executable, "-m", "planner.cli.reference", str(fresh)], check=True, timeout=60)
    page = (examples.ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == fresh.read_text(encoding="utf-8"), "docs/cli.md is stale; run `make docs`"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_in_the_reference_and_the_readme(name: str) -> None:
    assert f"## planner {name}" in (examples.ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    readme = (examples.ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `planner {name}\b", readme, re.MULTILINE), (
        f"no row for {name} in the README's table"
    )


def _options(name: str) -> set[str]:
    context = click.Context(planner, info_name="planner")
    command = planner.get_command(context, name)
    assert command is not None
    found = set()
    inner = command.list_commands(context) if isinstance(command, click.Group) else []
    for each in (command, *(command.get_command(context, word) for word in inner)):  # type: ignore[attr-defined]
        assert each is not None
        with click.Context(each, parent=context, info_name=name) as own:
            found |= {word for param in each.get_params(own) for word in (*param.opts, *param.secondary_opts)}
    return found


def _mentioned() -> Iterator[tuple[str, str]]:
    """Every `planner …` in the prose and the shell blocks, with the page that mentions it."""
    for page in examples.pages():
        blocks = examples.blocks_of(page)
        inside = {n for block in blocks for n in range(block.line, block.line + len(block.lines) + 2)}
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            if number not in inside:
                yield from ((page.name, code) for code in _CODE.findall(line) if code.startswith("planner "))
        for block in blocks:
            if block.language == "sh":
                yield from ((page.name, line) for line in block.lines if line.startswith("planner "))


MENTIONED = sorted(set(_mentioned()))


@pytest.mark.parametrize(("page", "text"), MENTIONED, ids=[f"{page}: {text}" for page, text in MENTIONED])
def test_commands_and_options_in_the_prose_exist(page: str, text: str) -> None:
    words = shlex.split(text.replace("…", ""))
    name = next((word for word in words[1:] if re.fullmatch(r"[a-z]+", word)), None)
    known = {"--help", "-h", "--version"}
    if name is not None:
        assert name in COMMANDS, f"{page} mentions `{text}`, which is no command"
        known |= _options(name)
    unknown = [option for option in _OPTION.findall(text) if option not in known]
    assert not unknown, f"{page} mentions `{text}`: no such option"


def test_the_prose_mentions_commands_at_all() -> None:
    # Else the test above would have nothing to check and pass.
    assert len(MENTIONED) >= 10
