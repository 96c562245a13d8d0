"""A Ray cluster: cells travel to its nodes with the planner's own packages. Ray is imported only here.

Ray asks a cell again whose worker or node died (`max_retries`), so that a death costs time and no answer.
"""

import importlib
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hardware.errors import HardwareError
from hardware.fleets.ray import check_cluster
from planner.errors import PlannerError
from planner.sweep.cell import Answer, Answered, Cell
from planner.sweep.foundations import Foundations
from planner.sweep.runner import answered

_RETRIES: Final = 3
_WAITING_EACH: Final = 4  # cells handed to a core ahead of time


class RayCluster:
    """The cluster at an address ("HOST:PORT", "ray://HOST:10001"; "auto" for this host's).

    Its nodes work with copies of the packages and the user's folders here, not with what they hold themselves.
    """

    def __init__(self, address: str, foundations: Foundations) -> None:
        self._address = address
        self._foundations = foundations

    def run(self, answer: Answer, cells: Sequence[Cell]) -> Iterator[Answered]:
        """In the order in which they are done; raises PlannerError when there is no cluster to ask."""
        if not cells:
            return
        ray = _ray_module()
        with tempfile.TemporaryDirectory(prefix="planner-sweep-") as folder:
            variables = self._foundations.copied_into(Path(folder))
            self._join(ray, folder, variables)
            try:
                yield from _spread(ray, answer, cells)
            finally:
                ray.shutdown()

    def _join(self, ray: Any, folder: str, variables: Mapping[str, str]) -> None:
        try:
            check_cluster(self._address)
            ray.init(
                address=self._address,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={
                    "py_modules": [str(package) for package in self._foundations.packages],
                    "working_dir": folder,
                    "excludes": ["**/__pycache__"],
                    "env_vars": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **variables},
                },
            )
        except (HardwareError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise PlannerError(f"cannot join the Ray cluster at {self._address}: {_line(error)}") from error


def _spread(ray: Any, answer: Answer, cells: Sequence[Cell]) -> Iterator[Answered]:
    task = ray.remote(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")(answered)
    left = deque(cells)
    under_way: dict[Any, Cell] = {}
    while left or under_way:
        most = _WAITING_EACH * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while left and len(under_way) < most:
            cell = left.popleft()
            under_way[task.remote(answer, cell)] = cell
        (ready,), _ = ray.wait(list(under_way), num_returns=1)
        cell = under_way.pop(ready)
        try:
            yield ray.get(ready)
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
            yield Answered(
                cell=cell, answer=None, error=f"its worker died {_RETRIES + 1} times: {_line(error)}"
            )
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error


def _ray_module() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise PlannerError(
            "a sweep over a Ray cluster needs Ray here, of the version that the cluster runs; add it with "
            "pip install 'llm-capacity-planner[ray]'"
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
