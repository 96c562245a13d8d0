"""CUDA (and ROCm, which compiles the same source): what it computes and how much a tensor takes.

From ggml-cuda.cu (supports_op, get_alloc_size) and fattn.cu of the llama.cpp in llama-cpp-python 0.3.36.
"""

from planner.bench.pretended.tensors import Node

_ROW_PADDING = 512  # MATRIX_ROW_PADDING: the last row of a quantized matrix is read to a multiple of it
_MATMUL_TYPES = frozenset(
    ("f32", "f16", "bf16", "q1_0", "q2_0", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4", "nvfp4", "q2_K",
     "q3_K", "q4_K", "q5_K", "q6_K", "q8_K", "iq1_m", "iq1_s", "iq2_s", "iq2_xs", "iq2_xxs", "iq3_s", "iq3_xxs",
     "iq4_nl", "iq4_xs")
)  # fmt: skip
_ROW_TYPES = (_MATMUL_TYPES | {"i32"}) - {"mxfp4", "nvfp4", "iq4_nl", "q8_K"}
_CACHE_TYPES = frozenset(("f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl"))
_ATTENTION_TYPES = _CACHE_TYPES - {"iq4_nl"}
_FLOATS = frozenset(("f32", "f16", "bf16"))
_UNARY = frozenset(
    ("ABS", "SGN", "NEG", "STEP", "GELU", "SILU", "RELU", "SIGMOID", "HARDSIGMOID", "HARDSWISH", "GELU_ERF",
     "GELU_QUICK", "TANH", "EXP", "EXPM1", "SOFTPLUS", "ELU", "XIELU", "FLOOR", "CEIL", "ROUND", "TRUNC")
)  # fmt: skip
_ALWAYS = frozenset(
    ("NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE", "ADD_ID", "ADD1", "SQR", "SQRT", "SIN", "COS", "CLAMP",
     "LOG", "DUP", "ARGMAX", "COUNT_EQUAL", "CONT", "DIAG_MASK_INF", "SOFT_MAX", "CONV_TRANSPOSE_2D", "POOL_1D",
     "POOL_2D", "TOP_K", "ARGSORT", "PAD", "UPSCALE", "PAD_REFLECT_1D", "ARANGE", "TIMESTEP_EMBEDDING",
     "LEAKY_RELU", "RWKV_WKV6", "GATED_LINEAR_ATTN", "RWKV_WKV7", "GATED_DELTA_NET", "FILL", "CUMSUM", "TRI",
     "DIAG", "SOLVE_TRI", "DSV4_HC_COMB", "DSV4_HC_PRE", "DSV4_HC_POST")
)  # fmt: skip
_EQUAL_HEADS = frozenset((40, 64, 72, 80, 96, 112, 128, 256))
# Key head size: value head size, and by what the heads in a group must divide (fattn.cu).
_UNEQUAL_HEADS = {192: (128, 8), 320: (256, 32), 512: (512, 2), 576: (512, 2)}


def alloc_bytes(node: Node) -> int:
    """Bytes for a tensor: its data, row padding, and room for F16 copies of K and V beside an attention result."""
    size = _attention_bytes(node) if node.op == "FLASH_ATTN_EXT" else node.n_bytes
    rest = node.ne[0] % _ROW_PADDING
    if rest and node.quantized:
        size += node.row_bytes(_ROW_PADDING - rest)
    return size


def _attention_bytes(node: Node) -> int:
    """ggml_cuda_flash_attn_ext_get_alloc_size: kernels for prompts want F16, so other types are converted."""
    size = node.n_bytes
    if not attention_supported(node):
        return size
    key, value = node.source(1), node.source(2)
    assert key is not None
    assert value is not None
    if _vector_kernel(node):
        convert_key, convert_value = key.type == "f32", value.type == "f32"
        if (key.type, value.type) not in _VECTOR_PAIRS:
            convert_key = convert_value = True
    else:
        convert_key = convert_value = True
    if convert_key and key.type != "f16":
        size = _padded(size, 128) + 2 * key.n_elements
    if convert_value and value.type != "f16" and not _is_view_of(value, key):
        size = _padded(size, 128) + 2 * value.n_elements
    return size


# GGML_CUDA_FA_QUANTS' default in ggml/CMakeLists.txt.
_VECTOR_PAIRS = frozenset((("q4_0", "q4_0"), ("q8_0", "q8_0"), ("f16", "f16"), ("bf16", "bf16")))


def _vector_kernel(node: Node) -> bool:
    """Whether the kernel for single tokens is chosen; as on Turing and later, where it matters for few tokens only."""
    query, key = node.source(0), node.source(1)
    assert query is not None
    assert key is not None
    head = query.ne[0]
    return bool(
        query.ne[1] == 1
        and head <= 256
        and head % 64 == 0
        and head != 192
        and key.ne[1] % 256 == 0
        and key.quantized
    )


def attention_supported(node: Node) -> bool:
    """ggml_cuda_get_best_fattn_kernel: whether there is any kernel for these head sizes and types."""
    query, key, value, mask = (node.source(index) for index in range(4))
    assert query is not None
    assert key is not None
    assert value is not None
    group = query.ne[2] // key.ne[2]
    grouped = group >= 2 and mask is not None and _alibi(node) == 0 and key.ne[1] % 256 == 0
    for tensor in (query, key, value, mask):
        if tensor is not None and not tensor.quantized and any(tensor.nb[i] % 16 for i in (1, 2, 3)):
            grouped = False
    head = key.ne[0]
    if head in _EQUAL_HEADS:
        if value.ne[0] != head:
            return False
    elif head in _UNEQUAL_HEADS:
        value_head, multiple = _UNEQUAL_HEADS[head]
        if value.ne[0] != value_head or not grouped:
            return False
        if multiple > 2 and group % multiple:
            return False
    else:
        return False
    if key.type not in _ATTENTION_TYPES or value.type not in _ATTENTION_TYPES:
        return False
    return mask is None or mask.ne[2] == 1


def _alibi(node: Node) -> int:
    return int(node.op_params[1])  # max_bias, a float whose bits are zero when it is zero


def _is_view_of(value: Node, key: Node) -> bool:
    value_source, value_offset = value.view_of
    key_source, key_offset = key.view_of
    return value_source is not None and (
        value_source == key.address or (value_source == key_source and value_offset == key_offset)
    )


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def supports(node: Node) -> bool:
    """ggml_backend_cuda_device_supports_op, for the operations that language models use."""
    op = node.op
    if op in _ALWAYS:
        return True
    if op == "FLASH_ATTN_EXT":
        return attention_supported(node)
    if op in ("MUL_MAT", "MUL_MAT_ID"):
        return _matmul(node)
    first, second = node.source(0), node.source(1)
    if first is None:
        return False
    rule = _RULES.get(op)
    return rule is not None and rule(node, first, second)


def _matmul(node: Node) -> bool:
    weights, inputs = node.source(0), node.source(1)
    assert weights is not None
    assert inputs is not None
    if weights.nb[0] != weights.element_bytes or inputs.nb[0] != inputs.element_bytes:
        return False
    if inputs.type == "f16" and weights.type != "f16":
        return False
    if node.op == "MUL_MAT_ID" and node.op_params[3] == 10:  # GGML_PREC_F32
        return False
    return weights.type in _MATMUL_TYPES


def _arithmetic(node: Node, first: Node, second: Node | None) -> bool:
    types = (first.type, second.type if second else "f32", node.type)
    if "bf16" in types:
        return first.type == node.type == "bf16" and types[1] in ("bf16", "f32")
    return all(name in ("f32", "f16") for name in types)


def _get_rows(_: Node, first: Node, __: Node | None) -> bool:
    return first.type in _ROW_TYPES or (first.type in ("iq4_nl", "mxfp4") and first.ne[0] % 256 == 0)


def _set_rows(node: Node, first: Node, second: Node | None) -> bool:
    fits = (node.type in _CACHE_TYPES and first.type == "f32") or node.type == first.type == "f16"
    return fits and second is not None and second.type in ("i64", "i32")


def _copy(_: Node, first: Node, second: Node | None) -> bool:
    if second is None:
        return False
    pair = (first.type, second.type)
    if set(pair) <= _FLOATS or set(pair) <= {"f32", "i32"}:
        return True
    if pair[0] == "f32" and pair[1] in _CACHE_TYPES:
        return True
    if pair[1] == "f32" and pair[0] in _CACHE_TYPES - {"iq4_nl"}:
        return True
    return pair[0] == pair[1] and first.contiguous() and second.contiguous()


def _concat(node: Node, first: Node, second: Node | None) -> bool:
    return second is not None and first.type == second.type == node.type


def _state_scan(node: Node, first: Node, _: Node | None) -> bool:
    decay, fourth = node.source(3), node.source(4)
    assert decay is not None
    assert fourth is not None
    if decay.ne[0] == 1:  # Mamba 2
        return first.ne[0] in (96, 128, 256) and first.ne[1] % 16 == 0
    return bool(
        node.op_params[0] <= 1
        and first.ne[0] == 16
        and first.ne[1] == 1
        and first.ne[2] % 128 == 0
        and fourth.ne[1] == 1
    )


def _indexer(_: Node, first: Node, __: Node | None) -> bool:
    return first.ne[0] == 128 and first.ne[1] in (32, 64)


_RULES = {
    "UNARY": lambda node, first, _: node.unary in _UNARY and first.contiguous(),
    "GLU": lambda _, first, __: first.contiguous("_1"),
    "GET_ROWS": _get_rows,
    "SET_ROWS": _set_rows,
    "SET": lambda node, first, _: node.type == first.type and node.type in ("f32", "i32"),
    "CPY": _copy,
    "REPEAT": lambda _, first, __: first.type in ("f32", "f16"),
    "CONCAT": _concat,
    "NORM": lambda _, first, __: first.contiguous("_rows"),
    "RMS_NORM": lambda _, first, __: first.contiguous("_rows"),
    "L2_NORM": lambda _, first, __: first.contiguous("_rows"),
    "GROUP_NORM": lambda _, first, __: first.contiguous(),
    "SCALE": lambda node, first, _: first.type == node.type and first.type in ("f32", "bf16"),
    "ADD": _arithmetic,
    "SUB": _arithmetic,
    "MUL": _arithmetic,
    "DIV": _arithmetic,
    "SSM_SCAN": _state_scan,
    "SSM_CONV": lambda _, first, __: first.ne[1] % 128 == 0,
    "ROLL": lambda _, first, __: first.type == "f32" and first.contiguous(),
    "ROPE": lambda _, first, __: first.nb[0] == first.element_bytes and first.contiguous("_2"),
    "IM2COL": lambda _, first, second: first.contiguous() and second is not None and second.contiguous(),
    "ACC": lambda _, first, second: first.contiguous() and second is not None and second.contiguous(),
    "SUM": lambda _, first, __: first.contiguous("_rows"),
    "SUM_ROWS": lambda _, first, __: first.type == "f32" and first.contiguous("_rows"),
    "MEAN": lambda _, first, __: first.type == "f32" and first.contiguous("_rows"),
    "OUT_PROD": lambda node, first, _: node.type == first.type == "f32",
    "LIGHTNING_INDEXER": _indexer,
}
