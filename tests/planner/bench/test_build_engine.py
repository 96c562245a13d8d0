"""The set-up's engine build, with a pip of our own in place of the real one (which takes minutes)."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / ".ci" / "build_engine.py"
# Writes what a real build prints, and a wheel into the folder after --wheel-dir.
GOOD_PIP = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--wheel-dir") + 1])
folder.mkdir(parents=True, exist_ok=True)
with open(COUNT, "a") as count:
    count.write("built\\n")
for step in range(1, 41):
    print(f"  [{step}/40] /usr/bin/g++ -O3 something.cpp", flush=True)
time_to_build
(folder / "llama_cpp_python-1.2.3-py3-none-any.whl").write_text("wheel")
"""
BAD_PIP = "import sys\nfor n in range(100): print('line', n)\nsys.exit('internal compiler error')"


@pytest.fixture
def script() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("the set-up scripts are not part of an installed copy")
    spec = importlib.util.spec_from_file_location("build_engine", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = writing
    return module


@pytest.fixture
def constraints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    path = tmp_path / "constraints.txt"
    path.write_text("numpy==2.0\nllama_cpp_python==1.2.3\n")
    return path


def fake_pip(tmp_path: Path, script: str = GOOD_PIP, *, wait: str = "") -> list[str]:
    text = script.replace("COUNT", repr(str(tmp_path / "count"))).replace("time_to_build", wait)
    return [sys.executable, "-c", text]


def test_a_wheel_is_built_once(script: ModuleType, constraints: Path, tmp_path: Path) -> None:
    pip = fake_pip(tmp_path)
    first = script.cached_wheel(constraints, pip)
    assert first.read_text() == "wheel"
    assert script.cached_wheel(constraints, pip) == first
    assert (tmp_path / "count").read_text() == "built\n"
    # Beside the wheel's folder only its log and its lock remain.
    assert {path.suffix for path in first.parent.parent.iterdir() if path.is_file()} == {".log", ".lock"}
    assert not list(first.parent.parent.glob("*.building"))


def test_other_options_are_another_wheel(
    script: ModuleType, constraints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = fake_pip(tmp_path)
    first = script.cached_wheel(constraints, pip)
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    assert script.cached_wheel(constraints, pip) != first
    assert (tmp_path / "count").read_text() == "built\nbuilt\n"


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_nothing(
    script: ModuleType, constraints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(script.BuildError, match="could not be built") as caught:
        script.cached_wheel(constraints, fake_pip(tmp_path, BAD_PIP))
    shown = capsys.readouterr().err
    # 20 lines of 101: "line 81" … "line 99" and the error itself.
    assert "internal compiler error" in shown
    assert "line 81\n" in shown
    assert "line 80\n" not in shown
    log = Path(str(caught.value).rsplit(" ", 1)[1])
    assert log.read_text().startswith("line 0\n")
    assert not list(log.parent.glob("*.building"))
    assert not list(log.parent.glob("*/*.whl"))


def test_without_a_terminal_progress_is_a_line_per_tenth(
    script: ModuleType, constraints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.cached_wheel(constraints, fake_pip(tmp_path))
    lines = [line for line in capsys.readouterr().err.splitlines() if "compiling" in line]
    # Steps 1, 4, 8, … 40 of 40: tenths 0 to 10.
    assert [line.split("step ")[1].split(" of")[0] for line in lines] == [
        "1", "4", "8", "12", "16", "20", "24", "28", "32", "36", "40",
    ]  # fmt: skip
    assert "left" in lines[5]


def test_two_set_ups_at_once_build_once(script: ModuleType, constraints: Path, tmp_path: Path) -> None:
    pip = fake_pip(tmp_path, wait="import time; time.sleep(0.5)")
    code = (
        "import importlib.util, pathlib, sys\n"
        "sys.dont_write_bytecode = True\n"
        f"spec = importlib.util.spec_from_file_location('build_engine', {str(SCRIPT)!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        f"print(module.cached_wheel(pathlib.Path({str(constraints)!r}), {pip!r}))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    wheels = {process.communicate(timeout=60)[0] for process in both}
    assert len(wheels) == 1
    assert (tmp_path / "count").read_text() == "built\n"


def test_an_interrupted_build_leaves_nothing(script: ModuleType, constraints: Path, tmp_path: Path) -> None:
    pip = fake_pip(tmp_path, wait="import time; time.sleep(60)")
    code = (
        "import importlib.util, pathlib, sys\n"
        "sys.dont_write_bytecode = True\n"
        f"spec = importlib.util.spec_from_file_location('build_engine', {str(SCRIPT)!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        f"module.PIP = {pip!r}; module.cached_wheel.__defaults__ = ({pip!r},)\n"
        f"sys.argv = ['x', {str(constraints)!r}]\nsys.exit(module.main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step 40" in line:
                break
        process.terminate()
        assert process.stderr.read().strip().endswith("nothing was kept of the unfinished build.")
    assert process.returncode == 130
    root = tmp_path / "cache" / "llm-capacity-planner" / "wheels"
    deadline = time.monotonic() + 10
    while list(root.glob("*.building")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [path for path in root.iterdir() if path.is_dir()]


def test_a_missing_compiler_is_one_line(
    script: ModuleType, constraints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "/no/such/cc")
    with pytest.raises(script.BuildError, match=r"no C/C\+\+ compiler \(/no/such/cc\) .*pip install \.$"):
        script.cached_wheel(constraints)


def test_an_unpinned_engine_is_one_line(script: ModuleType, constraints: Path) -> None:
    constraints.write_text("numpy==2.0\n")
    with pytest.raises(script.BuildError, match="does not pin llama-cpp-python"):
        script.cached_wheel(constraints)
