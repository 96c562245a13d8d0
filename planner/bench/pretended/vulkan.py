"""Vulkan: what it computes and how much a tensor takes.

From ggml-vulkan.cpp (supports_op, get_alloc_size) of the llama.cpp in llama-cpp-python 0.3.36, for a current
driver: subgroup shuffles and votes, 64-bit addresses in shaders, a shader for the experts of every type.
"""

from planner.bench.pretended.tensors import Node

_LARGEST_TENSOR_BYTES = 2**32 - 4  # maxStorageBufferRange, and maxBufferSize, of current drivers
_MATMUL_TYPES = frozenset(
    ("f32", "f16", "bf16", "q1_0", "q2_0", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K",
     "q6_K", "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs", "iq4_nl", "mxfp4",
     "nvfp4", "tq1_0", "tq2_0")
)  # fmt: skip
_ROW_TYPES = _MATMUL_TYPES | {"i32"}
_CACHE_TYPES = frozenset(
    ("f32", "f16", "bf16", "q1_0", "q2_0", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl")
)
_ATTENTION_TYPES = _CACHE_TYPES - {"q1_0", "q2_0"}
_UNARY = frozenset(
    ("EXP", "EXPM1", "ELU", "GELU", "GELU_ERF", "GELU_QUICK", "SILU", "RELU", "XIELU", "NEG", "TANH", "SIGMOID",
     "HARDSIGMOID", "HARDSWISH", "ABS", "SOFTPLUS", "STEP", "ROUND", "CEIL", "FLOOR", "TRUNC", "SGN")
)  # fmt: skip
_FLOATS = ("f32", "f16")
_ALWAYS = frozenset(
    ("NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE", "RMS_NORM", "ROPE_BACK", "RWKV_WKV6", "RWKV_WKV7",
     "ARANGE", "FILL", "TIMESTEP_EMBEDDING")
)  # fmt: skip


def alloc_bytes(node: Node) -> int:
    """Bytes for a tensor: just its data."""
    return node.n_bytes


def supports(node: Node) -> bool:
    """ggml_backend_vk_device_supports_op, for the operations that language models use."""
    if any(each.n_bytes > _LARGEST_TENSOR_BYTES for each in (node, *node.sources())):
        return False
    op = node.op
    if op in _ALWAYS:
        return True
    first = node.source(0)
    rule = _RULES.get(op)
    return first is not None and rule is not None and rule(node, first)


def _matmul(node: Node, weights: Node) -> bool:
    inputs, chosen = node.source(1), node.source(2)
    assert inputs is not None
    if node.op == "MUL_MAT_ID" and node.op_params[3] == 10:  # GGML_PREC_F32
        return False
    if weights.type not in _MATMUL_TYPES:
        return False
    if (weights if chosen is None else chosen).ne[3] != inputs.ne[3]:
        return False
    if not (_packed(weights) or weights.type in ("f32", "f16", "bf16")):
        return False
    if not (_packed(inputs) or inputs.type in _FLOATS):
        return False
    if weights.type == "bf16" and inputs.type == "f16":
        return False
    return inputs.type != "bf16" or weights.type == "bf16"


def _packed(node: Node) -> bool:
    """ggml_vk_dim01_contiguous: rows lie without gaps, one after another."""
    return bool(
        node.nb[0] == node.element_bytes
        and node.nb[1] == (node.nb[0] * node.ne[0]) // node.block_elements
        and (node.ne[3] == 1 or node.nb[3] == node.nb[2] * node.ne[2])
    )


def _attention(node: Node, query: Node) -> bool:
    key, value, mask, sinks = (node.source(index) for index in range(1, 5))
    assert key is not None
    assert value is not None
    if key.ne[0] % 8 or value.ne[0] % 8 or query.type != "f32" or node.type != "f32":
        return False
    if (sinks is not None and sinks.type != "f32") or (mask is not None and mask.type != "f16"):
        return False
    if key.type not in _ATTENTION_TYPES or value.type not in _ATTENTION_TYPES:
        return False
    return (key.type == "bf16") == (value.type == "bf16")


def _set_rows(node: Node, first: Node) -> bool:
    places = node.source(1)
    return (
        first.type in _FLOATS
        and places is not None
        and places.type in ("i32", "i64")
        and node.type in _CACHE_TYPES
    )


def _copy(node: Node, first: Node) -> bool:
    second = node.source(1)
    target = first.type if second is None else second.type
    if (first.type == "f32" and target in _CACHE_TYPES) or (target == "f32" and first.type in _CACHE_TYPES):
        return True
    if {first.type, target} in ({"f16"}, {"f32", "i32"}):
        return True
    same = first.type == target and first.element_bytes % 2 == 0
    return same and (not first.quantized or (first.contiguous() and node.contiguous()))


def _arithmetic(node: Node, first: Node) -> bool:
    second = node.source(1)
    return second is not None and all(each.type in _FLOATS for each in (node, first, second))


def _add_id(node: Node, first: Node) -> bool:
    second = node.source(1)
    return node.type == first.type == "f32" and second is not None and second.type == "f32"


def _soft_max(node: Node, first: Node) -> bool:
    mask = node.source(1)
    return first.contiguous() and first.type == "f32" and (mask is None or mask.type in _FLOATS)


def _concat(node: Node, first: Node) -> bool:
    second = node.source(1)
    return second is not None and first.type == second.type == node.type


def _state_scan(node: Node, first: Node) -> bool:
    decay = node.source(3)
    if first.type != "f32" or decay is None or decay.nb[1] != 4:  # only Mamba 2
        return False
    return first.ne[0] in (128, 256) and first.ne[1] % 16 == 0


def _delta_net(node: Node, _: Node) -> bool:
    value = node.source(2)
    return (
        value is not None
        and value.ne[0] in (16, 32, 64, 128)
        and all(each.type == "f32" for each in node.sources())
    )


def _floats(node: Node, first: Node) -> bool:
    return first.type in _FLOATS and node.type == first.type


def _f32(_: Node, first: Node) -> bool:
    return bool(first.type == "f32")


def _f32_rows(_: Node, first: Node) -> bool:
    return first.type == "f32" and first.contiguous("_rows")


_RULES = {
    "UNARY": lambda node, first: node.unary in _UNARY and _floats(node, first),
    "GLU": _floats,
    "MUL_MAT": _matmul,
    "MUL_MAT_ID": _matmul,
    "FLASH_ATTN_EXT": _attention,
    "GET_ROWS": lambda _, first: first.type in _ROW_TYPES,
    "SET_ROWS": _set_rows,
    "CONT": _copy,
    "CPY": _copy,
    "DUP": _copy,
    "REPEAT": lambda node, first: node.element_bytes == first.element_bytes and node.element_bytes in (2, 4),
    "ROPE": lambda node, first: node.contiguous("_rows") and first.contiguous("_rows"),
    "GROUP_NORM": lambda _, first: first.contiguous(),
    "NORM": _f32,
    "L2_NORM": _f32,
    "ADD": _arithmetic,
    "SUB": _arithmetic,
    "MUL": _arithmetic,
    "DIV": _arithmetic,
    "ADD_ID": _add_id,
    "ADD1": _arithmetic,
    "SQR": _floats,
    "SQRT": _floats,
    "SIN": _floats,
    "COS": _floats,
    "CLAMP": _floats,
    "LEAKY_RELU": _floats,
    "LOG": _floats,
    "TRI": _floats,
    "DIAG": _floats,
    "ARGSORT": lambda node, first: node.contiguous() and first.contiguous(),
    "TOP_K": lambda node, first: node.contiguous() and first.contiguous(),
    "ACC": _f32,
    "SET": lambda node, first: node.type == first.type and node.type in ("f32", "i32"),
    "CONCAT": _concat,
    "SCALE": lambda _, first: first.contiguous() and first.type == "f32",
    "PAD": _f32,
    "ROLL": _f32,
    "DIAG_MASK_INF": lambda _, first: first.contiguous() and first.type == "f32",
    "SOFT_MAX": _soft_max,
    "SUM": _f32_rows,
    "SUM_ROWS": _f32_rows,
    "MEAN": _f32_rows,
    "CUMSUM": _f32_rows,
    "SOLVE_TRI": _f32,
    "ARGMAX": lambda _, first: first.contiguous() and first.type == "f32",
    "IM2COL": lambda node, _: node.type in _FLOATS,
    "GATED_LINEAR_ATTN": lambda _, first: first.type == "f32" and first.ne[0] == 64,
    "LIGHTNING_INDEXER": lambda _, first: first.ne[0] == 128,
    "GATED_DELTA_NET": _delta_net,
    "SSM_SCAN": _state_scan,
    "SSM_CONV": _f32,
    "DSV4_HC_COMB": _f32,
    "DSV4_HC_PRE": lambda _, first: first.type == "f32" and first.ne[1] == 4,
    "DSV4_HC_POST": _f32,
}
