"""Runs a GGUF in the engine on random tokens, one at a time, and prints how often each layer picked each expert.

python -m tests.planner.bench.routing_child MODEL.gguf N_USED N_TOKENS
"""

import collections
import ctypes
import json
import os
import random
import sys

import llama_cpp.llama_cpp as api

path, n_used, n_tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
raw = api._lib
raw.ggml_get_name.restype, raw.ggml_get_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
raw.ggml_nbytes.restype, raw.ggml_nbytes.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
raw.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
counts: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
finite = True


def seen(tensor: int, asks: bool, _data: object) -> bool:
    global finite
    name = raw.ggml_get_name(tensor).decode()
    wanted = name.startswith("ffn_moe_argsort") or name == "result_output"
    if asks or not wanted:
        return bool(wanted)
    n_bytes = raw.ggml_nbytes(tensor)
    data = (ctypes.c_char * n_bytes)()
    raw.ggml_backend_tensor_get(tensor, data, 0, n_bytes)
    if name == "result_output":
        values = (ctypes.c_float * (n_bytes // 4)).from_buffer(data)
        finite = finite and all(abs(value) < 1e30 for value in values)
    else:
        counts[name].update((ctypes.c_int32 * (n_bytes // 4)).from_buffer(data)[:n_used])
    return True


callback = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_bool, ctypes.c_void_p)(seen)
log = api.llama_log_callback(lambda level, text, data: None)
api.llama_log_set(log, ctypes.c_void_p(0))
api.llama_backend_init()
model = api.llama_model_load_from_file(os.fsencode(path), api.llama_model_default_params())
params = api.llama_context_default_params()
params.n_ctx, params.n_threads, params.n_threads_batch = n_tokens, 1, 1
params.cb_eval = ctypes.cast(callback, type(params.cb_eval))
context = api.llama_init_from_model(model, params)
n_vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
chance = random.Random(3)
for _ in range(n_tokens):
    token = (ctypes.c_int32 * 1)(chance.randrange(n_vocabulary))
    assert api.llama_decode(context, api.llama_batch_get_one(token, 1)) == 0
print(json.dumps({"finite": finite, "layers": [list(counter.values()) for counter in counts.values()]}))
sys.stdout.flush()
os._exit(0)
