"""Files that start a plan: valid by the schemas of those who read them, and each GPU given away once."""

import itertools
import re
from typing import Any

import kubernetes_validate.utils as kubernetes
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planner.deploy.compose import compose_file
from planner.deploy.kubernetes import kubernetes_objects
from planner.deploy.leader_worker_set import leader_worker_objects
from planner.deploy.served_replicas import ServedReplicas, gpu_groups, label_of, node_command
from planner.deploy.yaml_text import yaml_text

KUBERNETES = "1.33"
# Written in Rust: a Python or system without a wheel skips what needs it.
compose_spec = pytest.importorskip("compose_spec")


def replicas(**changes: Any) -> ServedReplicas:
    facts: dict[str, Any] = {
        "name": "llama-3-3-70b", "engine": "vllm", "image": "vllm/vllm-openai:v0.33.0",
        "command": ("vllm", "serve", "meta-llama/Llama-3.3-70B-Instruct", "--tensor-parallel-size", "2"),
        "n_replicas": 3, "gpus_per_replica": 2,
    }  # fmt: skip
    return ServedReplicas(**(facts | changes))


SPANNING = {
    "command": ("vllm", "serve", "M", "--tensor-parallel-size", "8", "--pipeline-parallel-size", "2"),
    "gpus_per_replica": 16,
    "n_nodes_per_replica": 2,
}


def test_objects_of_one_node_keep_the_schema_of_kubernetes() -> None:
    objects = kubernetes_objects(replicas(node_labels=(("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),)))
    assert [one["kind"] for one in objects] == ["Deployment", "Service", "PodDisruptionBudget"]
    for one in objects:
        kubernetes.validate(one, KUBERNETES, strict=True)


def test_the_schema_of_kubernetes_is_not_satisfied_by_anything() -> None:
    # Without this the test above could pass because nothing is looked at.
    one = kubernetes_objects(replicas())[0]
    one["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(kubernetes.ValidationError, match="comand"):
        kubernetes.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_pods_of_a_leader_worker_set_keep_the_schema_and_know_their_leader(engine: str) -> None:
    workers, service, budget = leader_worker_objects(replicas(**SPANNING, engine=engine))
    for one in (service, budget):
        kubernetes.validate(one, KUBERNETES, strict=True)
    template = workers["spec"]["leaderWorkerTemplate"]
    # kubernetes-sigs/lws, config/crd/bases at 83ba21e9: these fields and values of spec, no others are written here.
    assert set(workers["spec"]) <= {"replicas", "startupPolicy", "leaderWorkerTemplate", "rolloutStrategy"}
    assert set(template) == {"size", "restartPolicy", "leaderTemplate", "workerTemplate"}
    assert (template["size"], workers["spec"]["replicas"]) == (2, 3)
    assert template["restartPolicy"] == "RecreateGroupOnPodRestart"
    assert workers["spec"]["startupPolicy"] == "LeaderCreated"
    for pod in ("leaderTemplate", "workerTemplate"):
        spec = template[pod]["spec"]
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes.validate(whole, KUBERNETES, strict=True)
        words = spec["containers"][0]["command"]
        assert any(word.startswith("$(LWS_LEADER_ADDRESS)") for word in words)
        assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 8}
    # A service that reached workers would send them requests that they do not answer.
    assert service["spec"]["selector"]["role"] == "leader"
    assert "role" not in template["workerTemplate"].get("metadata", {}).get("labels", {})


def test_only_the_first_node_of_a_replica_answers() -> None:
    spanning = replicas(**SPANNING)
    assert "--headless" not in node_command(spanning, "0", "first")
    rest = node_command(spanning, "1", "first")
    assert rest[-1] == "--headless"
    assert rest[rest.index("--node-rank") + 1] == "1" and rest[rest.index("--nnodes") + 1] == "2"
    # SGLang's other nodes wait by themselves; it has no such option.
    assert "--headless" not in node_command(replicas(**SPANNING, engine="sglang"), "1", "first")


@pytest.mark.parametrize("vendor", ["nvidia", "amd", "intel"])
@pytest.mark.parametrize("n_gpus", [2, 8])
def test_compose_files_keep_the_specification(vendor: str, n_gpus: int) -> None:
    content = compose_file(replicas(gpu_vendor=vendor), n_gpus)
    text = yaml_text([content], "heading")
    services = compose_spec.PyCompose.from_yaml(text).service_names()
    # Three replicas of two GPUs: a machine with two holds one, one with eight all three and the balancer.
    assert len(services) == (1 if n_gpus == 2 else 4)
    assert yaml.safe_load(text) == content


def test_the_specification_of_compose_is_not_satisfied_by_anything() -> None:
    content = compose_file(replicas(), 2)
    content["services"]["llama-3-3-70b"]["imag"] = "x"
    with pytest.raises(ValueError, match="imag"):
        compose_spec.PyCompose.from_yaml(yaml_text([content]))


@given(n_gpus=st.integers(1, 16), each=st.integers(1, 8))
def test_every_gpu_is_given_to_one_replica_at_most(n_gpus: int, each: int) -> None:
    groups = gpu_groups(n_gpus, each)
    given_away = list(itertools.chain(*groups))
    assert len(set(given_away)) == len(given_away) <= n_gpus
    assert all(len(group) == each for group in groups)
    assert n_gpus - len(given_away) < each  # none is left that another replica could use


@given(st.text(max_size=200))
def test_any_model_makes_a_name_that_kubernetes_takes(model: str) -> None:
    name = label_of(model)
    # RFC 1123: letters, digits and dashes, a letter or digit first and last, 63 at most.
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    replicas(name=name)


@pytest.mark.parametrize("model", ["$(rm -rf /)", "a: b\n- c", "${HOME}", "'\"; #", "\x1b[31m"])
def test_a_hostile_name_stays_one_word_of_the_command(model: str) -> None:
    hostile = replicas(command=("vllm", "serve", model))
    for objects in ([compose_file(hostile, 2)], kubernetes_objects(hostile)):
        read = list(yaml.safe_load_all(yaml_text(objects, f"plan of {model}")))
        assert read == objects
    words = kubernetes_objects(hostile)[0]["spec"]["template"]["spec"]["containers"][0]["command"]
    # Kubernetes and Compose replace variables in commands; a doubled sign is that sign.
    assert words[2].replace("$$(", "$(") == model
    arguments = compose_file(hostile, 2)["services"]["llama-3-3-70b"]["command"]
    assert arguments[1].replace("$$", "$") == model and not re.search(r"(?<!\$)\$(?!\$)", arguments[1])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "Upper_case"}, "no name for a service"),
        ({"gpus_per_replica": 3, "n_nodes_per_replica": 2}, "do not divide"),
        ({"gpu_vendor": "acme"}, "device plugin"),
        ({"n_replicas": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_started_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replicas(**changes)


def test_compose_refuses_what_one_machine_cannot_hold() -> None:
    with pytest.raises(ValueError, match="takes 2 GPUs and Compose runs on one machine, with 1"):
        compose_file(replicas(), 1)
    with pytest.raises(ValueError, match="LeaderWorkerSet"):
        kubernetes_objects(replicas(**SPANNING))
