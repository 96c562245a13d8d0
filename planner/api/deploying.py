"""From an option that a search found to files that start it, things to buy for it, and a test that would prove it."""

from typing import Literal

from hardware.nodes import find_node
from hardware.spec import Basis
from hardware.units import GB
from planner.deploy.compose import compose_file
from planner.deploy.kubernetes import kubernetes_objects
from planner.deploy.leader_worker_set import leader_worker_objects
from planner.deploy.purchase import MachineFacts, PurchasePlan, Site, purchase_plan
from planner.deploy.served_replicas import PORT, ServedReplicas, label_of
from planner.deploy.yaml_text import yaml_text
from planner.errors import MissingFactError, PlannerError
from planner.quoting import quoted
from planner.sizing.option import Option
from planner.workload.workload import Workload
from profiles.loader import accelerator_rows, engine_image_rows, node_site_rows
from profiles.schema import number

Emitted = Literal["compose", "kubernetes"]


def emit(option: Option, kind: Emitted, *, image: str | None = None, name: str | None = None) -> str:
    """The file that starts an option: Compose for one machine of it, or Kubernetes for all, spares included.

    Raises MissingFactError where no image of the engine is known for the GPUs, and PlannerError where the option
    cannot be written in this form.
    """
    replicas = served_replicas(option, image=image, name=name)
    heading = (
        f"{option.layout.checkpoint}: {option.layout.words} on {option.n_all_machines} x {option.offer.description},"
        f" {option.replicas_per_machine} replica(s) on each; {option.n_spare_machines} of the machines spare"
    )
    try:
        if kind == "compose":
            return yaml_text([compose_file(replicas, option.offer.n_gpus)], f"{heading}\nFor each machine.")
        if replicas.n_nodes_per_replica > 1:
            return yaml_text(leader_worker_objects(replicas, option.n_spare_replicas), heading)
        return yaml_text(kubernetes_objects(replicas, option.n_spare_replicas), heading)
    except ValueError as error:
        raise PlannerError(str(error)) from error


def served_replicas(option: Option, *, image: str | None = None, name: str | None = None) -> ServedReplicas:
    """The replicas of an option, spares included, as containers."""
    layout = option.layout
    vendor = _vendor(option)
    nodes = option.offer.n_nodes if option.replicas_per_machine == 1 else 1
    try:
        return ServedReplicas(
            name=label_of(layout.checkpoint) if name is None else name,
            engine="sglang" if layout.engine == "sglang" else "vllm",
            image=image or _image(layout.engine, vendor, layout.engine_version),
            command=layout.command,
            n_replicas=option.n_replicas + option.n_spare_replicas,
            gpus_per_replica=layout.n_gpus,
            n_nodes_per_replica=nodes if layout.n_gpus > option.offer.n_gpus // nodes else 1,
            gpu_vendor=vendor,
        )
    except ValueError as error:
        raise PlannerError(str(error)) from error


def buying(option: Option, site: Site | None = None) -> PurchasePlan:
    """What has to be bought and prepared for all machines of an option."""
    offer = option.offer
    nodes = offer.n_nodes
    facts = _machine_facts(offer.description, offer.n_gpus // nodes)
    return purchase_plan(facts, option.n_all_machines * nodes, site or Site(), spans_machines=nodes > 1)


def proof_command(
    option: Option, workload: Workload, address: str = f"http://localhost:{PORT}"
) -> tuple[str, ...]:
    """The load test that would prove the plan: the peak, with the workload's lengths.

    Agents' growing contexts and thinking are not in it: lengths are those of a task's first call.
    """
    words = ["planner", "load", address, "--prompt", str(workload.prompt), "--output", str(workload.output)]
    if option.unit == "users":
        words += ["--concurrency", f"{option.peak:g}"]
    else:
        words += ["--rate", f"{option.peak:.4g}"]
    if workload.shared_prefix_tokens:
        words += ["--shared-prefix", str(workload.shared_prefix_tokens)]
    return tuple(words)


def _vendor(option: Option) -> str:
    for row in accelerator_rows():
        if row["id"] == option.offer.accelerator_id:
            return row["vendor"] or ""
    raise MissingFactError(
        f"whose GPUs {quoted(option.offer.accelerator)} are is not known, and a container is given GPUs by their maker's "
        "plugin; describe the machine with an accelerator that the planner knows"
    )


def _image(engine: str, vendor: str, version: str) -> str:
    for row in engine_image_rows():
        if row["engine"] == engine and row["vendor"] == vendor:
            return f"{row['image']}:{(row['tag'] or '').format(version=version)}"
    raise MissingFactError(
        f"no container image of {engine} for {vendor} GPUs is known; name one with --image"
    )


def _machine_facts(description: str, n_gpus: int) -> MachineFacts:
    node = find_node(description)
    site = None
    if node is not None:
        site = next((row for row in node_site_rows() if row["node_id"] == node.id), None)
    units, power_w = (
        (None, None) if site is None else (number(site["rack_units"]), number(site["max_power_w"]))
    )
    links = None if node is None else node.interconnect
    nic = None if links is None else links.nic_bytes_per_s
    recalled = site is not None and bool(site["recalled"])
    return MachineFacts(
        name=description,
        n_gpus=n_gpus,
        n_nics=None if links is None else links.n_nics,
        nic_gbit_per_s=None if nic is None else 8 * nic / GB,
        rack_units=None if units is None else int(units),
        max_power_w=power_w,
        basis=Basis.ASSUMED if recalled else Basis.VENDOR,
        source="" if site is None else site["source"] or "",
    )
