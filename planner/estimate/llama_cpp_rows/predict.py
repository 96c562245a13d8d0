"""What is predicted for a recorded load of llama.cpp, ik_llama.cpp or Ollama, component by component."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hardware.spec import Basis
from hardware.units import MIB
from planner.engines.llama_cpp import LlamaCppFlags, Rules
from planner.engines.llama_cpp.host_buffers import INPUT_ROLES, amx_bytes, has_amx_kernels, mapped_bytes
from planner.engines.llama_cpp.weights import host_tensor_bytes, n_layers_stored, plan_layout
from planner.engines.registry import memory_rules
from planner.errors import MissingFactError, PlannerError
from planner.estimate.described_model import DescribedModel
from planner.estimate.llama_cpp_rows.model import (
    FromColumns,
    Known,
    RowModel,
    as_filed,
    row_model,
    with_fused_experts,
)
from planner.estimate.llama_cpp_rows.names import n_files
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.estimate.llama_cpp_rows.settings import RowPlacement, row_flags, row_placement
from planner.estimate.llama_cpp_rows.storage import row_storage
from planner.estimate.memory import DeviceLoad, memory_loads
from planner.estimate.served.component import Component
from planner.estimate.term import Term
from planner.model.network import Network
from planner.model.storage import Storage, StoredWeight

_WEIGHTS: Final = ("weights", "experts", "embedding")
_ANY_CONTEXT: Final = {"n_ctx_tokens": "512"}
_SORTED_SINCE: Final = "2024-11"  # when quantizers began to write tensors in order
_CONVERTED: Final = ("F16", "BF16", "F32", "Q8_0")  # what the converter writes itself
_NEVER_MEASURED: Final = ("engine and driver",)
# Buffers by device that together are a device's total.
_DETAILS: Final = ("model_buf_detail_mib", "kv_buf_detail_mib", "rs_buf_detail_mib", "compute_buf_detail_mib")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPrediction:
    """What is predicted for one row. A component without an expected value has the reason in its place."""

    engine: str
    group: str
    model: str
    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()


class LoadPredictor:
    """Predicts rows one after another; models and storages of rows that are alike are worked out once."""

    def __init__(self, known: Sequence[Known], from_columns: FromColumns):
        self._known = known
        self._from_columns = from_columns
        self._builds: dict[str, int] = {}  # the latest that was named so far, by source
        self._storages: dict[object, tuple[Storage, str | None]] = {}

    def predict(self, cells: Mapping[str, str]) -> LoadPrediction:
        """The prediction for a row. Raises MalformedError for a cell that is not what its column holds."""
        row = LoadRow(cells)
        engine = row.engine
        build = row.whole("build")
        if build is not None and engine == "ik_llama.cpp":
            source = row.text("source")
            self._builds[source] = max(build, self._builds.get(source, 0))
        components, model, notes = self._components(row)
        return LoadPrediction(
            engine=engine, group=row.group, model=model, components=tuple(components), notes=notes
        )

    def _components(self, row: LoadRow) -> tuple[Iterable[Component], str, tuple[str, ...]]:
        found = row_model(row, self._known, self._from_columns)
        if isinstance(found, str):
            return _unpredicted(row, found), "", ()
        storage, unknown = self._storage(row, found)
        model = DescribedModel(name=found.name, network=_network(row, found, storage), storage=storage)
        placement = row_placement(row, model)
        earlier = self._builds.get(row.text("source"))
        no_context = None
        try:
            flags = row_flags(row, found, storage, earlier)
        except MissingFactError as error:  # weights are the same at any context
            no_context = str(error)
            flags = row_flags(LoadRow({**row.cells, **_ANY_CONTEXT}), found, storage, earlier)
        except ValueError as error:
            return _unpredicted(row, f"the settings contradict each other: {error}"), found.name, ()
        try:
            loads = memory_loads(
                model, flags, placement.split, placement.gpus, placement.ram, memory_rules(row.engine)
            )
        except PlannerError as error:
            return _unpredicted(row, str(error)), found.name, ()
        old = found.released is not None and found.released < _SORTED_SINCE
        converted = old or storage.label in _CONVERTED
        printed = _as_printed(row, model, flags, placement, loads, converted=converted)
        if no_context is not None:
            weights = next(iter(_compared(row, printed, placement, unknown, found.uneven)))
            return (weights, *_unpredicted(row, no_context, skip=("weights",))), found.name, placement.notes
        return _compared(row, printed, placement, unknown, found.uneven), found.name, placement.notes

    def _storage(self, row: LoadRow, model: RowModel) -> tuple[Storage, str | None]:
        key = (
            model.name, model.latent_form, model.has_extra_layers, row.text("ftype"), row.file_bytes,
            tuple(row.tensor_types.items()), row.name,
        )  # fmt: skip
        if key not in self._storages:
            self._storages[key] = row_storage(row, model)
        return self._storages[key]


def _network(row: LoadRow, model: RowModel, storage: Storage) -> Network:
    """The network as its file holds it.

    llama.cpp expands latent attention where the up-projection is stored in one piece; the fork never does.
    """
    network = model.network
    if any(weight.role == "ffn_gate_up_exps" for weight in storage.weights):
        network = with_fused_experts(network)
    return network if row.engine == "ik_llama.cpp" else as_filed(network, model.latent_form)


def _as_printed(
    row: LoadRow,
    model: DescribedModel,
    flags: LlamaCppFlags,
    placement: RowPlacement,
    loads: Sequence[DeviceLoad],
    *,
    converted: bool,
) -> tuple[DeviceLoad, ...]:
    """The loads with weights in main memory as the log counts them: mapped stretches, and copies for AMX."""
    has_amx = row.backend == "AMX"
    if not flags.mmap and not has_amx:
        return tuple(loads)
    is_on_host = _host_tensors(model, flags, placement, memory_rules(row.engine))
    here = [weight for weight in model.storage.weights if is_on_host(weight)]
    copied = [weight for weight in here if has_amx and has_amx_kernels(weight)]
    moved = {id(weight) for weight in copied}

    def stays(weight: StoredWeight) -> bool:
        return is_on_host(weight) and id(weight) not in moved

    if flags.mmap:
        n_bytes = mapped_bytes(model.storage, stays, n_files(row.name), converted=converted)
    else:
        n_bytes = sum(host_tensor_bytes(weight) for weight in here if stays(weight))
    n_bytes += amx_bytes(copied)
    term = Term(name="weights", value=n_bytes, unit="bytes", basis=Basis.DERIVED, source="as the log counts")
    return tuple(
        load
        if load.device.is_gpu
        else replace(load, terms=(term, *(t for t in load.terms if t.name not in _WEIGHTS)))
        for load in loads
    )


def _host_tensors(
    model: DescribedModel, flags: LlamaCppFlags, placement: RowPlacement, rules: Rules
) -> Callable[[StoredWeight], bool]:
    """Whether a tensor lies in main memory, by the split."""
    n_layers, storage, gpus = model.network.n_layers, model.storage, placement.gpus
    n_extra = max(0, n_layers_stored(storage) - n_layers)
    free = [gpu.capacity_bytes for gpu in gpus]
    where = rules.layer_gpus(n_layers, placement.split, free, n_extra)
    layout = plan_layout(
        storage, where, placement.split, [gpu.kind for gpu in gpus], [gpu.name for gpu in gpus]
    )
    with_head = rules.tables_with_head(flags)
    homes = {(layer, role): gpu for layer, role, gpu in layout.homes}

    def is_on_host(weight: StoredWeight) -> bool:
        if weight.layer is None:
            is_table = weight.role in INPUT_ROLES and weight.role not in with_head
            return is_table or layout.head is None
        if weight.layer >= n_layers:
            return layout.head is None
        return homes.get((weight.layer, weight.role), layout.layers[weight.layer]) is None

    return is_on_host


def _compared(
    row: LoadRow,
    loads: Sequence[DeviceLoad],
    placement: RowPlacement,
    unknown: str | None,
    uneven: str | None,
) -> Iterator[Component]:
    """Sums over all devices, then every device's own total."""
    on_gpus = [load for load in loads if load.device.is_gpu]
    host = [load for load in loads if not load.device.is_gpu]

    def summed(over: Sequence[DeviceLoad], *names: str) -> float:
        return float(sum(load.term_bytes(name) for load in over for name in names))

    weights = None if unknown is not None else summed(loads, *_WEIGHTS)
    yield Component(
        name="weights", unit="bytes", expected=weights, measured=_measured_weights(row), reason=unknown
    )
    yield _component("kv", summed(loads, "KV cache"), row.measured_total("kv_total_mib"))
    yield _component("state", summed(loads, "state"), row.measured_total("rs_total_mib"))
    compute = row.measured_total("compute_gpu_sum_mib")
    yield _component("compute", summed(on_gpus, "compute"), compute, uneven)
    host_compute = row.measured_total("compute_host_mib")
    yield _component("host compute", summed(host, "compute"), host_compute, uneven)
    yield _component("output", summed(loads, "output"), row.measured_total("output_buf_mib"))
    measured = _measured_totals(row)
    unknown = unknown or uneven
    together = None if unknown is not None else sum(_total(load) for load in loads)
    yield Component(
        name="all devices", unit="bytes", expected=together,
        measured=sum(measured.values()) if measured else None, reason=unknown,
    )  # fmt: skip
    reason = unknown or placement.unstated
    for load in loads:
        name = load.device.name if load.device.is_gpu else "host"
        here = measured.get(name)
        if here is None and not load.terms:
            continue
        yield Component(
            name=f"device {name}", unit="bytes", expected=None if reason else _total(load), measured=here,
            reason=reason,
        )  # fmt: skip
        if unknown is None and placement.unstated is not None:
            yield Component(
                name=f"supposed device {name}", unit="bytes", expected=_total(load), measured=here,
                given="where tensors lie is supposed, not stated",
            )  # fmt: skip


def _component(name: str, expected: float, measured: float | None, reason: str | None = None) -> Component:
    known = None if reason is not None else expected
    return Component(name=name, unit="bytes", expected=known, measured=measured, reason=reason)


def _total(load: DeviceLoad) -> float:
    return float(sum(term.value for term in load.terms if term.name not in _NEVER_MEASURED))


def _measured_weights(row: LoadRow) -> float | None:
    parts = [row.number(f"model_buf_{where}_total_mib") for where in ("gpu", "cpu")]
    total = sum(part for part in parts if part is not None)
    return total * MIB or None


def _measured_totals(row: LoadRow) -> dict[str, float]:
    """Bytes of all buffers by device; nothing where the row lacks weights, cache or compute buffers."""
    found = [row.measured(column) for column in _DETAILS]
    weights, kv, _, compute = found
    if weights is None or kv is None or compute is None:
        return {}
    totals: dict[str, float] = {}
    for sizes in found:
        for device, size in (sizes or {}).items():
            totals[device] = totals.get(device, 0.0) + size
    output = row.measured_total("output_buf_mib")
    if output is not None:
        totals["host"] = totals.get("host", 0.0) + output
    return totals


def _unpredicted(row: LoadRow, reason: str, skip: Sequence[str] = ()) -> Iterator[Component]:
    measured: dict[str, float | None] = {
        "weights": _measured_weights(row),
        "kv": row.measured_total("kv_total_mib"),
        "state": row.measured_total("rs_total_mib"),
        "compute": row.measured_total("compute_gpu_sum_mib"),
        "host compute": row.measured_total("compute_host_mib"),
        "output": row.measured_total("output_buf_mib"),
    }
    for name, value in measured.items():
        if name not in skip:
            yield Component(name=name, unit="bytes", expected=None, measured=value, reason=reason)
