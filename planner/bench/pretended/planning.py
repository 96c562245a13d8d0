"""Asks the loaded engine one question: no weights are read, no GPU is touched. Used in the child process."""

import ctypes
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hardware.units import MIB
from planner.bench.llama_cpp_library import GGML_TYPES, LlamaLibrary
from planner.bench.llama_cpp_memory import EngineError, memory_breakdown
from planner.bench.plan_question import PlanQuestion
from planner.bench.pretended.devices import PretendedMachine
from planner.bench.pretended.ggml import Ggml
from planner.bench.pretended.recurrent import state_by_buffer_type
from planner.bench.protocol import EngineBuffer
from planner.estimate.engine_plan import EnginePlan, PlannedBuffer

_SPLIT_MODES = {"none": 0, "layer": 1}  # enum llama_split_mode
_LOAD_MODE_NONE = 0
_PIPELINE_COPIES = 4  # GGML_SCHED_MAX_COPIES
_GRAPH_LINE = re.compile(r"nodes = (\d+)(?: / (\d+))?, splits = (\d+)(?: / (\d+))?")
_DEFAULTS = {"split_mode": 1, "lazy_mode": 1, "load_mtp": True}


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override of llama.h."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


class Planner:
    """The engine with its pretended machines, for as many questions as there are."""

    def __init__(self) -> None:
        self.library = LlamaLibrary()
        self.ggml = Ggml(self.library.raw)
        self._machines: dict[Any, PretendedMachine] = {}

    def plan(self, question: PlanQuestion) -> EnginePlan:
        """The engine's answer; raises EngineError when it refuses."""
        started = time.monotonic()
        machine = self._machine(question) if question.gpus else None
        log, api = self.library.log, self.library.api
        log.forget_model()
        log.complaints.clear()
        with self._model(question, machine) as model, self._context(question, model) as context:
            buffers = memory_breakdown(self.library.raw, context)
            if buffers is None:
                raise EngineError(
                    "this build of llama.cpp does not tell its memory (it needs Linux and libstdc++); "
                    'install "llama-cpp-python==0.3.36" there'
                )
            states = state_by_buffer_type(self.library.raw, api.llama_get_memory(context))
            nodes, splits = _graph_facts(log.info)
            n_vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
            return EnginePlan(
                buffers=tuple(self._planned(buffers, states, question, machine)),
                output_bytes=_output_bytes(log.total_mib("output"), n_vocabulary, question.n_sequences),
                n_context_tokens=int(api.llama_n_ctx(context)),
                flash_attention=log.flash_attention is True,
                n_copies=_PIPELINE_COPIES
                if any("pipeline parallelism enabled" in line for line in log.info)
                else 1,
                n_splits=splits,
                n_nodes=nodes,
                model_bytes=int(api.llama_model_size(model)),
                n_parameters=int(api.llama_model_n_params(model)),
                n_layers=int(api.llama_model_n_layer(model)),
                planning_s=round(time.monotonic() - started, 4),
                engine_build=self.library.build,
            )

    def _machine(self, question: PlanQuestion) -> PretendedMachine:
        gpus = question.gpus
        if len({gpu.backend for gpu in gpus}) > 1:
            raise EngineError(
                "GPUs of different backends cannot be planned for together yet; ask for one kind"
            )
        if gpus not in self._machines:
            self._machines[gpus] = PretendedMachine(self.ggml, gpus)
        return self._machines[gpus]

    @contextmanager
    def _model(self, question: PlanQuestion, machine: PretendedMachine | None) -> Iterator[Any]:
        api, log = self.library.api, self.library.log
        devices = machine.device_addresses if machine else []
        device_list = (ctypes.c_void_p * (len(devices) + 1))(*devices, None)
        shares = (ctypes.c_float * max(int(api.llama_max_devices()), 16))(*question.tensor_split)
        overrides = self._overrides(question, machine)
        params = api.llama_model_default_params()
        params.devices = ctypes.addressof(device_list)
        params.tensor_buft_overrides = ctypes.addressof(overrides) if question.tensor_overrides else None
        params.n_gpu_layers = question.n_gpu_layers
        params.split_mode = _SPLIT_MODES[question.split_mode]
        params.main_gpu = question.main_gpu
        if question.tensor_split:
            params.tensor_split = ctypes.cast(shares, ctypes.POINTER(ctypes.c_float))
        params.load_mode = _LOAD_MODE_NONE  # the engine plans no mapped load; _planned undoes the difference
        params.no_alloc = True
        params.use_extra_bufts = question.use_extra_buffers
        params.no_host = not question.use_host_buffer
        params.load_mtp = question.load_mtp
        model = api.llama_model_load_from_file(os.fsencode(question.model_path), params)
        if not model:
            raise EngineError(f"llama.cpp refused the model: {log.last_complaint('no reason given')}")
        try:
            yield model
        finally:
            api.llama_model_free(model)

    def _overrides(self, question: PlanQuestion, machine: PretendedMachine | None) -> Any:
        raw = self.ggml.raw
        known = {
            raw.ggml_backend_buft_name(address).decode(): address for address in (self.ggml.cpu_buffer_type,)
        }
        if machine is not None:
            own = [*machine.buffer_types, *([machine.host_buffer_type] if machine.host_buffer_type else [])]
            known |= {raw.ggml_backend_buft_name(address).decode(): address for address in own}
        found = (_Override * (len(question.tensor_overrides) + 1))()
        for index, (pattern, name) in enumerate(question.tensor_overrides):
            if name not in known:
                raise EngineError(
                    f"there is no buffer type {name!r} to put {pattern} in; known are {', '.join(known)}"
                )
            found[index] = _Override(pattern.encode(), known[name])
        return found

    @contextmanager
    def _context(self, question: PlanQuestion, model: Any) -> Iterator[Any]:
        api, log = self.library.api, self.library.log
        params = api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = (
            question.n_context_tokens,
            question.n_batch,
            question.n_ubatch,
        )
        params.n_seq_max, params.kv_unified = question.n_sequences, question.unified_cache
        params.n_rs_seq = question.n_rollback_states
        params.n_outputs_max = question.n_outputs or 0
        params.type_k, params.type_v = (
            GGML_TYPES[question.k_type.lower()],
            GGML_TYPES[question.v_type.lower()],
        )
        params.flash_attn_type = -1 if question.flash_attention is None else int(question.flash_attention)
        params.swa_full = question.swa_full
        params.offload_kqv, params.op_offload = question.kv_offload, question.op_offload
        params.embeddings = question.embeddings
        log.forget_context(question.flash_attention)
        context = api.llama_init_from_model(model, params)
        if not context:
            raise EngineError(
                f"llama.cpp refused a context of {question.n_context_tokens} tokens: "
                f"{log.last_complaint('no reason given')}"
            )
        try:
            yield context
        finally:
            api.llama_free(context)

    def _planned(
        self,
        buffers: tuple[EngineBuffer, ...],
        states: dict[str, int],
        question: PlanQuestion,
        machine: PretendedMachine | None,
    ) -> Iterator[PlannedBuffer]:
        gpus = {}
        host = None
        if machine is not None:
            gpus = {
                self.ggml.raw.ggml_backend_buft_name(address).decode(): index
                for address, index in machine.buffer_types.items()
            }
            if machine.host_buffer_type:
                host = self.ggml.raw.ggml_backend_buft_name(machine.host_buffer_type).decode()
        moved = 0
        if question.use_mmap and host is not None:
            # A mapped load keeps in the page cache what would have gone to pinned memory (create_tensor).
            moved = sum(buffer.weights_bytes for buffer in buffers if buffer.name == host)
        names = {buffer.name for buffer in buffers}
        if moved and "CPU" not in names:
            buffers += (EngineBuffer(name="CPU", weights_bytes=0, context_bytes=0, compute_bytes=0),)
        for buffer in buffers:
            weights = buffer.weights_bytes
            if moved and buffer.name in (host, "CPU"):
                weights = 0 if buffer.name == host else weights + moved
            state = states.get(buffer.name, 0)
            if not weights and not buffer.context_bytes and not buffer.compute_bytes:
                continue
            yield PlannedBuffer(
                name=buffer.name,
                gpu=gpus.get(buffer.name),
                weights_bytes=weights,
                kv_bytes=buffer.context_bytes - state,
                state_bytes=state,
                compute_bytes=buffer.compute_bytes,
            )


def _output_bytes(printed_mib: float, n_vocabulary: int, n_sequences: int) -> int:
    """The log prints it to 0.01 MiB; it is the logits of every sequence in F32, unless embeddings join them."""
    logits = n_vocabulary * n_sequences * 4
    printed = round(printed_mib * MIB)
    return logits if abs(printed - logits) < 0.006 * MIB else printed


def _graph_facts(lines: list[str]) -> tuple[tuple[int, int], tuple[int, int]]:
    for line in reversed(lines):
        if match := _GRAPH_LINE.search(line):
            nodes, splits = int(match[1]), int(match[3])
            return (nodes, int(match[2] or nodes)), (splits, int(match[4] or splits))
    raise EngineError("llama.cpp made a context without a graph; it may be another version than 0.3.36")
