"""Questions that workers can import: plain, failing, deadly."""

import math
import os
import signal
import time
from pathlib import Path

from planner.errors import PlannerError
from planner.sweep.cell import Data


def root_of(question: Data) -> Data:
    """The square root, and who worked it out; a question without one is an error that a person can mend."""
    if question["n"] < 0:
        raise PlannerError(f"{question['n']} has no root")
    return {"root": math.sqrt(question["n"])}


def deadly_once(question: Data) -> Data:
    """Kills its process the first time it is asked."""
    mark = Path(question["mark"]) / str(question["n"])
    if question["n"] == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return root_of(question)


def deadly(question: Data) -> Data:
    """Kills its process every time."""
    if question["n"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return root_of(question)


def slow(question: Data) -> Data:
    """Takes a while, and leaves a mark that it has begun."""
    (Path(question["mark"]) / str(question["n"])).touch()
    time.sleep(question.get("s", 0.2))
    return root_of(question)


def broken(question: Data) -> Data:
    """A bug."""
    raise ZeroDivisionError(str(question["n"]))
