"""An option turned into files, purchases and a load test."""

from typing import Any

import pytest
import yaml

from planner.api.deploying import buying, emit, proof_command, served_replicas
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError, PlannerError
from planner.report.purchase_table import purchase_data, purchase_table
from planner.sizing.offer import Offer
from planner.sizing.option import Layout, Option
from planner.workload.lengths import parse_lengths
from planner.workload.workload import Traffic, Workload

CHAT = Workload(
    name="chat", prompt=parse_lengths("lognormal:1024:0.8"), output=parse_lengths("64-512"),
    traffic=Traffic(tasks_per_s=6), shared_prefix_tokens=300,
)  # fmt: skip


def option(**changes: Any) -> Option:
    offer = Offer(
        description=changes.pop("description", "DGX H100"), accelerator_id=changes.pop("accelerator_id", "h100-sxm-80"),
        accelerator="H100 SXM5 80GB", n_gpus=changes.pop("n_gpus", 8), n_nodes=changes.pop("n_nodes", 1), usd_per_hour=None, deal="on-demand",
    )  # fmt: skip
    layout = Layout(
        engine=changes.pop("engine", "vllm"), engine_version="0.33.0", checkpoint="meta-llama/Llama-3.3-70B-Instruct",
        storage="FP8", parallel=Parallel(tensor=changes.pop("tensor", 2)), max_model_len=8192, max_sequences=256,
        max_batched_tokens=8192, kv_tokens=500_000,
        command=("vllm", "serve", "meta-llama/Llama-3.3-70B-Instruct", "--tensor-parallel-size", "2"),
    )  # fmt: skip
    facts: dict[str, Any] = {
        "offer": offer, "layout": layout, "n_machines": 2, "n_spare_machines": 1, "replicas_per_machine": 4,
        "unit": "tasks/s", "capacity_per_replica": 1.0, "capacity_limit": "", "peak": 6.0, "average": 3.0, "seen": (), "usd_per_month": None,
        "hours_per_month": 730.5,
    }  # fmt: skip
    return Option(**(facts | changes))


def test_kubernetes_starts_spares_too() -> None:
    # 2 machines and a spare, 4 replicas on each: 12 pods, of which upkeep may stop the 4 of one machine.
    deployment, _, budget = yaml.safe_load_all(emit(option(), "kubernetes"))
    assert deployment["spec"]["replicas"] == 12 and budget["spec"]["maxUnavailable"] == 4
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "vllm/vllm-openai:v0.33.0"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}


def test_compose_fills_one_machine() -> None:
    (content,) = yaml.safe_load_all(emit(option(), "compose"))
    taken = [
        service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for service in content["services"].values()
        if "deploy" in service
    ]
    assert taken == [["0", "1"], ["2", "3"], ["4", "5"], ["6", "7"]]


def test_a_replica_over_two_nodes_is_a_leader_worker_set() -> None:
    spanning = option(n_gpus=16, n_nodes=2, tensor=16, replicas_per_machine=1)
    workers = next(yaml.safe_load_all(emit(spanning, "kubernetes")))
    assert workers["kind"] == "LeaderWorkerSet" and workers["spec"]["replicas"] == 3
    with pytest.raises(PlannerError, match="Compose runs on one machine"):
        emit(spanning, "compose")


def test_an_image_that_nobody_named_has_to_be_given() -> None:
    amd = option(description="8x MI300X", accelerator_id="mi300x")
    with pytest.raises(MissingFactError, match="no container image of vllm for amd GPUs is known; name one"):
        emit(amd, "kubernetes")
    replicas = served_replicas(amd, image="rocm/vllm:v1")
    assert (replicas.image, replicas.gpu_resource) == ("rocm/vllm:v1", "amd.com/gpu")


def test_gpus_of_an_unknown_maker_are_not_guessed() -> None:
    with pytest.raises(MissingFactError, match="whose GPUs"):
        emit(option(accelerator_id=None), "kubernetes")


def test_what_is_bought_includes_spares() -> None:
    plan = buying(option())
    n = {line.name: line.n for line in plan.lines}
    # Three DGX H100: 24 GPUs, 24 rack units and 3 x 10.2 kW by node_sites.csv.
    assert (n["machines"], n["GPUs"], n["rack units"]) == (3, 24, 24) and n["power"] == pytest.approx(30.6)
    table = purchase_table(plan)
    assert ("rack units", "24 U") in [row[:2] for row in table.rows]
    assert purchase_data(plan)["lines"][0] == {
        "name": "machines", "n": 3, "unit": "", "basis": "derived", "how": "spares included",
    }  # fmt: skip


def test_the_proof_asks_for_the_peak_in_the_workloads_lengths() -> None:
    assert proof_command(option(), CHAT) == (
        "planner", "load", "http://localhost:8000", "--prompt", "lognormal:1024:0.8", "--output", "64-512",
        "--rate", "6", "--shared-prefix", "300",
    )  # fmt: skip
    assert "--concurrency" in proof_command(option(unit="users", peak=40), CHAT)
