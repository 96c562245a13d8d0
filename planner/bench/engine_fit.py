"""llama.cpp's own --fit: which context, layers, shares and overrides it would choose on a machine.

The decision is made by code that llama-cpp-python does not ship (common/fit.cpp). It is asked where a library
that exports it is installed (the package xllamacpp), for any machine; and of a `llama-fit-params` program on
the PATH, for the machine at hand only.
"""

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardware.units import GIB
from planner.bench.plan_question import PlanQuestion
from planner.bench.runner import run_child
from planner.estimate.engine_comparison import EngineFit

MARGIN_BYTES = GIB  # --fit-target: what the engine leaves free on every GPU
HOW_TO_ADD = 'llama.cpp\'s own --fit was not asked: it needs `pip install "xllamacpp==2026.10.11549"` (34 MB, prebuilt)'
_PROGRAM = "llama-fit-params"
_COMMAND = (sys.executable, "-P", "-m", "planner.bench.fit_child")
_LIBRARY_PACKAGE = "xllamacpp"


def fit_library() -> Path | None:
    """A shared library that exports llama.cpp's --fit, found without loading it."""
    spec = importlib.util.find_spec(_LIBRARY_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(folder).glob("*.so"))
        if found:
            return found[0]
    return None


def fit_program() -> str | None:
    """The `llama-fit-params` program, where it is on the PATH."""
    return shutil.which(_PROGRAM)


def engine_fit(
    question: PlanQuestion,
    *,
    here: bool,
    limit_s: float = 120.0,
    library: Path | None = None,
    command: Sequence[str] | None = None,
) -> EngineFit:
    """The engine's decision, or one line about why there is none; `here` is whether the machine is this one."""
    found = library or fit_library()
    if found is not None or command is not None:
        return _asked_of_library(question, found or Path(), limit_s, command or _COMMAND)
    program = fit_program() if here else None
    if program is not None:
        return _asked_of_program(question, program, limit_s)
    return _none(HOW_TO_ADD)


def _asked_of_library(
    question: PlanQuestion, library: Path, limit_s: float, command: Sequence[str]
) -> EngineFit:
    answers: list[dict[str, Any]] = []
    request = {
        "library": str(library),
        "question": json.loads(question.to_json()),
        "margin_bytes": MARGIN_BYTES,
    }
    ended = run_child(
        json.dumps(request), answers.append, load_limit_s=limit_s, measure_limit_s=limit_s, command=command
    )
    fits = [answer for answer in answers if answer["event"] == "fit"]
    if ended.problem is not None or not fits:
        return _none(ended.problem or "the engine finished without a decision")
    found = fits[0]
    return EngineFit(
        source=f"asked of {library.name} for this context, {MARGIN_BYTES // GIB} GiB left free on every GPU",
        fits=bool(found["fits"]),
        n_context_tokens=int(found["n_context_tokens"]),
        n_gpu_layers=int(found["n_gpu_layers"]),
        tensor_split=tuple(float(share) for share in found["tensor_split"]),
        n_overrides=len(found["overrides"]),
        overrides=tuple(str(each) for each in found["overrides"]),
        took_s=float(found["took_s"]),
    )


def _asked_of_program(question: PlanQuestion, program: str, limit_s: float) -> EngineFit:
    words = [
        program, "-m", str(question.model_path), "-c", str(question.n_context_tokens),
        "-b", str(question.n_batch), "-ub", str(question.n_ubatch), "-np", str(question.n_sequences),
        "-ctk", question.k_type.lower(), "-ctv", question.v_type.lower(),
    ]  # fmt: skip
    if question.flash_attention is not None:
        words += ["-fa", "on" if question.flash_attention else "off"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return _none(f"{program}: {error}")
    return parse_fit_arguments(answer.stdout, source=f"{program}, on this machine")


def parse_fit_arguments(text: str, *, source: str) -> EngineFit:
    """The decision from what `llama-fit-params` prints: `-c 4096 -ngl 45 -ts 15,47 -ot "a=CPU,b=CPU"`."""
    lines = [line for line in text.splitlines() if line.startswith("-c ")]
    if not lines:
        return _none(f"{source}: it printed no arguments, so nothing that fits was found")
    words = shlex.split(lines[-1])
    values = dict(zip(words[::2], words[1::2], strict=False))
    overrides = tuple(values["-ot"].split(",")) if values.get("-ot") else ()
    return EngineFit(
        source=source,
        fits=True,
        n_context_tokens=int(values["-c"]),
        n_gpu_layers=int(values["-ngl"]) if "-ngl" in values else None,
        tensor_split=tuple(float(share) for share in values["-ts"].split(",")) if "-ts" in values else (),
        n_overrides=len(overrides),
        overrides=overrides,
    )


def _none(problem: str) -> EngineFit:
    return EngineFit(source="", fits=False, n_context_tokens=None, n_gpu_layers=None, problem=problem)
