"""Builds llama-cpp-python once for this machine, keeps the wheel in the user's cache, and installs it.

    python .ci/build_engine.py constraints.txt

The source package compiles llama.cpp for the CPU it is built on (GGML_NATIVE), so a wheel is reused only
where version, build options, CPU, compiler and Python agree. Options of your own go in CMAKE_ARGS, for
example CMAKE_ARGS=-DGGML_CUDA=on. Runs with the standard library alone, since it comes before the rest.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

PACKAGE = "llama-cpp-python"
BASE_OPTIONS = ("-DLLAVA_BUILD=OFF", "-DLLAMA_OPENSSL=OFF")  # no vision, no HTTP client: neither is used
USUAL_MINUTES = 7
STEP = re.compile(r"^\s*\[(\d+)/(\d+)\]")
LOG_TAIL_LINES = 20
PIP = (sys.executable, "-m", "pip")


class BuildError(Exception):
    """One line that says what is missing or went wrong."""


def main() -> int:
    """Finds or builds the wheel and installs it into the running Python."""
    if len(sys.argv) != 2:
        return _fail(f"usage: {sys.argv[0]} CONSTRAINTS")
    constraints = Path(sys.argv[1]).resolve()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        wheel = cached_wheel(constraints)
        _say(f"Installing {wheel.name}")
        command = [*PIP, "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--constraint", str(constraints), str(wheel)], check=True)
    except BuildError as error:
        return _fail(f"Error: {error}")
    except subprocess.CalledProcessError as error:
        return _fail(f"Error: pip could not install the engine (status {error.returncode}), see above")
    except KeyboardInterrupt:
        return _fail("Stopped; nothing was kept of the unfinished build.", status=130)
    return 0


def cached_wheel(constraints: Path, pip: Sequence[str] = PIP) -> Path:
    """The wheel for this machine from the cache, built first if it is not there."""
    version = pinned_version(constraints)
    options = [*BASE_OPTIONS, *shlex.split(os.environ.get("CMAKE_ARGS", ""))]
    compilers = [find_compiler("CC", ("cc", "gcc", "clang")), find_compiler("CXX", ("c++", "g++", "clang++"))]
    key = build_key(version, options, compilers)
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with only_one(root / f"{key}.lock"):
        wheels = sorted((root / key).glob("*.whl"))
        if not wheels:
            build(root, key, version, options, constraints, pip)
            wheels = sorted((root / key).glob("*.whl"))
        return wheels[0]


def pinned_version(constraints: Path) -> str:
    """The version that the constraints file pins."""
    for line in constraints.read_text().splitlines():
        name, _, version = line.partition("==")
        if name.strip().lower().replace("_", "-") == PACKAGE:
            return version.strip()
    raise BuildError(f"{constraints} does not pin {PACKAGE}; add a line {PACKAGE}==VERSION")


def find_compiler(variable: str, names: tuple[str, ...]) -> str:
    """What a compiler says it is, or one line telling that there is none."""
    chosen = os.environ.get(variable)
    for name in (chosen,) if chosen else names:
        path = shutil.which(shlex.split(name)[0])
        if path is not None:
            answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            return f"{path} {(answer.stdout or '?').splitlines()[0]}"
    raise BuildError(
        f"no C/C++ compiler ({chosen or ', '.join(names)}) was found, and the engine llama.cpp must be compiled; "
        "install one (Debian: apt install g++, macOS: xcode-select --install), or use the planner without "
        "measuring: pip install ."
    )


def build_key(version: str, options: list[str], compilers: list[str]) -> str:
    """A name that differs whenever a built wheel might not run or be another one."""
    facts = [version, options, cpu_features(), compilers, sysconfig.get_config_var("SOABI")]
    facts += [platform.system(), platform.machine(), "".join(platform.libc_ver())]
    return f"{version}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"


def cpu_features() -> str:
    """The CPU's model and instruction sets, as the system lists them."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        wanted = ("model name", "flags", "features", "cpu part", "cpu implementer")
        lines = {line for line in cpuinfo.read_text().splitlines() if line.lower().startswith(wanted)}
        return "\n".join(sorted(lines))
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or platform.processor()


def cache_root() -> Path:
    """Where wheels are kept between projects and set-ups."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "llm-capacity-planner" / "wheels"


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Waits until no other process builds the same wheel; a lock ends with its process."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another set-up is building the engine; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(
    root: Path, key: str, version: str, options: list[str], constraints: Path, pip: Sequence[str]
) -> None:
    """Builds in a folder of its own and moves the result into place, whole or not at all."""
    work = root / f"{key}.building"
    log = root / f"{key}.log"
    shutil.rmtree(work, ignore_errors=True)  # left by a build that was killed; we hold the lock
    (work / "tmp").mkdir(parents=True)
    _say(
        f"Building {PACKAGE} {version} for this CPU, about {USUAL_MINUTES} minutes on two cores (log: {log})"
    )
    command = [
        *pip, "wheel", "--verbose", "--no-deps", "--disable-pip-version-check",
        "--no-cache-dir",  # pip's own cache ignores which CPU a wheel was built for
        "--no-binary", PACKAGE, "--build-constraint", str(constraints), "--wheel-dir", str(work / "wheel"),
        f"{PACKAGE}=={version}",
    ]  # fmt: skip
    environment = {**os.environ, "CMAKE_ARGS": " ".join(options), "TMPDIR": str(work / "tmp")}
    environment.pop("PIP_CONSTRAINT", None)  # means the same for old versions of pip; now it only warns
    try:
        with log.open("w") as log_file:
            status = run_with_progress(command, environment, log_file)
        if status != 0 or not list((work / "wheel").glob("*.whl")):
            tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            sys.stderr.write("\n".join(tail) + "\n")
            raise BuildError(f"the engine could not be built (status {status}); the whole log is {log}")
        shutil.rmtree(root / key, ignore_errors=True)
        (work / "wheel").replace(root / key)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run_with_progress(command: list[str], environment: dict[str, str], log: TextIO) -> int:
    """Runs the build in its own process group, showing its steps; on Ctrl-C the whole group ends."""
    progress = Progress(sys.stderr.isatty())
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if match := STEP.match(line):
                    progress.step(int(match[1]), int(match[2]))
            return process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            progress.end()


class Progress:
    """Steps done and time left: one line that changes on a terminal, a line per tenth elsewhere."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._started: float | None = None
        self._first = 0
        self._tenth = -1
        self._shown = False

    def step(self, done: int, total: int) -> None:
        """Shows that `done` of `total` steps are behind us."""
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, done
        left = ""
        if done > self._first:
            left_s = (now - self._started) / (done - self._first) * (total - done)
            left = f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", about {left_s:.0f} s left"
        text = f"  compiling: step {done} of {total}{left}"
        if self._terminal:
            sys.stderr.write(f"\r{text:<70}")
            self._shown = True
        elif done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leaves the cursor on a fresh line."""
        if self._shown:
            sys.stderr.write("\n")


def _terminate(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _fail(text: str, status: int = 1) -> int:
    _say(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
