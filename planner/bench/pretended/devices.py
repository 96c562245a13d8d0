"""Devices made of ctypes callbacks: the engine asks them for sizes and never computes anything.

They are handed to the engine in `llama_model_params.devices` and never registered, so that many machines can
be planned for in one process and the GPUs of this machine play no part.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from planner.bench.plan_question import PretendedGpu
from planner.bench.pretended.fusion import kept_tensors
from planner.bench.pretended.ggml import Ggml
from planner.bench.pretended.rules import RULES, BackendRules
from planner.bench.pretended.structs import (
    RawBackend,
    RawBuffer,
    RawBufferInterface,
    RawDevice,
    RawEvent,
    RawOptimizeParams,
    RawProperties,
    RawRegistry,
)
from planner.bench.pretended.tensors import Node

_ADDRESS = ctypes.c_void_p
_SIZE = ctypes.c_size_t
_ADD_DEPENDENCY = ctypes.CFUNCTYPE(None, _ADDRESS, _ADDRESS, _ADDRESS)
_GPU, _INTEGRATED_GPU = 1, 2  # enum ggml_backend_dev_type
_BASE_ADDRESS = 0x1000_0000  # where pretended memory seems to begin; nobody reads it


class PretendedMachine:
    """The GPUs of one machine, of one backend; kept as long as the process, since the engine holds addresses."""

    def __init__(self, ggml: Ggml, gpus: tuple[PretendedGpu, ...]) -> None:
        self._ggml = ggml
        self._kept: list[Any] = []
        self._rules = RULES[gpus[0].backend]
        self.device_addresses: list[int] = []
        self.buffer_types: dict[int, int] = {}  # address: index of the GPU
        self.host_buffer_type: int | None = None
        registry = self._registry()
        devices = [self._keep(RawDevice()) for _ in gpus]
        self.device_addresses = [ctypes.addressof(device) for device in devices]
        if self._rules.host_buffer is not None:
            self.host_buffer_type = self._host_buffer_type(self._rules.host_buffer)
        for index, (gpu, device) in enumerate(zip(gpus, devices, strict=True)):
            device.reg = ctypes.addressof(registry)
            self._fill(device, index, gpu)

    def _keep(self, item: Any) -> Any:
        self._kept.append(item)
        return item

    def _function(self, result: Any, arguments: tuple[Any, ...], body: Callable[..., Any]) -> int:
        """The address of a C function that calls `body`."""
        made = self._keep(ctypes.CFUNCTYPE(result, *arguments)(body))
        return ctypes.cast(made, _ADDRESS).value or 0

    def _getter(self, address: int) -> int:
        """A function of one argument that always answers with the same address."""
        return self._function(_ADDRESS, (_ADDRESS,), lambda _: address)

    def _text(self, text: str) -> int:
        return ctypes.addressof(self._keep(ctypes.create_string_buffer(text.encode())))

    def _registry(self) -> RawRegistry:
        registry: RawRegistry = self._keep(RawRegistry())
        registry.api_version = self._ggml.api_version
        registry.get_name = self._getter(self._text(self._rules.registry_name))
        registry.get_device_count = self._function(_SIZE, (_ADDRESS,), lambda _: len(self.device_addresses))
        registry.get_device = self._function(
            _ADDRESS, (_ADDRESS, _SIZE), lambda _, index: self.device_addresses[index]
        )
        registry.get_proc_address = self._function(_ADDRESS, (_ADDRESS, ctypes.c_char_p), lambda _, __: None)
        return registry

    def _host_buffer_type(self, name: str) -> int:
        """Pinned memory: ordinary memory under another name, as CUDA falls back to when pinning fails."""
        cpu = self._ggml.buffer_type.from_address(self._ggml.cpu_buffer_type)
        kind = self._keep(self._ggml.buffer_type())
        address = ctypes.addressof(kind)

        def allocate(_: int, size: int) -> int:
            made = int(self._ggml.raw.ggml_backend_buft_alloc_buffer(self._ggml.cpu_buffer_type, size))
            RawBuffer.from_address(made).buft = address
            return made

        kind.get_name = self._getter(self._text(name))
        kind.alloc_buffer = self._function(_ADDRESS, (_ADDRESS, _SIZE), allocate)
        kind.get_alignment, kind.get_alloc_size, kind.is_host = (
            cpu.get_alignment,
            cpu.get_alloc_size,
            cpu.is_host,
        )
        kind.device = self.device_addresses[0]
        return address

    def _fill(self, device: RawDevice, index: int, gpu: PretendedGpu) -> None:
        name = self._text(f"{self._rules.device_prefix}{index}")
        description = self._text(gpu.description)
        address = ctypes.addressof(device)
        free_bytes = gpu.total_bytes if gpu.free_bytes is None else gpu.free_bytes
        kind = _INTEGRATED_GPU if gpu.integrated else _GPU
        own = self._buffer_type(name, address)
        self.buffer_types[own] = index
        backend = self._backend(name, address, index)

        def memory(_: int, free: int, total: int) -> None:
            _SIZE.from_address(free).value = free_bytes
            _SIZE.from_address(total).value = gpu.total_bytes

        def properties(_: int, into: int) -> None:
            found = RawProperties.from_address(into)
            found.name, found.description, found.device_id = name, description, None
            found.memory_free, found.memory_total, found.type = free_bytes, gpu.total_bytes, kind
            found.asynchronous, found.events = self._rules.asynchronous, self._rules.events
            found.host_buffer = self._rules.host_buffer is not None
            found.buffer_from_host_ptr = self._rules.buffer_from_host_ptr
            found.mmap_support = not gpu.integrated or self._rules.mmap_when_integrated

        device.get_name, device.get_description = self._getter(name), self._getter(description)
        device.get_memory = self._function(None, (_ADDRESS, _ADDRESS, _ADDRESS), memory)
        device.get_type = self._function(ctypes.c_int, (_ADDRESS,), lambda _: kind)
        device.get_props = self._function(None, (_ADDRESS, _ADDRESS), properties)
        device.init_backend = self._function(_ADDRESS, (_ADDRESS, ctypes.c_char_p), lambda _, __: backend)
        device.get_buffer_type = self._getter(own)
        if self.host_buffer_type is not None:
            device.get_host_buffer_type = self._getter(self.host_buffer_type)
        device.supports_op = self._function(
            ctypes.c_bool, (_ADDRESS, _ADDRESS), lambda _, op: self._supports(own, op)
        )
        device.supports_buft = self._function(
            ctypes.c_bool,
            (_ADDRESS, _ADDRESS),
            lambda _, other: other == own or (gpu.integrated and other == self.host_buffer_type),
        )
        device.offload_op = self._function(
            ctypes.c_bool,
            (_ADDRESS, _ADDRESS),
            lambda _, op: self._rules.offload_rows(Node(self._ggml, op)) >= self._rules.offload_batch,
        )
        event = self._keep(RawEvent(device=address))
        event_address = ctypes.addressof(event)
        device.event_new = self._getter(event_address)
        device.event_free = self._function(None, (_ADDRESS, _ADDRESS), lambda _, __: None)
        device.event_synchronize = self._function(None, (_ADDRESS, _ADDRESS), lambda _, __: None)

    def _supports(self, own: int, op: int) -> bool:
        node = Node(self._ggml, op)
        for source in node.sources():
            place = source.buffer_type
            if place is not None and place != own and place in self.buffer_types:
                return False  # another GPU's memory
        return self._rules.supports(node)

    def _buffer_type(self, name: int, device: int) -> int:
        kind = self._keep(self._ggml.buffer_type())
        address = ctypes.addressof(kind)
        interface = self._buffer_interface()
        rules: BackendRules = self._rules
        kind.get_name = self._getter(name)
        kind.alloc_buffer = self._function(
            _ADDRESS,
            (_ADDRESS, _SIZE),
            lambda _, size: self._ggml.raw.ggml_backend_buffer_init(address, interface, None, size),
        )
        kind.get_alignment = self._function(_SIZE, (_ADDRESS,), lambda _: rules.alignment_bytes)
        if rules.max_buffer_bytes is not None:
            largest = rules.max_buffer_bytes
            kind.get_max_size = self._function(_SIZE, (_ADDRESS,), lambda _: largest)
        kind.get_alloc_size = self._function(
            _SIZE, (_ADDRESS, _ADDRESS), lambda _, tensor: rules.alloc_bytes(Node(self._ggml, tensor))
        )
        kind.device = device
        return address

    def _optimize(self, _: int, graph: int, into: int) -> None:
        """Tells the engine which tensors the GPU would keep for a fused step."""
        raw = self._ggml.raw
        nodes = [
            Node(self._ggml, raw.ggml_graph_node(graph, i)) for i in range(raw.ggml_graph_n_nodes(graph))
        ]
        asked = RawOptimizeParams.from_address(into)
        for tensor, until in kept_tensors(nodes):
            _ADD_DEPENDENCY(asked.add_alloc_dep)(asked.user_data, tensor, until)

    def _buffer_interface(self) -> RawBufferInterface:
        """A buffer that has a size and an address but no memory: recurrent states are allocated even in a plan."""
        interface: RawBufferInterface = self._keep(RawBufferInterface())
        interface.get_base = self._getter(_BASE_ADDRESS)
        interface.clear = self._function(None, (_ADDRESS, ctypes.c_uint8), lambda _, __: None)
        return interface

    def _backend(self, name: int, device: int, index: int) -> int:
        backend: RawBackend = self._keep(RawBackend())
        guid = self._keep((ctypes.c_uint8 * 16)(0xFA, index, *([7] * 14)))
        backend.guid = ctypes.addressof(guid)
        backend.get_name = self._getter(name)
        backend.free = self._function(None, (_ADDRESS,), lambda _: None)
        backend.synchronize = self._function(None, (_ADDRESS,), lambda _: None)
        backend.graph_optimize = self._function(None, (_ADDRESS, _ADDRESS, _ADDRESS), self._optimize)
        # Status 0; a plan computes nothing, but the engine insists on there being a function.
        backend.graph_compute = self._function(ctypes.c_int, (_ADDRESS, _ADDRESS), lambda _, __: 0)
        backend.device = device
        return ctypes.addressof(backend)
