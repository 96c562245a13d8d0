"""The process in which llama.cpp decides for itself what to put where (--fit), on GPUs that need not exist.

Run as `python -P -m planner.bench.fit_child`. It reads one JSON request, answers in one JSON line, and is apart
from planner.bench.referee_child because two builds of llama.cpp do not live in one process.
"""

import ctypes
import json
import os
import resource
import sys
import threading
import time
import traceback
from typing import Any

from planner.bench.llama_cpp_library import GGML_TYPES
from planner.bench.llama_cpp_memory import EngineError, EngineLog
from planner.bench.plan_question import PlanQuestion
from planner.bench.pretended.devices import PretendedMachine
from planner.bench.pretended.ggml import Ggml

# common_fit_params of common/fit.h: the name says the types of all nine arguments.
FIT_SYMBOL = (
    "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPf"
    "P32llama_model_tensor_buft_overridePmjPK22common_fit_extra_model14ggml_log_level"
)
_LEAST_CONTEXT_TOKENS = 4096  # --fit-ctx
_LOG_WARN = 3
_MOST_OVERRIDES = 4096  # llama_max_tensor_buft_overrides
_FITTED = {0: True, 1: False}  # enum common_params_fit_status; 2 is an error
_SPARE_BYTES = 512  # behind what we know of a struct, for fields that newer builds add at its end


class _ModelParams(ctypes.Structure):
    """llama_model_params of llama.h."""

    _fields_ = (
        ("devices", ctypes.c_void_p),
        ("tensor_buft_overrides", ctypes.c_void_p),
        ("n_gpu_layers", ctypes.c_int32),
        ("split_mode", ctypes.c_int),
        ("load_mode", ctypes.c_int),
        ("lazy_mode", ctypes.c_int),
        ("main_gpu", ctypes.c_int32),
        ("tensor_split", ctypes.c_void_p),
        ("progress", ctypes.c_void_p * 2),
        ("kv_overrides", ctypes.c_void_p),
        ("flags", ctypes.c_bool * 6),
        ("spare", ctypes.c_uint8 * _SPARE_BYTES),
    )


class _ContextParams(ctypes.Structure):
    """llama_context_params of llama.h; its flags begin at 128, or at 136 since builds have moe_cache_size."""

    _fields_ = (
        ("n_ctx", ctypes.c_uint32),
        ("n_batch", ctypes.c_uint32),
        ("n_ubatch", ctypes.c_uint32),
        ("n_seq_max", ctypes.c_uint32),
        ("counts", ctypes.c_uint32 * 3),
        ("threads", ctypes.c_int32 * 2),
        ("kinds", ctypes.c_int * 4),
        ("flash_attn_type", ctypes.c_int),
        ("floats", ctypes.c_float * 8),
        ("evaluation", ctypes.c_void_p * 2),
        ("type_k", ctypes.c_int),
        ("type_v", ctypes.c_int),
        ("abort", ctypes.c_void_p * 2),
        ("rest", ctypes.c_uint8 * _SPARE_BYTES),
    )


_FLAG_DEFAULTS = (0, 1, 1, 1, 1, 0)  # embeddings, offload_kqv, no_perf, op_offload, swa_full, kv_unified
_FLAG_OFFSETS = (0, 8)  # in `rest`
_OFFLOAD_KQV, _OP_OFFLOAD, _SWA_FULL, _KV_UNIFIED = 1, 3, 4, 5


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override of llama.h."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def main() -> int:
    """Serves one request."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.unraisablehook = _die  # an error in a callback would otherwise be taken for the answer 0
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answer
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    request = json.loads(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = {"event": "fit", **_decide(request)}
    except (EngineError, OSError) as error:
        answer = {"event": "error", "message": " ".join(str(error).split())}
    pipe.write(json.dumps(answer) + "\n")
    pipe.write(json.dumps({"event": "done"}) + "\n")
    pipe.flush()
    os._exit(0)  # the library's own clean-up meets devices that it never made


def _decide(request: dict[str, Any]) -> dict[str, Any]:
    question = PlanQuestion.from_data(request["question"])
    raw = ctypes.CDLL(request["library"])
    decide = getattr(raw, FIT_SYMBOL, None)
    if decide is None:
        raise EngineError(f"{request['library']} has no --fit of the kind that is known here")
    log = EngineLog()
    log_type = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    callback = log_type(lambda level, text, _: log.add(level, text.decode("utf-8", "replace")))
    raw.llama_log_set.argtypes = [log_type, ctypes.c_void_p]
    raw.llama_log_set(callback, None)
    raw.llama_backend_init()
    model, context, flags_at = _defaults(raw)
    ggml = Ggml(raw)
    machine = PretendedMachine(ggml, question.gpus) if question.gpus else None
    devices = machine.device_addresses if machine else []
    device_list = (ctypes.c_void_p * (len(devices) + 1))(*devices, None)
    model.devices = ctypes.addressof(device_list)
    context.n_ctx, context.n_batch, context.n_ubatch = (
        question.n_context_tokens, question.n_batch, question.n_ubatch,
    )  # fmt: skip
    context.n_seq_max = question.n_sequences
    context.type_k, context.type_v = GGML_TYPES[question.k_type.lower()], GGML_TYPES[question.v_type.lower()]
    if question.flash_attention is not None:
        context.flash_attn_type = int(question.flash_attention)
    for place, value in (
        (_OFFLOAD_KQV, question.kv_offload),
        (_OP_OFFLOAD, question.op_offload),
        (_SWA_FULL, question.swa_full),
        (_KV_UNIFIED, question.unified_cache),
    ):
        context.rest[flags_at + place] = int(value)
    most_devices = max(int(raw.llama_max_devices()), 16)
    shares = (ctypes.c_float * most_devices)()
    overrides = (_Override * _MOST_OVERRIDES)()
    margins = (ctypes.c_size_t * most_devices)(*[request["margin_bytes"]] * most_devices)
    decide.restype = ctypes.c_int
    started = time.monotonic()
    status = decide(
        ctypes.c_char_p(os.fsencode(question.model_path)), ctypes.byref(model), ctypes.byref(context), shares,
        overrides, margins, ctypes.c_uint32(_LEAST_CONTEXT_TOKENS), None, ctypes.c_int(_LOG_WARN),
    )  # fmt: skip
    if status not in _FITTED:
        raise EngineError(f"llama.cpp's --fit failed: {log.last_complaint('no reason given')}")
    names = ggml.raw.ggml_backend_buft_name
    found = []
    for override in overrides:
        if not override.pattern:
            break
        found.append(f"{override.pattern.decode()}={names(override.buffer_type).decode()}")
    return {
        "fits": _FITTED[status],
        "n_context_tokens": int(context.n_ctx),
        "n_gpu_layers": int(model.n_gpu_layers),
        "tensor_split": [float(share) for share in shares[: len(devices)]] if any(shares) else [],
        "overrides": found,
        "took_s": round(time.monotonic() - started, 2),
    }


def _defaults(raw: Any) -> tuple[_ModelParams, _ContextParams, int]:
    """The library's default parameters, and where its flags begin, checked against what they must be."""
    raw.llama_model_default_params.restype, raw.llama_model_default_params.argtypes = _ModelParams, []
    raw.llama_context_default_params.restype, raw.llama_context_default_params.argtypes = _ContextParams, []
    model, context = raw.llama_model_default_params(), raw.llama_context_default_params()
    found = (model.n_gpu_layers, model.split_mode, model.load_mode, model.main_gpu, list(model.flags)[:5])
    wanted: tuple[Any, ...] = (-1, 1, -1, 0, [False, False, True, False, False])
    sizes = (context.n_ctx, context.n_batch, context.n_ubatch, context.n_seq_max, context.flash_attn_type)
    types = (context.type_k, context.type_v)
    places = [at for at in _FLAG_OFFSETS if tuple(context.rest[at : at + 6]) == _FLAG_DEFAULTS]
    if found != wanted or sizes != (512, 2048, 512, 1, -1) or types != (1, 1) or len(places) != 1:
        raise EngineError(
            "this build of llama.cpp lays its parameters out otherwise than is known here; install "
            '"xllamacpp==2026.10.11549"'
        )
    return model, context, places[0]


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _die(problem: "sys.UnraisableHookArgs") -> None:
    traceback.print_exception(problem.exc_type, problem.exc_value, problem.exc_traceback)
    sys.stderr.flush()
    os._exit(70)


if __name__ == "__main__":
    sys.exit(main())
