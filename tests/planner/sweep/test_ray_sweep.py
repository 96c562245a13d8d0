"""A sweep over two real raylets: the answers of one process, and none lost when a node is killed."""

import importlib.util
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.api.sweeping import SweepQuestion, SweepWays, sweep_sizes
from planner.api.workloads import workload_for
from planner.errors import PlannerError
from planner.sweep.cell import Cell
from planner.sweep.foundations import Foundations
from planner.sweep.ray_cluster import RayCluster
from planner.sweep.runner import OneProcess, sweep
from planner.workload.overrides import Overrides
from tests.hardware.test_fleet_ray_cluster import RealCluster
from tests.planner.sweep.questions import root_of, slow

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed (the extra `ray`)"
    ),
    pytest.mark.filterwarnings("default"),  # Ray's own deprecations and open sockets
]


HEADER = "id,accelerator_id,provider,kind,usd_per_gpu_hour_low,usd_per_gpu_hour_high,all_in_power_w,as_of,source,note"
OWN_RENT = "\n".join(
    [HEADER, *(f"{id_},h100-sxm-80,Own,on-demand,99,99,,2026-11-01,https://example.com/,no quote"
               for id_ in ("nebius-h100-on-demand", "lambda-runpod-h100-on-demand"))]
) + "\n"  # fmt: skip
NOTHING = Foundations(
    packages=[Path(__file__).parents[3] / name for name in ("planner", "hardware", "profiles")], own={}
)


@pytest.fixture
def cluster() -> Iterator[RealCluster]:
    real = RealCluster()
    yield real
    real.close()


def test_two_nodes_answer_as_one_process_does_and_a_death_loses_nothing(
    cluster: RealCluster, tmp_path: Path
) -> None:
    asked = [Cell(question={"n": i, "mark": str(tmp_path), "s": 0.3}) for i in range(24)]
    asked.append(Cell(question={"n": -1, "mark": str(tmp_path), "s": 0}))

    def kill_half_way() -> None:
        while len(list(tmp_path.iterdir())) < 8:
            time.sleep(0.05)
        cluster.kill_second()

    killer = threading.Thread(target=kill_half_way, daemon=True)
    killer.start()
    found = sweep(RayCluster(cluster.address, NOTHING), slow, asked)
    killer.join(timeout=30)
    assert not killer.is_alive(), "the second node was killed while the sweep ran"
    assert found == sweep(OneProcess(), root_of, asked)


def test_sizes_from_two_nodes_are_those_of_one_process(
    cluster: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A price of one's own, which no node of the cluster has: it goes along.
    (tmp_path / "gpu_rent.csv").write_text(OWN_RENT)
    monkeypatch.setenv("PLANNER_PROFILES_DIR", str(tmp_path))
    question = SweepQuestion(
        models=("qwen3-8b",),
        workloads=(workload_for("chat", Overrides(tasks_per_s=2.0)),),
        machines=("H100 SXM", "L4", "L40S", "2x L4"),
        n_requests=200,
    )
    here = sweep_sizes(question, SweepWays(n_workers=1))
    option = here[0].answer["option"] if here[0].answer else None
    # Above 99 dollars an hour, 730.5 hours a month.
    assert option is not None and option["usd_per_month"]["expected"] > 99 * 730
    assert sweep_sizes(question, SweepWays(ray=cluster.address)) == here


def test_no_cluster_is_one_line() -> None:
    with pytest.raises(PlannerError, match="cannot join the Ray cluster at localhost:1"):
        sweep(RayCluster("localhost:1", NOTHING), root_of, [Cell(question={"n": 1})])
