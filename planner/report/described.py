"""The machine, the model and the benchmark run as tables of facts, with where each fact comes from."""

from collections.abc import Sequence

from hardware.spec import Gpu, Machine, MeasuredRate
from hardware.units import TERA, format_bytes, format_count, format_rate_bytes_per_s
from planner.estimate.measurement import BenchRun
from planner.model.network import Network
from planner.model.storage import Storage
from planner.report.document import Table
from planner.report.figures import percent
from planner.report.full import FullReport
from planner.report.outside_text import plain
from planner.report.parameter_count import total_in_words

_Fact = tuple[str, str, str]
_HEADERS = ("what", "value", "from")


def machine_table(machine: Machine) -> Table:
    """What the machine is; "unknown" says where a fact could come from."""
    probe = "description" if machine.described else "inspected"
    rows: list[_Fact] = [("name", plain(machine.name), probe)]
    if machine.os:
        rows.append(("system", plain(machine.os), probe))
    rows += _cpu_facts(machine, probe)
    rows += _memory_facts(machine, probe)
    if not machine.gpus:
        rows.append(("GPUs", "none", probe))
    for gpu in machine.gpus:
        rows += _gpu_facts(gpu, probe)
    if machine.gpu_driver:
        rows.append(("GPU driver", plain(machine.gpu_driver), probe))
    return Table(title="Machine", headers=_HEADERS, rows=tuple(rows))


def _cpu_facts(machine: Machine, probe: str) -> list[_Fact]:
    cpu = machine.cpu
    if cpu is None:
        return [("processor", "unknown", "a described machine names none")]
    cores = "unknown" if cpu.n_physical_cores is None else f"{cpu.n_physical_cores:,}"
    sockets = (
        "" if cpu.n_sockets is None else f" in {cpu.n_sockets} socket{'s' if cpu.n_sockets != 1 else ''}"
    )
    rows = [
        ("processor", plain(cpu.model), probe),
        ("cores", f"{cores}{sockets}; {cpu.n_usable_threads:,} threads usable here", probe),
    ]
    if cpu.instruction_sets:
        rows.append(("instruction sets", plain(", ".join(cpu.instruction_sets)), probe))
    if cpu.cache_l3_bytes is not None:
        rows.append(("L3 cache", format_bytes(cpu.cache_l3_bytes), probe))
    return rows


def _memory_facts(machine: Machine, probe: str) -> list[_Fact]:
    rows = []
    memory = machine.memory
    if memory is None:
        rows.append(("main memory", "unknown", "add it to the description, for example 64GiB DDR5-5600"))
    else:
        rows.append(("main memory", format_bytes(memory.total_bytes), probe))
        if not machine.described:
            rows.append(("main memory free now", format_bytes(memory.available_bytes), probe))
        if memory.limit_bytes is not None:
            rows.append(
                ("memory limit", format_bytes(memory.limit_bytes), plain(memory.limit_source or probe))
            )
    measured, promised = machine.memory_bandwidth, machine.cpu_memory_bytes_per_s
    if measured is not None:
        rows.append(("memory bandwidth", format_rate_bytes_per_s(measured.per_s), _how(measured)))
    if promised is not None:
        basis = str(machine.cpu_memory_basis or "derived")
        rows.append(("memory bandwidth of the modules", format_rate_bytes_per_s(promised), basis))
    if measured is None and promised is None:
        how = "add the type, for example DDR5-5600" if machine.described else "planner hardware --measure"
        rows.append(("memory bandwidth", "unknown", how))
    matrix = machine.matrix_throughput
    if matrix is not None:
        rows.append(("CPU matrix throughput, fp32", f"{matrix.per_s / TERA:,.3g} TFLOP/s", _how(matrix)))
    elif not machine.described:
        rows.append(("CPU matrix throughput", "unknown", "planner hardware --measure"))
    return rows


def _how(measured: MeasuredRate) -> str:
    return (
        f"measured {plain(measured.measured_at)[:10]}: {plain(measured.method, 120)}, {measured.n_threads} threads, "
        f"{measured.n_samples} samples, spread {percent(measured.spread_fraction)}"
    )


def _gpu_facts(gpu: Gpu, probe: str) -> list[_Fact]:
    memory = "memory unknown" if gpu.memory_bytes is None else format_bytes(gpu.memory_bytes)
    free = "" if gpu.free_bytes is None else f", {format_bytes(gpu.free_bytes)} free now"
    parts = [plain(gpu.name, 80), f"{memory}{free}", plain(gpu.backend, 20)]
    if gpu.compute_capability:
        parts.append(f"compute capability {plain(gpu.compute_capability, 10)}")
    if gpu.power_limit_w is not None:
        parts.append(f"{gpu.power_limit_w:,.0f} W")
    if gpu.mig_profile:
        parts.append(f"MIG {plain(gpu.mig_profile, 20)}")
    rows = [(f"GPU {gpu.index}", "; ".join(parts), probe)]
    accelerator = gpu.accelerator
    if accelerator is None:
        unknown = "its name matches no profile; a benchmark measures it"
        return [*rows, (f"GPU {gpu.index} rates", "unknown", unknown)]
    rates = format_rate_bytes_per_s(accelerator.memory_bytes_per_s)
    fp16 = accelerator.dense_flop_per_s.get("fp16")
    if fp16 is not None:
        rates += f"; {fp16 / TERA:,.4g} TFLOP/s fp16, dense"
    return [*rows, (f"GPU {gpu.index} rates", rates, plain(accelerator.source, 120) or "vendor")]


def model_tables(report: FullReport) -> tuple[Table, ...]:
    """What the model is: facts, layers by kind, and quantization by tensor type."""
    model = report.before.model
    return (_model_table(report), _layer_table(model.network), _type_table(model.storage))


def _model_table(report: FullReport) -> Table:
    opened, network, storage = report.opened, report.before.model.network, report.before.model.storage
    parameters = network.parameters
    where = plain(opened.source, 160)
    stored = "quantizer rules" if storage.predicted else "tensor table"
    rows: list[_Fact] = [
        ("name", plain(opened.name), where),
        ("reference", plain(opened.reference), "as asked"),
        ("architecture", plain(network.architecture, 80), where),
        ("parameters", total_in_words(parameters), "counted from the shapes"),
        ("parameters that a token uses", format_count(parameters.active), "counted from the shapes"),
    ]
    if parameters.towers or parameters.mtp:
        apart = (
            f"{format_count(parameters.towers)} in encoders, {format_count(parameters.mtp)} in extra layers"
        )
        rows.append(("of these apart", apart, "counted from the shapes"))
    if parameters.uncounted:
        rows.append(("not counted", ", ".join(parameters.uncounted), "see the notes"))
    context = network.context_tokens
    rows += [
        ("layers, width, vocabulary", f"{network.n_layers}, {network.hidden_size:,}, {network.vocab_size:,}", where),
        ("output head", "the embedding table itself" if network.tied_embeddings else "a matrix of its own", where),
        ("trained for", "unknown" if context is None else f"{context:,} tokens of context", where),
        ("quantization", f"{plain(storage.label, 40)}, {storage.bits_per_weight:.2f} bits per weight", stored),
        ("tensors", format_bytes(storage.total_bytes), stored),
        ("weights read for one token", format_bytes(storage.read_bytes_per_token), stored),
    ]  # fmt: skip
    if storage.file_bytes is not None:
        rows.append(("file", format_bytes(storage.file_bytes), where))
    rows.append(("licence", plain(opened.licence, 80) if opened.licence else "unknown", where))
    if opened.fingerprint:
        rows.append(("fingerprint of the header", plain(opened.fingerprint, 80), "SHA-256"))
    return Table(title="Model", headers=_HEADERS, rows=tuple(rows))


def _layer_table(network: Network) -> Table:
    rows = [
        (
            group.kind,
            str(len(group.layers)),
            ranges(group.layers),
            format_count(sum(weight.parameters for weight in group.weights(network.hidden_size))),
        )
        for group in network.groups
    ]
    outer = sum(weight.parameters for weight in network.outer)
    rows.append(("embeddings, head and final norm", "–", "–", format_count(outer)))
    return Table(
        title="Layers by kind",
        headers=("kind", "layers", "which", "parameters each"),
        rows=tuple(rows),
        right=(1, 3),
    )


def ranges(indices: Sequence[int]) -> str:
    """Layer numbers in few words: "0–2, 5, 7–9"; cut when there are very many stretches."""
    stretches: list[list[int]] = []
    for index in sorted(indices):
        if stretches and index == stretches[-1][1] + 1:
            stretches[-1][1] = index
        else:
            stretches.append([index, index])
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in stretches]
    return ", ".join(shown) if len(shown) <= 12 else f"{', '.join(shown[:12])}, …"


def _type_table(storage: Storage) -> Table:
    counts: dict[str, list[int]] = {}
    for weight in storage.weights:
        count = counts.setdefault(weight.type_name, [0, 0])
        count[0] += 1
        count[1] += weight.n_elements
    rows = [
        (
            plain(name, 20),
            f"{counts[name][0]:,}",
            format_count(counts[name][1]),
            format_bytes(n_bytes),
            f"{n_bytes / storage.total_bytes:.1%}".replace("%", " %"),
        )
        for name, n_bytes in storage.bytes_by_type.items()
    ]
    return Table(
        title="Quantization by tensor type",
        headers=("type", "tensors", "parameters", "size", "share"),
        rows=tuple(rows),
        right=(1, 2, 3, 4),
    )


def run_table(run: BenchRun) -> Table:
    """How the benchmark ran, so that it can be repeated."""
    batch = f"{run.n_batch:,} / {run.n_ubatch:,}"
    rows = (
        ("when", plain(run.measured_at, 40)),
        ("engine", f"{plain(run.engine, 40)}; {plain(run.engine_build, 200)}"),
        ("backend", f"{plain(run.backend, 20)}, {run.n_threads} threads, {run.n_gpu_layers} layers on GPUs"),
        ("batch / ubatch", batch),
        ("context", f"{run.n_context_tokens:,} tokens, cache in {plain(run.kv_type, 20)}"),
        ("flash attention", "on" if run.flash_attention else "off"),
        ("model file", f"{plain(run.model_name, 100)}, {plain(run.quantization, 40)}, {format_bytes(run.model_bytes)}"),
        ("machine", plain(run.machine_name, 100)),
    )  # fmt: skip
    return Table(title="The benchmark run", headers=("what", "value"), rows=rows)
