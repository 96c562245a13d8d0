"""Two real raylets: both answer; one killed half-way is reported, and the other still comes.

Needs Ray, which the extra `test` brings where Ray has a wheel; no other test does.
"""

import importlib
import importlib.util
import json
import subprocess
import sys
import sysconfig
import threading
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.fleets.ray import probe_node, ray_fleet
from hardware.inspect import inspect_machine

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed (the extra `ray`)"
    ),
    pytest.mark.filterwarnings("default"),  # Ray's own deprecations and open sockets
]

# Ray looks for the raylets of a cluster in processes; a cluster of the tests is one of its own, in a child, so
# that this process joins it from outside as the planner does.
CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(json.dumps([cluster.address, second.node_id]), flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)
cluster.shutdown()
"""


class RealCluster:
    """A head and a second raylet on this host."""

    def __init__(self, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )
        assert self.process.stdout is not None
        lines = (line for line in self.process.stdout if line.startswith("["))
        self.address, self.second = json.loads(next(lines))

    def kill_second(self) -> None:
        """SIGKILL for the second raylet and what it started."""
        assert self.process.stdin is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Ends the cluster."""
        self.process.communicate(timeout=60)


@pytest.fixture
def cluster() -> Iterator[RealCluster]:
    real = RealCluster()
    yield real
    real.close()


def test_both_nodes_of_a_cluster_answer(cluster: RealCluster) -> None:
    steps: list[float] = []
    fleet = ray_fleet(cluster.address, progress=lambda done, _: steps.append(done))
    assert [member.problem for member in fleet.members] == [None, None]
    here = inspect_machine()
    for member in fleet.members:
        assert member.machine is not None
        # Both raylets run on this host, so each must find what a probe finds here, Ray's hiding notwithstanding.
        assert member.machine.cpu is not None
        assert here.cpu is not None
        assert member.machine.cpu.model == here.cpu.model
        assert member.machine.cpu.n_usable_threads == here.cpu.n_usable_threads
        assert len(member.machine.gpus) == len(here.gpus)
        assert member.machine.memory is not None
        assert here.memory is not None
        assert member.machine.memory.total_bytes == here.memory.total_bytes
    assert fleet.problems
    assert "though it is one" in fleet.problems[0]
    assert steps[-1] == 1.0


def test_a_node_that_dies_half_way_is_reported_and_the_rest_still_come(
    cluster: RealCluster, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    second = cluster.second

    def probe() -> str:
        context = importlib.import_module("ray").get_runtime_context()
        if context.get_node_id() == second:
            begun.touch()
            time.sleep(120)
        return probe_node()

    def kill_when_begun() -> None:
        while not begun.exists():
            time.sleep(0.1)
        cluster.kill_second()

    killer = threading.Thread(target=kill_when_begun, daemon=True)
    killer.start()
    started = time.monotonic()
    fleet = ray_fleet(cluster.address, probe=probe, timeout_s=100)
    assert begun.exists(), "the second node had begun when it was killed"
    assert time.monotonic() - started < 90, "it was noticed, not waited for"
    answered = [member for member in fleet.members if member.problem is None]
    (lost,) = [member for member in fleet.members if member.problem is not None]
    assert len(answered) == 1
    assert lost.machine is None
    assert second[:8] in lost.name
    assert lost.problem == "died while it was asked"


def test_a_node_without_the_planner_gets_the_probe_shipped(tmp_path: Path) -> None:
    python = bare_python(tmp_path)
    find = "import importlib.util as u; print(u.find_spec('hardware'))"
    found = subprocess.run([python, "-c", find], capture_output=True, text=True, check=True, cwd=tmp_path)
    if found.stdout.strip() != "None":
        pytest.skip("the project lies in site-packages itself, so no Python here can lack it")
    cluster = RealCluster(python)
    try:
        fleet = ray_fleet(cluster.address)
    finally:
        cluster.close()
    assert [member.problem for member in fleet.members] == [None, None]


def bare_python(folder: Path) -> str:
    """A Python with this one's packages, but without what an editable install adds to the path."""
    venv.create(folder / "bare", with_pip=False)
    (site_packages,) = (folder / "bare").glob("lib/python*/site-packages")
    (site_packages / "others.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return str(folder / "bare/bin/python")
