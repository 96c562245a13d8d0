"""The order in which packages may import each other, and where unit conversions may stand."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = ("planner", "hardware", "profiles")

# Lowest first; a module may import from its own package and from packages above it in this list. Packages of one
# line do not import each other. docs/architecture.md says what each is for.
ORDER = (
    ("profiles",),
    ("hardware",),
    ("planner.errors", "planner.progress", "planner.quoting"),
    ("planner.model", "planner.workload"),
    ("planner.engines",),
    ("planner.speed",),
    ("planner.estimate",),
    ("planner.prices",),
    ("planner.evaluate", "planner.load", "planner.simulate"),
    ("planner.sizing",),
    ("planner.compare", "planner.decide", "planner.deploy"),
    ("planner.sweep",),
    ("planner.report",),
    ("planner.readers", "planner.bench"),
    ("planner.api",),
    ("planner.cli",),
)
RANKS = {package: rank for rank, packages in enumerate(ORDER) for package in packages}


@dataclass(frozen=True, slots=True)
class Import:
    """A module that another one imports, and whether the import hides in a function."""

    line: int
    target: str
    hidden: bool


def modules() -> tuple[str, ...]:
    """Every module of ours, by its dotted name."""
    found = []
    for package in OWN:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return tuple(sorted(found))


def path_of(module: str) -> Path:
    """The file of a module."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree(module: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


def own_imports(module: str) -> Iterator[Import]:
    """What a module imports from our packages, wherever in the file."""
    inside: set[ast.AST] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= set(ast.walk(node))
    for node in ast.walk(tree(module)):
        for target in imported(node):
            if target.split(".")[0] in OWN:
                yield Import(node.lineno, target, node in inside)  # type: ignore[attr-defined]


def imported(node: ast.AST) -> tuple[str, ...]:
    """The modules that one statement imports, `importlib.import_module("…")` included."""
    if isinstance(node, ast.Import):
        return tuple(alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import; write the whole name"
        module = node.module or ""
        names = [f"{module}.{alias.name}" for alias in node.names]
        return tuple(name if path_of(name).is_file() else module for name in names)
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
        "import_module",
        "__import__",
    ):
        return tuple(
            arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        )
    return ()


def package_of(module: str) -> str | None:
    """The entry of ORDER that a module belongs to; None for the empty package `planner` itself."""
    parts = module.split(".")
    return next((name for n in (2, 1) if (name := ".".join(parts[:n])) in RANKS), None)


@pytest.mark.parametrize("module", modules())
def test_imports_point_downwards(module: str) -> None:
    own = package_of(module)
    if own is None:
        assert not list(own_imports(module)), f"{module} must stay empty, or add it to ORDER"
        return
    wrong = [
        f"{path_of(module).relative_to(ROOT)}:{item.line} imports {item.target}"
        for item in own_imports(module)
        if (target := package_of(item.target)) not in (own, None) and RANKS[target] >= RANKS[own]
    ]
    assert not wrong, f"{own} may not import upwards or sideways: {'; '.join(wrong)}"


@pytest.mark.parametrize("module", modules())
def test_own_imports_stand_at_the_top(module: str) -> None:
    hidden = [f"line {item.line}: {item.target}" for item in own_imports(module) if item.hidden]
    assert not hidden, f"{module} hides own imports in functions: {'; '.join(hidden)}"


def test_no_module_imports_itself_over_others() -> None:
    graph = {module: {item.target for item in own_imports(module)} - {module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {' → '.join(error.args[1])}")


def test_the_rules_are_applied_to_something() -> None:
    # A parser that finds nothing would make the tests above pass.
    assert len(modules()) > 60
    assert Import(1, "planner.model.cache", True) in {
        Import(1, item.target, True) for item in own_imports("planner.engines.llama_cpp.cache")
    }
    assert imported(ast.parse("importlib.import_module('planner.api')", mode="eval").body) == ("planner.api",)
    assert {package for package in map(package_of, modules()) if package} == set(RANKS)


# ------------------------------------------------------------------ units

_POWERS = {(2, 10), (2, 20), (2, 30), (2, 40), (2, 50), (10, 3), (10, 6), (10, 9), (10, 12),
           (1024, 2), (1024, 3), (1024, 4), (1000, 2), (1000, 3)}  # fmt: skip
_SHIFTS = {10, 20, 30, 40, 50}
_FLOATS = {1e3, 1e6, 1e9, 1e12}
_INTEGERS = {10**6, 10**9, 10**12, 2**20, 2**30, 2**40}

# Where such a number may stand outside hardware/units.py, and why. "Mend" marks what should use hardware.units.
ALLOWED = {
    ("profiles/loader.py", "2 ** 20"): "below hardware in the import order, so it cannot use hardware.units",
    ("planner/readers/config/fields.py", "2 ** 40"): "a bound on counts; no unit",
    ("planner/estimate/placement.py", "2 ** 20"): "tokens; no unit",
    ("planner/report/cost_chart.py", "1000000.0"): "the end of an axis, in tokens; no unit",
    ("hardware/probes/cpu.py", "1000.0"): "the kernel's kHz, read in this one place",
}


def unit_literals() -> set[tuple[str, str]]:
    """Every number outside hardware/units.py that looks like a conversion of units: file and expression."""
    found = set()
    for module in modules():
        if module == "hardware.units":
            continue
        file = path_of(module).relative_to(ROOT).as_posix()
        for node in ast.walk(tree(module)):
            if looks_like_a_unit(node):
                found.add((file, ast.unparse(node)))
    return found


def looks_like_a_unit(node: ast.AST) -> bool:
    """Whether an expression is 2**30, 1 << 20, 1024 * 1024, 1e9, 1_000_000 or the like."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, float):
            return node.value in _FLOATS
        return isinstance(node.value, int) and not isinstance(node.value, bool) and node.value in _INTEGERS
    if not isinstance(node, ast.BinOp):
        return False
    if not (isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant)):
        return False
    left, right = node.left.value, node.right.value
    return (
        (isinstance(node.op, ast.Pow) and (left, right) in _POWERS)
        or (isinstance(node.op, ast.LShift) and left == 1 and right in _SHIFTS)
        or (isinstance(node.op, ast.Mult) and left == right and left in (1000, 1024))
    )


def test_conversions_of_units_stand_in_one_file() -> None:
    new = sorted(unit_literals() - set(ALLOWED))
    assert not new, f"use hardware.units for {', '.join(f'{text} in {file}' for file, text in new)}"


def test_the_list_of_exceptions_only_shrinks() -> None:
    gone = sorted(set(ALLOWED) - unit_literals())
    assert not gone, f"mended: remove from ALLOWED {', '.join(f'{text} in {file}' for file, text in gone)}"


@pytest.mark.parametrize("text", ["2**30", "1024**3", "1 << 20", "1024 * 1024", "1e9", "1_000_000", "10**12"])
def test_conversions_are_recognised(text: str) -> None:
    assert looks_like_a_unit(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize("text", ["2**8", "1 << 3", "100", "0.5", "256", "True"])
def test_other_numbers_are_not(text: str) -> None:
    assert not looks_like_a_unit(ast.parse(text, mode="eval").body)
