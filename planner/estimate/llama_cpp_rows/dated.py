"""When a log was written, told by where it was posted and by what it loads; and the engine's build of that day.

Whoever starts an engine knows its build. A log that was pasted without its first lines does not say it, but it is
no older than the discussion it was posted in, nor than the model that it loads. Numbers of issues, pull requests
and discussions rise together, so the number of a discussion dates it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from planner.engines.ollama.versions import llama_cpp_build, parse_version
from planner.errors import MissingFactError

# Of ik_llama.cpp: pull request, day and build (commits on the main branch) of some of its changes.
_IK_BUILDS: Final = (
    (110, "2024-10-26", 3475), (260, "2025-03-18", 3590), (355, "2025-04-29", 3654), (405, "2025-05-12", 3683),
    (461, "2025-05-26", 3714), (520, "2025-06-12", 3745),
    (574, "2025-07-03", 3780), (741, "2025-08-31", 3869), (751, "2025-09-02", 3873), (825, "2025-10-13", 3907),
    (858, "2025-10-24", 3926), (879, "2025-10-31", 3941), (943, "2025-11-12", 3983), (985, "2025-11-19", 4008),
    (1022, "2025-12-01", 4035), (1211, "2026-01-31", 4161), (1375, "2026-03-07", 4265), (2312, "2026-08-13", 4832),
)  # fmt: skip
# Of Ollama: the first day with a build of llama.cpp in LLAMA_CPP_VERSION; from the first on it starts llama-server.
_OLLAMA_BUILDS: Final = (
    ("2026-06-01", 9452), ("2026-06-02", 9479), ("2026-06-03", 9493), ("2026-06-04", 9509), ("2026-06-17", 9672),
    ("2026-06-24", 9781),
)  # fmt: skip
_BEFORE_UNIFIED: Final = 5800  # llama.cpp prints kv_unified since build 5913 (pull request 14363, 2025-07-16)
_NUMBERED: Final = re.compile(
    r"ik_llama\.cpp[:#/].*?(discussions|issues|pull_requests|pull)[/ ](\d{1,5})\b", re.ASCII
)
_REPLIES: Final = 10  # numbers later, until somebody answers with a log
_DELAY_DAYS: Final = 14  # until a model is converted, quantized and run
_DAY: Final = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?", re.ASCII)


def ik_build(source: str, released: str | None) -> int | None:
    """The build of ik_llama.cpp that was current when the log can first have been written; None without a trace.

    A model that was out when the discussion began says nothing more; one that came later dates the log itself.
    """
    days = [float(_days(text) or 0) for _, text, _ in _IK_BUILDS]
    builds = [float(build) for _, _, build in _IK_BUILDS]
    day = _days(released) if released else None
    of_model = None
    if day is not None and day >= days[0]:
        of_model = round(_between(float(day + _DELAY_DAYS), days, builds))
    numbered = _NUMBERED.search(source)
    if numbered is None:
        return of_model
    numbers = [float(number) for number, _, _ in _IK_BUILDS]
    number = float(numbered[2]) + (0 if numbered[1] == "pull_requests" else _REPLIES)
    of_place = round(_between(number, numbers, builds))
    if of_model is None or (day is not None and _between(number, numbers, days) >= day):
        return of_place
    return max(of_model, of_place)


def ollama_build(engine: str, command: str, *, prints_unified: bool = True) -> int | None:
    """The build of llama.cpp that an Ollama started; None where nothing tells.

    By its version where the log's engine names it, else by the day of the line that starts llama-server. Its older
    runners have a copy, whose log says whether sequences share one cache (`prints_unified`) since mid July 2025.
    """
    try:
        return llama_cpp_build(parse_version(engine))
    except MissingFactError:
        pass
    if "llama-server" not in command:
        return None if prints_unified else _BEFORE_UNIFIED
    day = _DAY.search(command)
    dated = [build for first, build in _OLLAMA_BUILDS if day is not None and first <= day[0]]
    return max(dated, default=None)


def _days(text: str) -> int | None:
    """A count that rises by about one a day; a month alone means its end."""
    found = _DAY.match(text)
    if found is None:
        return None
    return int(found[1]) * 372 + int(found[2]) * 31 + int(found[3] or 31)


def _between(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Straight lines between the points, the ends beyond them."""
    if x <= xs[0]:
        return ys[0]
    for (x0, x1), (y0, y1) in zip(pairwise(xs), pairwise(ys), strict=True):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return ys[-1]
