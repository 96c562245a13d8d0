"""The loaded ggml: its functions declared, its structs' layouts checked before anything relies on them."""

import ctypes
from functools import cached_property
from typing import Any

from planner.bench.llama_cpp_memory import EngineError
from planner.bench.pretended.structs import (
    ADDRESS,
    BUFFER_TYPES,
    RawBackend,
    RawBuffer,
    RawBufferInterface,
    RawBufferType,
    RawDevice,
    RawInitParams,
    RawProperties,
    RawRegistry,
    RawTensor,
)

_SIGNATURES: tuple[tuple[str, Any, list[Any]], ...] = (
    ("ggml_op_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_unary_op_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_glu_op_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_get_unary_op", ctypes.c_int, [ADDRESS]),
    ("ggml_get_glu_op", ctypes.c_int, [ADDRESS]),
    ("ggml_type_name", ctypes.c_char_p, [ctypes.c_int]),
    ("ggml_type_size", ctypes.c_size_t, [ctypes.c_int]),
    ("ggml_blck_size", ctypes.c_int64, [ctypes.c_int]),
    ("ggml_row_size", ctypes.c_size_t, [ctypes.c_int, ctypes.c_int64]),
    ("ggml_is_quantized", ctypes.c_bool, [ctypes.c_int]),
    ("ggml_nbytes", ctypes.c_size_t, [ADDRESS]),
    ("ggml_nelements", ctypes.c_int64, [ADDRESS]),
    ("ggml_nrows", ctypes.c_int64, [ADDRESS]),
    ("ggml_is_contiguous", ctypes.c_bool, [ADDRESS]),
    ("ggml_is_contiguous_1", ctypes.c_bool, [ADDRESS]),
    ("ggml_is_contiguous_2", ctypes.c_bool, [ADDRESS]),
    ("ggml_is_contiguous_rows", ctypes.c_bool, [ADDRESS]),
    ("ggml_graph_n_nodes", ctypes.c_int, [ADDRESS]),
    ("ggml_graph_node", ADDRESS, [ADDRESS, ctypes.c_int]),
    ("ggml_tensor_overhead", ctypes.c_size_t, []),
    ("ggml_init", ADDRESS, [RawInitParams]),
    ("ggml_free", None, [ADDRESS]),
    ("ggml_new_tensor_2d", ADDRESS, [ADDRESS, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]),
    ("ggml_mul_mat", ADDRESS, [ADDRESS, ADDRESS, ADDRESS]),
    ("ggml_backend_cpu_buffer_type", ADDRESS, []),
    ("ggml_backend_buft_name", ctypes.c_char_p, [ADDRESS]),
    ("ggml_backend_buft_get_alignment", ctypes.c_size_t, [ADDRESS]),
    ("ggml_backend_buft_get_device", ADDRESS, [ADDRESS]),
    ("ggml_backend_buft_alloc_buffer", ADDRESS, [ADDRESS, ctypes.c_size_t]),
    ("ggml_backend_buffer_init", ADDRESS, [ADDRESS, RawBufferInterface, ADDRESS, ctypes.c_size_t]),
    ("ggml_backend_buffer_free", None, [ADDRESS]),
    ("ggml_backend_dev_by_type", ADDRESS, [ctypes.c_int]),
    ("ggml_backend_dev_backend_reg", ADDRESS, [ADDRESS]),
    ("ggml_backend_dev_init", ADDRESS, [ADDRESS, ctypes.c_char_p]),
    ("ggml_backend_dev_get_props", None, [ADDRESS, ADDRESS]),
    ("ggml_backend_free", None, [ADDRESS]),
    ("ggml_backend_reg_name", ctypes.c_char_p, [ADDRESS]),
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
        if self.api_version not in BUFFER_TYPES:
            known = " or ".join(map(str, BUFFER_TYPES))
            _require("ggml's backend API version", self.api_version, known)
        self.buffer_type = BUFFER_TYPES[self.api_version]
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
