"""Kubernetes nodes as machines: what labels and resources say, and nothing that they do not.

The nodes are cut from what `kubectl get nodes -o json` prints; label names and values follow the documents that
hardware/fleets/node_labels.py names.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from hardware.described import describe_machine
from hardware.errors import DescriptionError, HardwareError, UnknownDeviceError
from hardware.fleet import Fleet, FleetMember, like_machines
from hardware.fleets.kubernetes import GET_NODES, kubernetes_fleet, run_kubectl
from hardware.spec import Machine
from hardware.units import GIB, KIB, MIB

H100_LABELS = {
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "dgx",
    "nvidia.com/cuda.driver-version.full": "550.54.15",
    "nvidia.com/gpu.compute.major": "9",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.family": "hopper",
    "nvidia.com/gpu.memory": "81559",
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.strategy": "single",
    "feature.node.kubernetes.io/cpu-cpuid.AVX2": "true",
    "feature.node.kubernetes.io/cpu-cpuid.AVX512F": "true",
    "feature.node.kubernetes.io/cpu-cpuid.AMXINT8": "true",
}


def node(
    name: str = "n1",
    labels: Mapping[str, str] | None = None,
    capacity: Mapping[str, str] | None = None,
    allocatable: Mapping[str, str] | None = None,
    ready: str = "True",
    **spec: Any,
) -> dict[str, Any]:
    """A node as the API server describes it, cut down to what is read."""
    there = {"cpu": "224", "memory": "2113418240Ki", "pods": "110", **(capacity or {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": spec,
        "status": {
            "capacity": there,
            "allocatable": {**there, **(allocatable or {})},
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
                {"type": "Ready", "status": ready, "reason": "KubeletReady" if ready == "True" else "NodeStatusUnknown"},
            ],
            "nodeInfo": {"architecture": "amd64", "osImage": "Ubuntu 22.04.4 LTS"},
        },
    }  # fmt: skip


def nobody(name: str) -> Machine:
    raise UnknownDeviceError(name)


def fleet(*nodes: Any, describe: Any = nobody) -> Fleet:
    return kubernetes_fleet(json.dumps({"kind": "List", "items": list(nodes)}), describe=describe)


def machine(*nodes: Any, describe: Any = nobody) -> Machine:
    (member,) = fleet(*nodes, describe=describe).members
    assert member.machine is not None, member.problem
    return member.machine


def test_a_dgx_with_gpu_feature_discovery() -> None:
    found = machine(
        node("dgx1", H100_LABELS, {"nvidia.com/gpu": "8"}, {"cpu": "223500m", "memory": "2110000000Ki"})
    )
    assert len(found.gpus) == 8
    gpu = found.gpus[7]
    assert gpu.accelerator is not None
    assert gpu.accelerator.id == "h100-sxm-80"
    assert gpu.memory_bytes == 81_559 * MIB  # the label counts MiB, as the driver does
    assert gpu.free_bytes is None
    assert (gpu.compute_capability, gpu.backend, gpu.index) == ("9.0", "cuda", 7)
    assert found.gpu_driver == "550.54.15"
    assert found.os == "Ubuntu 22.04.4 LTS"
    assert found.described
    assert found.cpu is not None
    assert found.cpu.n_usable_threads == 223  # 223.5 processors hold 223 whole threads
    assert found.cpu.instruction_sets == ("avx2", "avx512f", "amx_int8")
    assert found.cpu.n_physical_cores is None
    assert found.memory is not None
    assert found.memory.total_bytes == 2_113_418_240 * KIB
    assert found.memory.usable_bytes == 2_110_000_000 * KIB
    assert any("free memory is unknown" in line for line in found.problems)


def test_six_of_them_are_one_group() -> None:
    nodes = [
        node(f"dgx{i}", H100_LABELS, {"nvidia.com/gpu": "8", "memory": f"{2_113_418_240 - i}Ki"})
        for i in range(6)
    ]
    (group,) = like_machines(fleet(*nodes))
    assert group.label == "6 × 8x H100 SXM5 80GB, 2.0 TiB"


def test_older_discovery_gives_the_driver_in_parts() -> None:
    labels = {k: v for k, v in H100_LABELS.items() if "driver" not in k}
    labels |= {
        f"nvidia.com/cuda.driver.{part}": n for part, n in (("major", "470"), ("minor", "82"), ("rev", "01"))
    }
    assert machine(node("n", labels, {"nvidia.com/gpu": "8"})).gpu_driver == "470.82.01"


def test_slices_of_the_single_strategy_are_counted_as_slices() -> None:
    labels = H100_LABELS | {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
        "nvidia.com/gpu.count": "56",
        "nvidia.com/gpu.memory": "9728",
        "nvidia.com/gpu.slices.gi": "1",
        "nvidia.com/gpu.slices.ci": "1",
    }
    found = machine(node("n", labels, {"nvidia.com/gpu": "56"}))
    assert len(found.gpus) == 56
    gpu = found.gpus[0]
    assert (gpu.mig_profile, gpu.memory_bytes) == ("1g.10gb", 9_728 * MIB)
    assert gpu.accelerator is not None
    # One of seven compute slices of 312 TFLOP/s dense FP16, and 9,728 of 81,920 MiB of the bandwidth.
    assert gpu.accelerator.dense_flop_per_s["fp16"] == pytest.approx(312e12 / 7)
    whole = describe_machine("A100 SXM 80GB, 1TiB").gpus[0].accelerator
    assert whole is not None
    assert gpu.accelerator.memory_bytes_per_s == pytest.approx(
        whole.memory_bytes_per_s * 9_728 * MIB / whole.memory_bytes
    )


def test_a_slices_own_name_says_its_share_where_a_label_is_missing() -> None:
    labels = H100_LABELS | {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb",
        "nvidia.com/gpu.memory": "40192",
    }
    gpu = machine(node("n", labels, {"nvidia.com/gpu": "2"})).gpus[0]
    assert gpu.accelerator is not None
    assert gpu.accelerator.dense_flop_per_s["fp16"] == pytest.approx(312e12 * 3 / 7)


def test_slices_of_the_mixed_strategy_stand_beside_whole_cards() -> None:
    labels = H100_LABELS | {
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig-3g.40gb.product": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb",
        "nvidia.com/mig-3g.40gb.count": "2",
        "nvidia.com/mig-3g.40gb.memory": "40448",
        "nvidia.com/mig-3g.40gb.slices.gi": "3",
    }
    # Seven whole cards are offered, and the eighth as two slices; its label still counts eight.
    found = machine(node("n", labels, {"nvidia.com/gpu": "7", "nvidia.com/mig-3g.40gb": "2"}))
    assert [gpu.mig_profile for gpu in found.gpus] == [None] * 7 + ["3g.40gb"] * 2
    assert found.gpus[8].memory_bytes == 40_448 * MIB
    assert found.gpus[8].index == 8
    # All cards cut up: the resource of whole ones stays, with nothing in it.
    cut = machine(node("n", labels, {"nvidia.com/gpu": "0", "nvidia.com/mig-3g.40gb": "2"}))
    assert [gpu.mig_profile for gpu in cut.gpus] == ["3g.40gb"] * 2


def test_a_card_shared_by_time_slicing_is_one_card() -> None:
    labels = {
        "nvidia.com/gpu.product": "Tesla-T4-SHARED",
        "nvidia.com/gpu.count": "1",
        "nvidia.com/gpu.memory": "15360",
        "nvidia.com/gpu.replicas": "10",
    }
    found = machine(node("n", labels, {"nvidia.com/gpu": "10"}))
    assert len(found.gpus) == 1
    assert found.gpus[0].accelerator is not None
    assert found.gpus[0].accelerator.id == "t4"
    assert any("shared by up to 10 pods" in line for line in found.problems)


def test_an_unhealthy_card_is_not_counted() -> None:
    found = machine(node("n", H100_LABELS, {"nvidia.com/gpu": "8"}, {"nvidia.com/gpu": "7"}))
    assert len(found.gpus) == 7
    assert any("7 of 8" in line for line in found.problems)


def test_amd_nodes_after_their_labeller() -> None:
    labels = {
        "amd.com/gpu.cu-count": "304",
        "amd.com/gpu.device-id": "74a1",
        "amd.com/gpu.family": "AI",
        "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
        "amd.com/gpu.vram": "192G",
    }
    found = machine(node("n", labels, {"amd.com/gpu": "8"}))
    assert len(found.gpus) == 8
    gpu = found.gpus[0]
    assert gpu.backend == "rocm"
    assert gpu.accelerator is not None
    assert gpu.accelerator.id == "mi300x"
    assert gpu.memory_bytes == gpu.accelerator.memory_bytes  # the label rounds


def test_an_amd_device_without_profile_keeps_its_label() -> None:
    labels = {"amd.com/gpu.product-name": "AMD_Instinct_MI999Z", "amd.com/gpu.vram": "512G"}
    found = machine(node("n", labels, {"amd.com/gpu": "1"}))
    assert found.gpus[0].memory_bytes == 512 * GIB
    assert found.gpus[0].accelerator is None
    assert any("AMD Instinct MI999Z" in line and "speed stays unknown" in line for line in found.problems)


def test_the_instance_type_speaks_where_no_discovery_runs() -> None:
    asked: list[str] = []

    def profiles(name: str) -> Machine:
        asked.append(name)
        return describe_machine("8x H100 SXM, 2TiB")

    labels = {"node.kubernetes.io/instance-type": "p5.48xlarge"}
    found = machine(node("n", labels, {"nvidia.com/gpu": "8"}), describe=profiles)
    assert asked == ["p5.48xlarge"]
    assert [gpu.accelerator and gpu.accelerator.id for gpu in found.gpus] == ["h100-sxm-80"] * 8
    assert any("after the instance type p5.48xlarge" in line for line in found.problems)
    # Memory is what the node says, not what the instance is sold with.
    assert found.memory is not None
    assert found.memory.total_bytes == 2_113_418_240 * KIB
    # A profile of fewer devices than the node has cannot be this node.
    few = machine(node("n", labels, {"nvidia.com/gpu": "9"}), describe=profiles)
    assert few.gpus[0].accelerator is None


@pytest.mark.parametrize(
    ("label", "accelerator"),
    [("nvidia-l4", "l4"), ("nvidia-tesla-t4", "t4"), ("nvidia-h100-80gb", None), ("nvidia-x999", None)],
)
def test_cloud_names_that_mean_one_device(label: str, accelerator: str | None) -> None:
    # "H100 80GB" is sold as SXM and as PCIe with different bandwidths, so its speed stays unknown.
    found = machine(node("n", {"cloud.google.com/gke-accelerator": label}, {"nvidia.com/gpu": "1"}))
    assert (found.gpus[0].accelerator and found.gpus[0].accelerator.id) == accelerator


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("nvidia.com/gpu", "unknown NVIDIA GPU"),
        ("gpu.intel.com/xe", "unknown Intel GPU"),
        ("habana.ai/gaudi", "unknown Intel Gaudi"),
        ("aws.amazon.com/neuron", "unknown AWS Neuron device"),
    ],
)
def test_a_device_that_no_label_names_stays_unknown(resource: str, name: str) -> None:
    found = machine(node("n", {}, {resource: "2"}))
    assert [(gpu.name, gpu.memory_bytes, gpu.accelerator) for gpu in found.gpus] == [(name, None, None)] * 2
    assert any("no label says which device it is" in line for line in found.problems)


def test_gpus_that_no_plugin_offers_are_not_counted() -> None:
    found = machine(node("n", H100_LABELS))
    assert found.gpus == ()
    assert any("no device plugin offers them" in line for line in found.problems)


def test_nodes_that_take_no_pods_are_listed_with_the_reason() -> None:
    found = fleet(
        node("good"),
        node("down", ready="Unknown"),
        node("cordoned", unschedulable=True),
        node("tainted", taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]),
    )
    assert {member.name: member.problem for member in found.members} == {
        "good": None,
        "down": "not ready: NodeStatusUnknown",
        "cordoned": "cordoned: it takes no new pods",
        "tainted": None,
    }
    assert all(member.machine is not None for member in found.members)
    assert [member.name for member in found.usable] == ["good", "tainted"]
    tainted = found.members[3].machine
    assert tainted is not None
    assert any("toleration for nvidia.com/gpu:NoSchedule" in line for line in tainted.problems)


def test_a_damaged_node_costs_one_line() -> None:
    found = fleet(
        node("good"),
        node("odd", capacity={"memory": "much"}),
        node("zero", capacity={"memory": "0"}),
        node("huge", capacity={"memory": "99999999999999999999Ti"}),
        node("cpu", allocatable={"cpu": "-4"}),
        {"metadata": {"name": "bare"}},
        7,
        {"metadata": "x", "status": [], "spec": None},
    )
    problems = {member.name: member.problem or "" for member in found.members}
    assert problems.pop("good") == ""
    assert set(problems) == {"odd", "zero", "huge", "cpu", "bare", "node 7", "node 8"}
    assert "'much', which is no quantity" in problems["odd"]
    assert "more than any machine has" in problems["huge"]
    assert "no capacity" in problems["bare"]
    assert all("\n" not in problem and member_is_lost(found.members) for problem in problems.values())


def member_is_lost(members: Sequence[FleetMember]) -> bool:
    return all(member.machine is None for member in members if member.name != "good")


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("1024", 1024), ("2Ki", 2048), ("1Gi", 2**30), ("1G", 10**9), ("1.5Ti", 3 * 2**39), ("1e9", 10**9), ("4096000m", 4096)],
)  # fmt: skip
def test_quantities(text: str, n_bytes: int) -> None:
    # https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    found = machine(node("n", capacity={"memory": text}))
    assert found.memory is not None
    assert found.memory.total_bytes == n_bytes


def test_one_node_and_no_list_is_read_too() -> None:
    assert [member.name for member in kubernetes_fleet(json.dumps(node("only"))).members] == ["only"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"items": 3}', "error: the server doesn't have nodes", "[" * 99_999]
)
def test_what_is_no_list_of_nodes_is_one_line(text: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        kubernetes_fleet(text)
    assert "\n" not in str(caught.value)


def test_kubectl_is_asked_for_nodes_and_nothing_else() -> None:
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> str:
        asked.append(command)
        return json.dumps({"items": [node("n1")]})

    assert [member.name for member in kubernetes_fleet(run=run).members] == ["n1"]
    assert asked == [GET_NODES]


def test_kubectl_that_fails_is_one_line_with_its_own_words() -> None:
    def run(command: Sequence[str]) -> str:
        raise OSError("The connection to the server localhost:8080 was refused")

    with pytest.raises(HardwareError, match=r"localhost:8080 was refused; pipe its JSON in"):
        kubernetes_fleet(run=run)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/no/such/kubectl"], "not installed"),
        (["sh", "-c", "echo first >&2; echo last words >&2; exit 3"], "^last words$"),
        (["false"], "failed"),
    ],
)
def test_the_runner_says_what_went_wrong(command: list[str], words: str) -> None:
    with pytest.raises(OSError, match=words):
        run_kubectl(command)
    assert run_kubectl(["echo", "ok"]) == "ok\n"
