"""Metal: what it computes and how much a tensor takes.

From ggml-metal.cpp (get_alloc_size), ggml-metal-ops.cpp (the extra_* functions) and ggml-metal-device.m
(supports_op) of the llama.cpp in llama-cpp-python 0.3.36, for an Apple M1 or later: SIMD-group reductions and
matrices, and bfloat16.
"""

from planner.bench.pretended.tensors import Node

_HEADS = frozenset((32, 40, 48, 64, 72, 80, 96, 112, 128, 192, 256, 320, 512, 576))
_ATTENTION_TYPES = frozenset(("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"))
_CONVERTED_TYPES = frozenset(("q8_0", "q4_0", "q4_1", "q5_0", "q5_1"))
_CONCAT_TYPES = _CONVERTED_TYPES | {"f32", "f16", "bf16", "i8", "i16", "i32", "i64"}
_FLOATS = ("f32", "f16")
_COPY_TARGETS = {
    "f32": _CONVERTED_TYPES | {"f32", "f16", "bf16", "q1_0", "q2_0", "iq4_nl", "tq2_0", "i32"},
    "f16": frozenset(_FLOATS),
    "bf16": frozenset(("f32", "bf16")),
    "i32": frozenset(("f32", "i32")),
    **{name: frozenset(_FLOATS) for name in (*_CONVERTED_TYPES, "q1_0", "q2_0", "tq2_0")},
}
_ROW_TARGETS = _CONVERTED_TYPES | {"f32", "f16", "bf16", "iq4_nl", "tq2_0"}
_UNARY = frozenset(
    ("TANH", "RELU", "SIGMOID", "GELU", "GELU_ERF", "GELU_QUICK", "SILU", "ELU", "NEG", "ABS", "SGN", "STEP",
     "HARDSWISH", "HARDSIGMOID", "EXP", "SOFTPLUS", "EXPM1", "FLOOR", "CEIL", "ROUND", "TRUNC", "XIELU")
)  # fmt: skip
_ALWAYS = frozenset(
    ("NONE", "RESHAPE", "VIEW", "TRANSPOSE", "PERMUTE", "REPEAT", "ROPE", "ROPE_BACK", "ARGSORT", "TOP_K", "ARANGE",
     "ARGMAX", "DIAG", "RWKV_WKV6", "RWKV_WKV7", "SSM_SCAN", "SSM_CONV", "CONV_TRANSPOSE_1D")
)  # fmt: skip
# OP_FLASH_ATTN_EXT_* of ggml-metal-impl.h: queries and cache cells for each group of threads.
_QUERIES, _CELLS = 8, 64
_VECTOR_QUERIES, _VECTOR_CELLS = 1, 32
_VECTOR_BATCH = 20  # fewer queries take the kernel for single tokens
_CONVERT_BATCH = 32  # from so many queries on, a quantized cache is converted first
_WORKGROUPS = 32
_MOST_SPARSE_CELLS = 4096


def alloc_bytes(node: Node) -> int:
    """Bytes for a tensor: its data and what some operations put beside their result."""
    op = node.op
    if op == "MUL_MAT_ID":
        weights, chosen = node.source(0), node.source(2)
        assert weights is not None
        assert chosen is not None
        experts = weights.ne[2]
        return int(node.n_bytes + 4 * experts + 4 * experts * chosen.ne[1] + 8 + 256 * 4)
    if op == "FLASH_ATTN_EXT":
        return node.n_bytes + _attention_extra(node)
    if op in ("CUMSUM", "ARGSORT"):
        return 2 * node.n_bytes
    if op == "TOP_K":
        first = node.source(0)
        assert first is not None
        return 8 * first.n_elements
    return node.n_bytes


def _attention_extra(node: Node) -> int:
    """Padding of the cache's last cells, a map of masked blocks, partial results, and K and V in F16."""
    query, key, value, mask = (node.source(index) for index in range(4))
    assert query is not None
    assert key is not None
    assert value is not None
    is_view = _is_view_of(value, key)
    converted = query.ne[1] >= _CONVERT_BATCH and key.type in _CONVERTED_TYPES
    key_row, value_row = key.nb[1], value.nb[1]
    if converted:
        key_row, value_row = 2 * key.ne[0], 2 * (key.ne[0] if is_view else value.ne[0])
    extra = _CELLS * (key_row * key.ne[2] * key.ne[3] + value_row * value.ne[2] * value.ne[3])
    if mask is not None:
        extra += _CELLS * 2 * mask.ne[1] * mask.ne[2] * mask.ne[3]
        vector = query.ne[1] < _VECTOR_BATCH and query.ne[0] % 32 == 0
        queries, cells = (_VECTOR_QUERIES, _VECTOR_CELLS) if vector else (_QUERIES, _CELLS)
        blocks = -(-query.ne[1] // queries) * -(-mask.ne[0] // cells) * mask.ne[2] * mask.ne[3]
        extra += _padded(blocks, 32)
        sparse = node.op_params[4]
        if 0 < sparse <= _MOST_SPARSE_CELLS:
            rows = mask.ne[1] * mask.ne[2] * mask.ne[3]
            extra += _padded(4 * _padded(sparse, _VECTOR_CELLS) * rows, 16)
    extra += 4 * min(query.ne[1], 32) * query.ne[2] * query.ne[3] * _WORKGROUPS * (value.ne[0] + 2)
    extra += _padded(2 * key.n_elements, 16)
    if not is_view:
        extra += _padded(2 * value.n_elements, 16)
    return int(extra)


def _is_view_of(value: Node, key: Node) -> bool:
    value_source, value_offset = value.view_of
    key_source, key_offset = key.view_of
    return value_source is not None and (
        value_source == key.address or (value_source == key_source and value_offset == key_offset)
    )


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def supports(node: Node) -> bool:
    """ggml_metal_device_supports_op, for the operations that language models use."""
    op = node.op
    if op in _ALWAYS:
        return True
    first = node.source(0)
    rule = _RULES.get(op)
    return first is not None and rule is not None and rule(node, first)


def _matmul(node: Node, weights: Node) -> bool:
    inputs = node.source(1)
    assert inputs is not None
    if weights.type in ("nvfp4", "tq1_0"):
        return False
    if inputs.type != "f16":
        return True
    # The kernels for matrices take F16 inputs, those for vectors only with F16 weights.
    return weights.type != "bf16" and (weights.type == "f16" or node.ne[1] > 8)


def _attention(node: Node, query: Node) -> bool:
    key, value = node.source(1), node.source(2)
    assert key is not None
    assert value is not None
    if query.ne[0] not in _HEADS or key.ne[0] < value.ne[0] or (key.ne[0] == 72 and value.ne[0] != 72):
        return False
    return key.type == value.type and key.type in _ATTENTION_TYPES


def _arithmetic(node: Node, first: Node) -> bool:
    second = node.source(1)
    assert second is not None
    return (
        first.contiguous("_rows")
        and second.contiguous("_rows")
        and first.type in _FLOATS
        and first.type == second.type
    )


def _set_rows(node: Node, first: Node) -> bool:
    return node.type == "f16" if first.type == "f16" else first.type == "f32" and node.type in _ROW_TARGETS


def _concat(node: Node, first: Node) -> bool:
    second = node.source(1)
    return second is not None and first.type == second.type == node.type and first.type in _CONCAT_TYPES


def _copy(node: Node, first: Node) -> bool:
    return node.type in _COPY_TARGETS.get(first.type, frozenset())


def _delta_net(node: Node, _: Node) -> bool:
    value = node.source(2)
    return value is not None and value.ne[0] % 32 == 0


def _float_rows(_: Node, first: Node) -> bool:
    return first.contiguous("_rows") and first.type in _FLOATS


def _rows(_: Node, first: Node) -> bool:
    return first.contiguous("_rows")


def _f32(_: Node, first: Node) -> bool:
    return bool(first.type == "f32")


_RULES = {
    **dict.fromkeys(("SCALE", "FILL", "CLAMP", "SQR", "SQRT", "SIN", "COS", "LOG"), _float_rows),
    "UNARY": lambda node, first: node.unary in _UNARY and _float_rows(node, first),
    "GLU": lambda _, first: first.contiguous("_1") and first.type in _FLOATS,
    "CONCAT": _concat,
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "ADD_ID"), _arithmetic),
    "ACC": lambda _, first: first.contiguous("_rows") and first.type == "f32",
    "SUM": lambda _, first: first.contiguous(),
    **dict.fromkeys(
        ("TRI", "SUM_ROWS", "CUMSUM", "MEAN", "SOFT_MAX", "GROUP_NORM", "L2_NORM", "NORM", "RMS_NORM"), _rows
    ),
    "IM2COL": lambda node, _: node.type in _FLOATS,
    **dict.fromkeys(("UPSCALE", "PAD", "PAD_REFLECT_1D", "TIMESTEP_EMBEDDING", "SOLVE_TRI"), _f32),
    "LEAKY_RELU": lambda _, first: first.type in _FLOATS,
    "ROLL": lambda _, first: first.contiguous(),
    "FLASH_ATTN_EXT": _attention,
    "LIGHTNING_INDEXER": lambda _, first: first.ne[0] == 128 and first.ne[1] == 64,
    **dict.fromkeys(("DSV4_HC_COMB", "DSV4_HC_PRE", "DSV4_HC_POST"), _f32),
    "GATED_DELTA_NET": _delta_net,
    "MUL_MAT": _matmul,
    "MUL_MAT_ID": _matmul,
    **dict.fromkeys(("SET", "CPY", "DUP", "CONT"), _copy),
    "GET_ROWS": lambda _, first: first.type not in ("nvfp4", "tq1_0"),
    "SET_ROWS": _set_rows,
}
