"""ggml's structs as ctypes sees them; `ggml` checks them against the loaded library."""

import ctypes

MAX_SOURCES = 10
ADDRESS = ctypes.c_void_p


class RawTensor(ctypes.Structure):
    """ggml_tensor of ggml.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ADDRESS),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ADDRESS * MAX_SOURCES),
        ("view_src", ADDRESS),
        ("view_offs", ctypes.c_size_t),
        ("data", ADDRESS),
        ("name", ctypes.c_char * 64),
        ("extra", ADDRESS),
        ("padding", ctypes.c_char * 8),
    )


class RawBufferType(ctypes.Structure):
    """ggml_backend_buffer_type: six functions, device, context."""

    _fields_ = (
        ("get_name", ADDRESS),
        ("alloc_buffer", ADDRESS),
        ("get_alignment", ADDRESS),
        ("get_max_size", ADDRESS),
        ("get_alloc_size", ADDRESS),
        ("is_host", ADDRESS),
        ("device", ADDRESS),
        ("context", ADDRESS),
    )


class RawBufferTypeOfThree(ctypes.Structure):
    """ggml_backend_buffer_type since API version 3, which allocates several buffers at once."""

    _fields_ = tuple(
        (name, ADDRESS)
        for name in (
            "get_name", "alloc_buffer", "alloc_buffer_n", "get_alignment", "get_max_size", "get_alloc_size",
            "get_alloc_size_n", "is_host", "device", "context",
        )
    )  # fmt: skip


# By GGML_BACKEND_API_VERSION (ggml-backend-impl.h): 2 in llama-cpp-python 0.3.36, 3 in llama.cpp since b11500.
BUFFER_TYPES: dict[int, type[ctypes.Structure]] = {2: RawBufferType, 3: RawBufferTypeOfThree}


class RawBufferInterface(ctypes.Structure):
    """ggml_backend_buffer_i: eleven functions."""

    _fields_ = tuple(
        (name, ADDRESS)
        for name in (
            "free_buffer", "get_base", "init_tensor", "memset_tensor", "set_tensor", "get_tensor",
            "set_tensor_2d", "get_tensor_2d", "cpy_tensor", "clear", "reset",
        )
    )  # fmt: skip


class RawBuffer(ctypes.Structure):
    """ggml_backend_buffer."""

    _fields_ = (
        ("iface", RawBufferInterface),
        ("buft", ADDRESS),
        ("context", ADDRESS),
        ("size", ctypes.c_size_t),
        ("usage", ctypes.c_int),
    )


class RawBackend(ctypes.Structure):
    """ggml_backend: an id, sixteen functions, device, context."""

    _fields_ = tuple(
        (name, ADDRESS)
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
        (name, ADDRESS)
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
        ("get_name", ADDRESS),
        ("get_device_count", ADDRESS),
        ("get_device", ADDRESS),
        ("get_proc_address", ADDRESS),
        ("context", ADDRESS),
    )


class RawProperties(ctypes.Structure):
    """ggml_backend_dev_props with its capabilities."""

    _fields_ = (
        ("name", ADDRESS),
        ("description", ADDRESS),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ADDRESS),
        ("asynchronous", ctypes.c_bool),
        ("host_buffer", ctypes.c_bool),
        ("buffer_from_host_ptr", ctypes.c_bool),
        ("events", ctypes.c_bool),
        ("mmap_support", ctypes.c_bool),
    )


class RawOptimizeParams(ctypes.Structure):
    """ggml_backend_graph_optimize_params."""

    _fields_ = (("add_alloc_dep", ADDRESS), ("user_data", ADDRESS))


class RawEvent(ctypes.Structure):
    """ggml_backend_event."""

    _fields_ = (("device", ADDRESS), ("context", ADDRESS))


class RawInitParams(ctypes.Structure):
    """ggml_init_params of ggml.h."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ADDRESS), ("no_alloc", ctypes.c_bool))
