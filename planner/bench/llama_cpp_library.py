"""The llama.cpp library, through the ctypes bindings of llama-cpp-python. Only the child process imports it.

Every call is one that llama-bench makes, in the same order; the bindings' own high-level class is not used
because it samples, tokenizes and allocates differently.
"""

import ctypes
import importlib
import os
import random
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from planner.bench.llama_cpp_memory import EngineError, EngineLog, engine_memory, memory_breakdown
from planner.bench.protocol import EngineBuffer
from planner.estimate.measurement import EngineMemory

# From ggml.h, enum ggml_type: fixed numbers, since they are written in files.
GGML_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "bf16": 30,
}  # fmt: skip
_DEVICE_GPU, _DEVICE_INTEGRATED_GPU = 1, 2  # enum ggml_backend_dev_type
_BACKEND_NAMES = {"MTL": "Metal", "HIP": "ROCm"}
# What the library must answer if the bindings' structs have the same layout as its own. A newer library
# with one more field shifts everything after it, and the benchmark would silently run something else.
_CONTEXT_DEFAULTS = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "flash_attn_type": -1, "type_k": 1,
    "type_v": 1, "embeddings": False, "offload_kqv": True, "no_perf": True, "op_offload": True,
    "swa_full": True,
}  # fmt: skip
_MODEL_DEFAULTS = {
    "n_gpu_layers": -1, "load_mode": -1, "main_gpu": 0, "vocab_only": False, "check_tensors": False,
    "use_extra_bufts": True, "no_host": False, "no_alloc": False,
}  # fmt: skip


class _ThreadpoolParams(ctypes.Structure):
    """ggml_threadpool_params of ggml.h."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * 512),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    )


class LlamaLibrary:
    """The loaded library: devices, models and contexts. One per process."""

    def __init__(self) -> None:
        self.api: Any = importlib.import_module("llama_cpp.llama_cpp")
        self.raw: Any = self.api._lib
        self.log = EngineLog()
        self._callback = self.api.llama_log_callback(
            lambda level, text, _: self.log.add(level, text.decode("utf-8", "replace"))
        )
        self.api.llama_log_set(self._callback, ctypes.c_void_p(0))
        self._check_layout()
        self.api.llama_backend_init()

    def _check_layout(self) -> None:
        for params, wanted in (
            (self.api.llama_context_default_params(), _CONTEXT_DEFAULTS),
            (self.api.llama_model_default_params(), _MODEL_DEFAULTS),
        ):
            for name, value in wanted.items():
                found = getattr(params, name, None)
                if found != value:
                    raise EngineError(
                        f"{self.build} answers {name}={found} where {value} was expected, so its library and "
                        'its bindings do not match; install "llama-cpp-python==0.3.36"'
                    )

    @property
    def build(self) -> str:
        """Which engine this is, for the record."""
        commit = self._text("ggml_commit") or "unknown"
        version = self.api.llama_version().decode() if hasattr(self.api, "llama_version") else "?"
        return f"llama-cpp-python {metadata.version('llama-cpp-python')}, llama.cpp {version} ({commit})"

    @property
    def system_info(self) -> str:
        """The instruction sets that the library was built for, as it prints them."""
        return " ".join(self.api.llama_print_system_info().decode("utf-8", "replace").split())

    def _text(self, symbol: str) -> str | None:
        function = getattr(self.raw, symbol, None)
        if function is None:
            return None
        function.restype, function.argtypes = ctypes.c_char_p, []
        value = function()
        return str(value, "utf-8", "replace") if value else None

    def gpu_backend(self) -> str | None:
        """The backend of the first GPU that the engine can use ("CUDA", "Metal", …); None without one."""
        raw = self.raw
        for symbol, result, arguments in (
            ("ggml_backend_dev_count", ctypes.c_size_t, []),
            ("ggml_backend_dev_get", ctypes.c_void_p, [ctypes.c_size_t]),
            ("ggml_backend_dev_type", ctypes.c_int, [ctypes.c_void_p]),
            ("ggml_backend_dev_backend_reg", ctypes.c_void_p, [ctypes.c_void_p]),
            ("ggml_backend_reg_name", ctypes.c_char_p, [ctypes.c_void_p]),
        ):
            function = getattr(raw, symbol, None)
            if function is None:
                return "GPU" if self.api.llama_supports_gpu_offload() else None
            function.restype, function.argtypes = result, arguments
        for index in range(raw.ggml_backend_dev_count()):
            device = raw.ggml_backend_dev_get(index)
            if raw.ggml_backend_dev_type(device) in (_DEVICE_GPU, _DEVICE_INTEGRATED_GPU):
                name = str(raw.ggml_backend_reg_name(raw.ggml_backend_dev_backend_reg(device)), "utf-8")
                return _BACKEND_NAMES.get(name, name)
        return None

    def load(self, path: Path, n_gpu_layers: int, *, allocate: bool = True, progress: Any = None) -> "Model":
        """Opens a GGUF file; without `allocate` the engine reads its header only and adds sizes up."""
        params = self.api.llama_model_default_params()
        params.n_gpu_layers = n_gpu_layers
        if not allocate:
            params.no_alloc = True
            params.load_mode = 0  # LLAMA_LOAD_MODE_NONE: a mapped file would count as a buffer
        callback = self.api.llama_progress_callback(lambda fraction, _: progress(fraction) or True)
        if progress is not None:
            params.progress_callback = callback
        self.log.forget_model()
        handle = self.api.llama_model_load_from_file(os.fsencode(path), params)
        if not handle:
            raise EngineError(f"could not load {path}: {self.log.last_complaint('no reason given')}")
        return Model(library=self, handle=handle)

    def threadpool(self, n_threads: int) -> Any:
        """A thread pool with llama-bench's settings, or None where this build exports no such calls."""
        symbols = ("ggml_threadpool_params_default", "ggml_threadpool_new", "llama_attach_threadpool")
        if any(getattr(self.raw, symbol, None) is None for symbol in symbols):
            return None
        default = self.raw.ggml_threadpool_params_default
        default.restype, default.argtypes = _ThreadpoolParams, [ctypes.c_int]
        params = default(n_threads)
        if (params.n_threads, params.prio, params.poll) != (n_threads, 0, 50) or params.paused:
            return None  # another layout: leave the engine its own pool
        create = self.raw.ggml_threadpool_new
        create.restype, create.argtypes = ctypes.c_void_p, [ctypes.POINTER(_ThreadpoolParams)]
        self.raw.llama_attach_threadpool.restype = None
        self.raw.llama_attach_threadpool.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        return create(ctypes.byref(params))


@dataclass(slots=True)
class Model:
    """A loaded model."""

    library: LlamaLibrary
    handle: Any

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return int(self.library.api.llama_model_size(self.handle))

    @property
    def n_parameters(self) -> int:
        """Parameters of all tensors."""
        return int(self.library.api.llama_model_n_params(self.handle))

    @property
    def n_layers(self) -> int:
        """Repeating layers, without the output layer."""
        return int(self.library.api.llama_model_n_layer(self.handle))

    @property
    def description(self) -> str:
        """The engine's short name for the model, such as "llama 256M Q4_1"."""
        text = ctypes.create_string_buffer(256)
        self.library.api.llama_model_desc(self.handle, text, len(text))
        return text.value.decode("utf-8", "replace")

    def context(
        self,
        *,
        n_context_tokens: int,
        n_batch: int,
        n_ubatch: int,
        n_threads: int,
        flash_attention: bool | None,
        kv_type: str,
        n_sequences: int = 1,
        kv_unified: bool = False,
        swa_full: bool = False,  # llama-bench sets it so, although the library's default is True
    ) -> "Context":
        """A context to run the model in, with llama-bench's other settings."""
        api = self.library.api
        params = api.llama_context_default_params()
        params.n_ctx = n_context_tokens
        params.n_batch = n_batch
        params.n_ubatch = n_ubatch
        params.n_seq_max = n_sequences
        params.kv_unified = kv_unified
        params.n_threads = params.n_threads_batch = n_threads
        params.type_k = params.type_v = GGML_TYPES[kv_type]
        params.flash_attn_type = -1 if flash_attention is None else int(flash_attention)
        params.swa_full = swa_full
        log = self.library.log
        log.forget_context(flash_attention)
        handle = api.llama_init_from_model(self.handle, params)
        if not handle:
            raise EngineError(
                f"could not create a context of {n_context_tokens} tokens: "
                f"{log.last_complaint('no reason given')}"
            )
        return Context(model=self, handle=handle, n_batch=n_batch, n_threads=n_threads)

    def free(self) -> None:
        """Gives the memory back."""
        self.library.api.llama_model_free(self.handle)


@dataclass(slots=True)
class Context:
    """A model with its caches, running the work of llama-bench."""

    model: Model
    handle: Any
    n_batch: int
    n_threads: int
    _random: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 (token ids only)

    @property
    def _api(self) -> Any:
        return self.model.library.api

    @property
    def n_context_tokens(self) -> int:
        """Tokens of context, as the engine rounded them."""
        return int(self._api.llama_n_ctx(self.handle))

    @property
    def flash_attention(self) -> bool:
        """Whether this context computes attention in one fused step."""
        return bool(self.model.library.log.flash_attention)

    def attach(self, threadpool: Any) -> None:
        """Uses a thread pool from `LlamaLibrary.threadpool`; None leaves the engine's own."""
        if threadpool is not None:
            self.model.library.raw.llama_attach_threadpool(self.handle, threadpool, None)

    def clear(self) -> None:
        """Empties the cache, keeping its memory."""
        self._api.llama_memory_clear(self._api.llama_get_memory(self.handle), False)

    def prompt_work(self, n_tokens: int) -> list[tuple[Any, Any]]:
        """Batches of random tokens that together make a prompt, prepared before the clock starts."""
        tokens = self._tokens(n_tokens)
        starts = range(0, n_tokens, self.n_batch)
        return [self._batch(tokens[start : start + self.n_batch]) for start in starts]

    def generation_work(self, n_tokens: int) -> list[tuple[Any, Any]]:
        """Single random tokens, as generation feeds them one by one."""
        return [self._batch([token]) for token in self._tokens(n_tokens)]

    def batched_work(self, n_tokens: int, n_sequences: int) -> list[tuple[Any, Any]]:
        """Batches of one random token for each of several sequences, that many times."""
        steps = []
        for position in range(n_tokens):
            batch = self._api.llama_batch_init(n_sequences, 0, 1)
            batch.n_tokens = n_sequences
            for index, token in enumerate(self._tokens(n_sequences)):
                batch.token[index] = token
                batch.pos[index] = position
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = index
                batch.logits[index] = True
            steps.append((batch, None))
        return steps

    def free_batches(self, work: list[tuple[Any, Any]]) -> None:
        """Gives back the memory of batches that `batched_work` made."""
        for batch, _ in work:
            self._api.llama_batch_free(batch)

    def run_prompt(self, work: list[tuple[Any, Any]]) -> None:
        """Decodes the batches, waiting once at the end (llama-bench's test_prompt)."""
        decode, handle = self._api.llama_decode, self.handle
        self._api.llama_set_n_threads(handle, self.n_threads, self.n_threads)
        for batch, _ in work:
            self._check(decode(handle, batch))
        self._api.llama_synchronize(handle)

    def run_generation(self, work: list[tuple[Any, Any]]) -> None:
        """Decodes token by token, waiting for each (llama-bench's test_gen)."""
        decode, wait, handle = self._api.llama_decode, self._api.llama_synchronize, self.handle
        self._api.llama_set_n_threads(handle, self.n_threads, self.n_threads)
        for batch, _ in work:
            self._check(decode(handle, batch))
            wait(handle)

    def fill(self, n_tokens: int, saved: "SavedState") -> None:
        """Puts that many tokens into an empty cache, from the saved copy once there is one."""
        api = self._api
        if saved.data is not None:
            if api.llama_state_seq_set_data(self.handle, saved.data, len(saved.data), 0):
                return
            self.clear()  # the copy does not suit this context: compute it again
        self.run_prompt(self.prompt_work(n_tokens))
        if saved.data is None:
            saved.data = (ctypes.c_uint8 * api.llama_state_seq_get_size(self.handle, 0))()
            api.llama_state_seq_get_data(self.handle, saved.data, len(saved.data), 0)

    def memory(self) -> tuple[EngineMemory, tuple[EngineBuffer, ...] | None]:
        """What this context and its model allocate, and the buffers by name where the engine tells."""
        buffers = memory_breakdown(self.model.library.raw, self.handle)
        return engine_memory(self.model.library.log, buffers, self.model.size_bytes), buffers

    def free(self) -> None:
        """Gives the memory back."""
        self._api.llama_free(self.handle)

    def _tokens(self, n_tokens: int) -> list[int]:
        api = self._api
        vocabulary = api.llama_model_get_vocab(self.model.handle)
        n_vocabulary = api.llama_vocab_n_tokens(vocabulary)
        tokens = [self._random.randrange(n_vocabulary) for _ in range(n_tokens)]
        if api.llama_vocab_get_add_bos(vocabulary):
            tokens[0] = api.llama_vocab_bos(vocabulary)
        return tokens

    def _batch(self, tokens: list[int]) -> tuple[Any, Any]:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        return self._api.llama_batch_get_one(array, len(tokens)), array  # the batch only borrows the array

    def _check(self, status: int) -> None:
        if status != 0:
            reason = self.model.library.log.last_complaint("no reason given")
            raise EngineError(f"decoding failed with status {status}: {reason}")


@dataclass(slots=True)
class SavedState:
    """The cache at some depth, shared by the tests at that depth (llama-bench keeps it too)."""

    data: Any = None


def engine_threads() -> int:
    """llama-bench's choice: one thread per core, of the cores that this process may run on."""
    if not hasattr(os, "sched_getaffinity"):
        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings")
        if siblings.is_file():
            cores.add(siblings.read_text().strip())
    return len(cores) or len(allowed)
