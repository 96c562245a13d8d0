"""Every example of README.md and docs is run, and must print what the page says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import examples
from docs.examples import Block, PageRun

CONSOLE = examples.blocks("console")
SESSIONS = examples.blocks("pycon")


@pytest.fixture(scope="session")
def page_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, PageRun]]:
    """One run per page, shared by its blocks: later blocks build on earlier ones."""
    yield {
        page: PageRun(page, tmp_path_factory.mktemp(f"page-{page.stem.lower()}")) for page in examples.pages()
    }


def _marked(block: Block) -> object:
    marks = [pytest.mark.engine] if block.needs else []
    return pytest.param(block, id=block.name, marks=marks)


@pytest.mark.parametrize("block", [_marked(block) for block in CONSOLE])
def test_a_console_block_prints_what_the_page_says(block: Block, page_runs: dict[Path, PageRun]) -> None:
    why = examples.missing(block)
    if why is not None:
        pytest.skip(why)
    assert not examples.problems(block, page_runs[block.page].outputs(block))


@pytest.mark.parametrize("block", SESSIONS, ids=[block.name for block in SESSIONS])
def test_a_python_session_gives_what_the_page_says(block: Block, page_runs: dict[Path, PageRun]) -> None:
    said = page_runs[block.page].session_failures(block)
    assert not said, said


@pytest.mark.parametrize("block", examples.blocks("sh"), ids=lambda block: block.name)
def test_a_shell_block_names_things_that_exist(block: Block) -> None:
    assert [wrong for line in block.lines if (wrong := examples.command_problem(line))] == []


def test_the_pages_show_every_command_and_are_found() -> None:
    # A parser that finds no blocks would make every test above pass.
    assert {page.name for page in examples.pages()} >= {"README.md", "tutorial.md", "formulas.md", "cli.md"}
    used = {
        example.command.split()[1] for block in CONSOLE for example in block.examples if example.is_planner
    }
    assert used >= {"hardware", "model", "fit", "bench", "price", "report"}
    assert len(SESSIONS) >= 5


TABLE = [
    "3 of 9 models fit.",
    "",
    "quant    memory",
    "-------  --------",
    "Q4_K_M   4.9 GiB",
    "Q8_0     8.1 GiB",
]


def test_digits_may_differ_between_machines() -> None:
    assert not examples.shape_problems(TABLE, [line.replace("9", "7") for line in TABLE])


@pytest.mark.parametrize(
    "printed",
    [
        ["3 of 9 models fit."],
        [line.replace("memory", "size") for line in TABLE],
        [line.replace("Q4_K_M", "weights").replace("Q8_0", "cache").replace("3 of", "of") for line in TABLE],
    ],
    ids=["no table", "another header", "other rows"],
)
def test_another_shape_is_noticed(printed: list[str]) -> None:
    assert examples.shape_problems(TABLE, printed)


def test_a_changed_output_is_noticed_and_mended(tmp_path: Path) -> None:
    """One digit off is a failure; --refresh puts the true line back and leaves the prose alone."""
    page = tmp_path / "page.md"
    text = "# Page\n\nProse.\n\n```console\n$ planner --version\nplanner, version 99\n```\n\nMore prose.\n"
    page.write_text(text, encoding="utf-8")
    run = PageRun(page, tmp_path)
    (block,) = examples.blocks_of(page)
    assert "version 99" in examples.problems(block, run.outputs(block))[0]
    mended = examples.refreshed(page, run)
    assert "version 99" not in mended
    assert mended.startswith("# Page\n\nProse.\n\n```console\n$ planner --version\nplanner, version ")
    assert mended.endswith("```\n\nMore prose.\n")


def test_unknown_make_targets_and_commands_are_noticed() -> None:
    assert examples.command_problem("make test") is None
    assert examples.command_problem("make no-such-target") == "the Makefile has no target 'no-such-target'"
    assert examples.command_problem("planner fit --help") is None
    assert examples.command_problem("planner fti") == "planner has no command 'fti'"
