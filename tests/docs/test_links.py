"""Links lead somewhere, and modules, files and variables that the pages name exist."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import examples

PAGES = (*examples.pages(), examples.ROOT / "CHANGELOG.md", examples.ROOT / "CONTRIBUTING.md")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for package in ("planner", "hardware", "profiles")
    for path in sorted((examples.ROOT / package).rglob("*.py"))
)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_MODULE = re.compile(r"(?:planner|hardware|profiles)(?:\.\w+)+")
_PATH = re.compile(r"(?:planner|hardware|profiles|tests|docs|benchmarks)/[\w./*-]*")
_VARIABLE = re.compile(r"PLANNER_\w+")
_UNIT = re.compile(r"^\| `(n_|_\w+)`", re.MULTILINE)


def _prose(page: Path) -> str:
    """The page without its fenced blocks."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block in examples.blocks_of(page):
        lines[block.line - 1 : block.line + len(block.lines) + 1] = [""] * (len(block.lines) + 2)
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading: lower case, spaces to dashes, other signs dropped."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _found(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for code in _CODE.findall(_prose(page)):
            if pattern.fullmatch(code):
                yield page.name, code


LINKS = sorted({(page, target) for page in PAGES for target in _LINK.findall(_prose(page))})
MODULES = sorted(set(_found(_MODULE)))
PATHS = sorted(set(_found(_PATH)))


@pytest.mark.parametrize(("page", "target"), LINKS, ids=[f"{page.name}: {target}" for page, target in LINKS])
def test_links_lead_somewhere(page: Path, target: str) -> None:
    if target.startswith("https://"):
        return
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    assert file.is_file(), f"{page.name} links to {target}"
    if anchor:
        headings = re.findall(r"^#+ (.*)", _prose(file), re.MULTILINE)
        assert anchor in map(_anchor, headings), f"{page.name} links to {target}, which is no heading"


@pytest.mark.parametrize(("page", "name"), MODULES, ids=[f"{page}: {name}" for page, name in MODULES])
def test_modules_functions_and_constants_exist(page: str, name: str) -> None:
    words = name.split(".")
    if words[-1] in ("csv", "toml", "json"):
        pytest.skip("a file's name")
    for n in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:n]))
        except ModuleNotFoundError:
            continue
        for word in words[n:]:
            assert hasattr(found, word), f"{page} names {name}: {found} has no {word}"
            found = getattr(found, word)
        return
    pytest.fail(f"{page} names {name}, which cannot be imported")


@pytest.mark.parametrize(("page", "path"), PATHS, ids=[f"{page}: {path}" for page, path in PATHS])
def test_paths_exist(page: str, path: str) -> None:
    if path.endswith("/NAME.json"):
        return
    assert list(examples.ROOT.glob(path.rstrip("/"))), f"{page} names {path}"


def test_environment_variables_are_read_somewhere() -> None:
    named = {name for page in PAGES for name in _VARIABLE.findall(page.read_text(encoding="utf-8"))}
    assert named >= {"PLANNER_DATA_DIR", "PLANNER_PROFILES_DIR"}
    assert [name for name in sorted(named) if f'"{name}"' not in SOURCES] == []


def test_units_of_the_nomenclature_are_in_use() -> None:
    page = (examples.ROOT / "docs" / "nomenclature.md").read_text(encoding="utf-8")
    units = _UNIT.findall(page)
    assert len(units) > 10
    unused = [
        unit for unit in units if not re.search(rf"\w{unit}\b" if unit[0] == "_" else rf"\b{unit}\w", SOURCES)
    ]
    assert unused == []


def test_the_pages_name_modules_and_paths_at_all() -> None:
    # Else the tests above would have nothing to check and pass.
    assert len(MODULES) > 20
    assert len(PATHS) > 8
    assert len(LINKS) > 20
