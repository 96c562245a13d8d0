"""ggml's structs as ctypes sees them, checked against the loaded library before anything relies on them."""

import ctypes
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from planner.bench.llama_cpp_memory import EngineError

MAX_SOURCES = 10
_ADDRESS = ctypes.c_void_p


class RawTensor(ctypes.Structure):
    """ggml_tensor of ggml.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", _ADDRESS),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", _ADDRESS * MAX_SOURCES),
        ("view_src", _ADDRESS),
        ("view_offs", ctypes.c_size_t),
        ("data", _ADDRESS),
        ("name", ctypes.c_char * 64),
        ("extra", _ADDRESS),
        ("padding", ctypes.c_char * 8),
    )


class RawBufferType(ctypes.Structure):
    """ggml_backend_buffer_type: six functions, device, context."""

    _fields_ = (
        ("get_name", _ADDRESS),
        ("alloc_buffer", _ADDRESS),
        ("get_alignment", _ADDRESS),
        ("get_max_size", _ADDRESS),
        ("get_alloc_size", _ADDRESS),
        ("is_host", _ADDRESS),
        ("device", _ADDRESS),
        ("context", _ADDRESS),
    )


class RawBufferTypeOfThree(ctypes.Structure):
    """ggml_backend_buffer_type since API version 3, which allocates several buffers at once."""

    _fields_ = tuple(
        (name, _ADDRESS)
        for name in (
            "get_name", "alloc_buffer", "alloc_buffer_n", "get_alignment", "get_max_size", "get_alloc_size",
            "get_alloc_size_n", "is_host", "device", "context",
        )
    )  # fmt: skip


# By GGML_BACKEND_API_VERSION (ggml-backend-impl.h): 2 in llama-cpp-python 0.3.36, 3 in llama.cpp since b11500.
_BUFFER_TYPES: dict[int, type[ctypes.Structure]] = {2: RawBufferType, 3: RawBufferTypeOfThree}


class RawBufferInterface(ctypes.Structure):
    """ggml_backend_buffer_i: eleven functions."""

    _fields_ = tuple(
        (name, _ADDRESS)
        for name in (
            "free_buffer", "get_base", "init_tensor", "memset_tensor", "set_tensor", "get_tensor",
            "set_tensor_2d", "get_tensor_2d", "cpy_tensor", "clear", "reset",
        )
    )  # fmt: skip


class RawBuffer(ctypes.Structure):
    """ggml_backend_buffer."""

    _fields_ = (
        ("iface", RawBufferInterface),
        ("buft", _ADDRESS),
        ("context", _ADDRESS),
        ("size", ctypes.c_size_t),
        ("usage", ctypes.c_int),
    )


class RawBackend(ctypes.Structure):
    """ggml_backend: an id, sixteen functions, device, context."""

    _fields_ = tuple(
        (name, _ADDRESS)
        for name in (
            "guid", "get_name", "free", "set_tensor_async", "get_tensor_async", "set_tensor_2d_async",
            "get_tensor_2d_async", "cpy_tensor_async", "synchronize", "graph_plan_create", "graph_plan_free",
            "graph_plan_update", "graph_plan_compute", "graph_compute", "event_record", "event_wait",
            "graph_optimize", "device", "context",
        )
    )  # fmt: skip


class RawDevice(ctypes.Structure):
    """ggml_backend_device: fifteen functions, registry, context."""

    _fields_ = tuple(
        (name, _ADDRESS)
        for name in (
            "get_name", "get_description", "get_memory", "get_type", "get_props", "init_backend",
            "get_buffer_type", "get_host_buffer_type", "buffer_from_host_ptr", "supports_op", "supports_buft",
            "offload_op", "event_new", "event_free", "event_synchronize", "reg", "context",
        )
    )  # fmt: skip


class RawRegistry(ctypes.Structure):
    """ggml_backend_reg."""

    _fields_ = (
        ("api_version", ctypes.c_int),
        ("get_name", _ADDRESS),
        ("get_device_count", _ADDRESS),
        ("get_device", _ADDRESS),
        ("get_proc_address", _ADDRESS),
        ("context", _ADDRESS),
    )


class RawProperties(ctypes.Structure):
    """ggml_backend_dev_props with its capabilities."""

    _fields_ = (
        ("name", _ADDRESS),
        ("description", _ADDRESS),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", _ADDRESS),
        ("asynchronous", ctypes.c_bool),
        ("host_buffer", ctypes.c_bool),
        ("buffer_from_host_ptr", ctypes.c_bool),
        ("events", ctypes.c_bool),
        ("mmap_support", ctypes.c_bool),
    )


class RawOptimizeParams(ctypes.Structure):
    """ggml_backend_graph_optimize_params."""

    _fields_ = (("add_alloc_dep", _ADDRESS), ("user_data", _ADDRESS))


class RawEvent(ctypes.Structure):
    """ggml_backend_event."""

    _fields_ = (("device", _ADDRESS), ("context", _ADDRESS))


class RawInitParams(ctypes.Structure):
    """ggml_init_params of ggml.h."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", _ADDRESS), ("no_alloc", ctypes.c_bool))


_SIGNATURES: tuple[tuple[str, Any, list[Any]], ...] = (
    ("ggml_op_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_unary_op_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_glu_op_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_get_unary_op", ctypes.c_int, [_ADDRESS]),
    ("ggml_get_glu_op", ctypes.c_int, [_ADDRESS]),
    ("ggml_type_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_type_size", ctypes.c_size_t, [ctypes.c_int]),
    ("ggml_blck_size", ctypes.c_int64, [ctypes.c_int]),
    ("ggml_row_size", ctypes.c_size_t, [ctypes.c_int, ctypes.c_int64]),
    ("ggml_is_quantized", ctypes.c_bool, [ctypes.c_int]),
    ("ggml_nbytes", ctypes.c_size_t, [_ADDRESS]),
    ("ggml_nelements", ctypes.c_int64, [_ADDRESS]),
    ("ggml_nrows", ctypes.c_int64, [_ADDRESS]),
    ("ggml_is_contiguous", ctypes.c_bool, [_ADDRESS]),
    ("ggml_is_contiguous_1", ctypes.c_bool, [_ADDRESS]),
    ("ggml_is_contiguous_2", ctypes.c_bool, [_ADDRESS]),
    ("ggml_is_contiguous_rows", ctypes.c_bool, [_ADDRESS]),
    ("ggml_graph_n_nodes", ctypes.c_int, [_ADDRESS]),
    ("ggml_graph_node", _ADDRESS, [_ADDRESS, ctypes.c_int]),
    ("ggml_tensor_overhead", ctypes.c_size_t, []),
    ("ggml_init", _ADDRESS, [RawInitParams]),
    ("ggml_free", None, [_ADDRESS]),
    ("ggml_new_tensor_2d", _ADDRESS, [_ADDRESS, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]),
    ("ggml_mul_mat", _ADDRESS, [_ADDRESS, _ADDRESS, _ADDRESS]),
    ("ggml_backend_cpu_buffer_type", _ADDRESS, []),
    ("ggml_backend_buft_name", ctypes.c_char_p, [_ADDRESS]),
    ("ggml_backend_buft_get_alignment", ctypes.c_size_t, [_ADDRESS]),
    ("ggml_backend_buft_get_device", _ADDRESS, [_ADDRESS]),
    ("ggml_backend_buft_alloc_buffer", _ADDRESS, [_ADDRESS, ctypes.c_size_t]),
    ("ggml_backend_buffer_init", _ADDRESS, [_ADDRESS, RawBufferInterface, _ADDRESS, ctypes.c_size_t]),
    ("ggml_backend_buffer_free", None, [_ADDRESS]),
    ("ggml_backend_dev_by_type", _ADDRESS, [ctypes.c_int]),
    ("ggml_backend_dev_backend_reg", _ADDRESS, [_ADDRESS]),
    ("ggml_backend_dev_init", _ADDRESS, [_ADDRESS, ctypes.c_char_p]),
    ("ggml_backend_dev_get_props", None, [_ADDRESS, _ADDRESS]),
    ("ggml_backend_free", None, [_ADDRESS]),
    ("ggml_backend_reg_name", ctypes.c_char_p, [_ADDRESS]),
)


class Ggml:
    """The ggml functions that pretended devices call, with their types declared and their layouts checked."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.api_version = 0
        self.buffer_type: type[Any] = RawBufferType
        for name, result, arguments in _SIGNATURES:
            function = getattr(raw, name, None)
            if function is None:
                raise EngineError(f"this build of llama.cpp has no {name}; {_ADVICE}")
            function.restype, function.argtypes = result, arguments
        self._check_tensor()
        self._check_backend()

    @cached_property
    def cpu_buffer_type(self) -> int:
        """The address of the plain CPU buffer type."""
        return int(self.raw.ggml_backend_cpu_buffer_type())

    @cached_property
    def cpu_device(self) -> int:
        """The address of the CPU device."""
        return int(self.raw.ggml_backend_dev_by_type(0))

    def _check_tensor(self) -> None:
        raw = self.raw
        object_header = 32  # GGML_OBJECT_SIZE
        _require("ggml_tensor's size", raw.ggml_tensor_overhead() - object_header, ctypes.sizeof(RawTensor))
        context = raw.ggml_init(RawInitParams(1 << 16, None, True))
        try:
            left = raw.ggml_new_tensor_2d(context, 8, 64, 3)  # Q8_0: 34 bytes for 32 elements
            right = raw.ggml_new_tensor_2d(context, 0, 64, 5)
            product = RawTensor.from_address(raw.ggml_mul_mat(context, left, right))
            first = RawTensor.from_address(left)
            _require("ggml_tensor's type and shape", (first.type, *first.ne), (8, 64, 3, 1, 1))
            _require("ggml_tensor's strides", tuple(first.nb), (34, 68, 204, 204))
            _require("ggml_tensor's sources", tuple(product.src[:3]), (left, right, None))
            _require("ggml_tensor's operation", raw.ggml_op_name(product.op), b"MUL_MAT")
            _require("ggml_tensor's result", (product.type, *product.ne), (0, 3, 5, 1, 1))
        finally:
            raw.ggml_free(context)

    def _check_backend(self) -> None:
        """The engine's own CPU backend, read with our layouts, must be what its functions say it is."""
        raw, device = self.raw, self.cpu_device
        registry = raw.ggml_backend_dev_backend_reg(device)
        found = RawRegistry.from_address(registry)
        self.api_version = int(found.api_version)
        if self.api_version not in _BUFFER_TYPES:
            known = " or ".join(map(str, _BUFFER_TYPES))
            _require("ggml's backend API version", self.api_version, known)
        self.buffer_type = _BUFFER_TYPES[self.api_version]
        _require(
            "ggml_backend_reg's name", _text(found.get_name, registry), raw.ggml_backend_reg_name(registry)
        )
        _require("ggml_backend_device's registry", RawDevice.from_address(device).reg, registry)
        kind = self.buffer_type.from_address(self.cpu_buffer_type)
        _require(
            "ggml_backend_buffer_type's name",
            _text(kind.get_name, self.cpu_buffer_type),
            raw.ggml_backend_buft_name(self.cpu_buffer_type),
        )
        _require(
            "ggml_backend_buffer_type's device",
            kind.device,
            raw.ggml_backend_buft_get_device(self.cpu_buffer_type),
        )
        backend = raw.ggml_backend_dev_init(device, None)
        _require("ggml_backend's device", RawBackend.from_address(backend).device, device)
        raw.ggml_backend_free(backend)
        buffer = raw.ggml_backend_buft_alloc_buffer(self.cpu_buffer_type, 4096)
        made = RawBuffer.from_address(buffer)
        _require("ggml_backend_buffer's type", made.buft, self.cpu_buffer_type)
        _require("ggml_backend_buffer's size", made.size >= 4096 and made.usage == 0, True)
        raw.ggml_backend_buffer_free(buffer)
        properties = RawProperties()
        raw.ggml_backend_dev_get_props(device, ctypes.addressof(properties))
        # The CPU makes buffers of any memory, has no queues and no events (ggml-cpu.cpp).
        _require(
            "ggml_backend_dev_props' capabilities",
            (properties.type, properties.asynchronous, properties.buffer_from_host_ptr, properties.events),
            (0, False, True, False),
        )


_ADVICE = 'install "llama-cpp-python==0.3.36"'


def _require(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise EngineError(
            f"{what} is {found} in this build of llama.cpp where {wanted} was expected; {_ADVICE}"
        )


def _text(function: int | None, argument: int) -> bytes | None:
    if not function:
        return None
    found: bytes | None = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(function)(argument)
    return found


class Node:
    """One operation of the engine's graph, or a tensor it reads."""

    __slots__ = ("_raw", "address", "ggml")

    def __init__(self, ggml: Ggml, address: int) -> None:
        self.ggml = ggml
        self.address = address
        self._raw = RawTensor.from_address(address)

    @property
    def op(self) -> str:
        """The operation's name, such as "MUL_MAT"."""
        return _name(self.ggml, "ggml_op_name", self._raw.op)

    @property
    def unary(self) -> str:
        """Which function of one argument, for a "UNARY" operation."""
        return _name(self.ggml, "ggml_unary_op_name", self.ggml.raw.ggml_get_unary_op(self.address))

    @property
    def glu(self) -> str:
        """Which gated unit, for a "GLU" operation."""
        return _name(self.ggml, "ggml_glu_op_name", self.ggml.raw.ggml_get_glu_op(self.address))

    @property
    def type(self) -> str:
        """The element type's name, such as "q4_K"."""
        return _name(self.ggml, "ggml_type_name", self._raw.type)

    @property
    def quantized(self) -> bool:
        """Whether elements are stored in blocks with scales."""
        return bool(self.ggml.raw.ggml_is_quantized(self._raw.type))

    @property
    def ne(self) -> Any:
        """Elements along each of the four dimensions."""
        return self._raw.ne

    @property
    def nb(self) -> Any:
        """Bytes between neighbours along each of the four dimensions."""
        return self._raw.nb

    @property
    def op_params(self) -> Any:
        """Sixteen integers whose meaning depends on the operation."""
        return self._raw.op_params

    @property
    def view_of(self) -> tuple[int | None, int]:
        """The tensor that this is a view of, and from which byte on."""
        return self._raw.view_src, self._raw.view_offs

    @property
    def buffer_type(self) -> int | None:
        """The buffer type that it lies in; None before it has a place."""
        return RawBuffer.from_address(self._raw.buffer).buft if self._raw.buffer else None

    def source(self, index: int) -> "Node | None":
        """One of the tensors that the operation reads."""
        address = self._raw.src[index]
        return Node(self.ggml, address) if address else None

    def sources(self) -> Iterator["Node"]:
        """All tensors that the operation reads."""
        for address in self._raw.src:
            if address:
                yield Node(self.ggml, address)

    @property
    def n_bytes(self) -> int:
        """Bytes of its data."""
        return int(self.ggml.raw.ggml_nbytes(self.address))

    @property
    def n_elements(self) -> int:
        """Elements of its data."""
        return int(self.ggml.raw.ggml_nelements(self.address))

    @property
    def n_rows(self) -> int:
        """Rows of its data."""
        return int(self.ggml.raw.ggml_nrows(self.address))

    @property
    def element_bytes(self) -> int:
        """Bytes of one element, or of one block."""
        return int(self.ggml.raw.ggml_type_size(self._raw.type))

    @property
    def block_elements(self) -> int:
        """Elements of one block."""
        return int(self.ggml.raw.ggml_blck_size(self._raw.type))

    def row_bytes(self, n_elements: int) -> int:
        """Bytes of that many elements of its type."""
        return int(self.ggml.raw.ggml_row_size(self._raw.type, n_elements))

    def contiguous(self, which: str = "") -> bool:
        """Whether it lies without gaps; "_1", "_2" and "_rows" ask less."""
        return bool(getattr(self.ggml.raw, f"ggml_is_contiguous{which}")(self.address))


_NAMES: dict[tuple[str, int], str] = {}


def _name(ggml: Ggml, function: str, number: int) -> str:
    key = (function, number)
    if key not in _NAMES:
        _NAMES[key] = getattr(ggml.raw, function)(number).decode("utf-8", "replace")
    return _NAMES[key]
