"""A placement as an Ollama Modelfile and environment, and both read back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.split import Split
from planner.engines.ollama.settings import NO_ENVIRONMENT, NO_OPTIONS, OllamaEnvironment, OllamaOptions
from planner.errors import MalformedError, MissingFactError

_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu")
CONTEXT = "OLLAMA_CONTEXT_LENGTH"
PARALLEL = "OLLAMA_NUM_PARALLEL"
KV_TYPE = "OLLAMA_KV_CACHE_TYPE"
FLASH = "OLLAMA_FLASH_ATTENTION"
OVERHEAD = "OLLAMA_GPU_OVERHEAD"
SPREAD = "OLLAMA_SCHED_SPREAD"
_YES_NO = ("", "0", "1", "f", "t", "false", "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelfile:
    """What a Modelfile says of memory: the model it starts from, and its parameters."""

    source: str
    options: OllamaOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaPlan:
    """A Modelfile and the server's environment that together stand for a placement."""

    modelfile: Modelfile
    environment: OllamaEnvironment = NO_ENVIRONMENT


def ollama_plan(source: str, flags: LlamaCppFlags, split: Split, n_layers: int) -> OllamaPlan:
    """The Modelfile and environment of a placement; raises MissingFactError for what Ollama has no words for."""
    unsaid = without_words(flags, split)
    if unsaid:
        raise MissingFactError(f"Ollama cannot be told {', '.join(unsaid)}; run llama-server itself")
    n = flags.n_sequences
    options = OllamaOptions(
        num_ctx=-(-flags.n_context_tokens // n),
        num_batch=flags.n_ubatch,
        num_gpu=min(split.n_gpu_layers, n_layers + 1),
        main_gpu=split.main_gpu if split.mode == "none" else None,
    )
    environment = OllamaEnvironment(
        num_parallel=n,
        kv_cache_type=None if flags.k_type == "F16" else flags.k_type.lower(),
        flash_attention=None if flags.flash_attention else False,
    )
    return OllamaPlan(modelfile=Modelfile(source=source, options=options), environment=environment)


def without_words(flags: LlamaCppFlags, split: Split) -> list[str]:
    """What of a placement neither a Modelfile nor the environment can say."""
    found = []
    if split.n_cpu_moe or split.overrides:
        found.append("to keep experts in main memory")
    if split.tensor_split is not None:
        found.append("shares of GPUs")
    if split.mode == "row":
        found.append("to split rows")
    if flags.k_type != flags.v_type:
        found.append("different types of K and V")
    if flags.n_batch != flags.n_ubatch:
        found.append("a logical batch apart from the physical one")
    if flags.unified_cache and flags.n_sequences > 1:
        found.append("to share one cache between sequences")
    if flags.swa_full:
        found.append("to keep the whole context in windowed layers")
    if not flags.kv_offload:
        found.append("to keep the cache in main memory")
    return found


def modelfile_text(modelfile: Modelfile) -> str:
    """The text of a Modelfile."""
    lines = [f"FROM {modelfile.source}"]
    for name in _OPTIONS:
        value = getattr(modelfile.options, name)
        if value is not None:
            lines.append(f"PARAMETER {name} {value}")
    if modelfile.options.use_mmap is not None:
        lines.append(f"PARAMETER use_mmap {str(modelfile.options.use_mmap).lower()}")
    return "\n".join(lines) + "\n"


def parse_modelfile(text: str) -> Modelfile:
    """What a Modelfile says of memory, everything else skipped; raises MalformedError where that is malformed."""
    source: str | None = None
    options = OllamaOptions()
    quote = False
    for line in text.splitlines():
        inside = quote
        quote ^= line.count('"""') % 2 == 1
        words = line.split(maxsplit=2)
        if inside or not words or words[0].startswith("#"):
            continue
        if words[0].upper() == "FROM" and len(words) > 1:
            source = line.split(maxsplit=1)[1].strip()
        elif words[0].upper() == "PARAMETER" and len(words) == 3:
            options = _with_parameter(options, words[1], words[2].strip().strip('"'))
    if source is None:
        raise MalformedError("the Modelfile has no FROM line; every Modelfile starts from a model")
    return Modelfile(source=source, options=options)


def _with_parameter(options: OllamaOptions, name: str, value: str) -> OllamaOptions:
    if name == "use_mmap":
        if value not in ("true", "false"):
            raise MalformedError(f"PARAMETER use_mmap wants true or false and was given {value[:40]!r}")
        return replace(options, use_mmap=value == "true")
    if name not in _OPTIONS:
        return options
    number = _number(f"PARAMETER {name}", value)
    # num_gpu -1 is Ollama's own choice, as if the line were missing.
    chosen = None if name == "num_gpu" and number < 0 else number
    match name:
        case "num_ctx":
            return replace(options, num_ctx=chosen)
        case "num_batch":
            return replace(options, num_batch=chosen)
        case "num_gpu":
            return replace(options, num_gpu=chosen)
        case _:
            return replace(options, main_gpu=chosen)


def environment_lines(environment: OllamaEnvironment) -> tuple[str, ...]:
    """NAME=value for the server's environment."""
    found = []
    if environment.context_length is not None:
        found.append(f"{CONTEXT}={environment.context_length}")
    if environment.num_parallel is not None:
        found.append(f"{PARALLEL}={environment.num_parallel}")
    if environment.kv_cache_type is not None:
        found.append(f"{KV_TYPE}={environment.kv_cache_type}")
    if environment.flash_attention is not None:
        found.append(f"{FLASH}={int(environment.flash_attention)}")
    if environment.gpu_overhead_bytes:
        found.append(f"{OVERHEAD}={environment.gpu_overhead_bytes}")
    if environment.spread:
        found.append(f"{SPREAD}=1")
    return tuple(found)


def parse_environment(variables: Mapping[str, str]) -> OllamaEnvironment:
    """Ollama's variables in an environment; raises MalformedError for one that is not what its name promises."""

    def number(name: str) -> int | None:
        text = variables.get(name, "").strip().strip("\"'")
        return _number(name, text) if text else None

    def yes(name: str) -> bool | None:
        text = variables.get(name, "").strip().strip("\"'").lower()
        if text not in _YES_NO:
            raise MalformedError(f"{name} wants 0 or 1 and was given {text[:40]!r}")
        return text in ("1", "t", "true") if text else None

    return OllamaEnvironment(
        context_length=number(CONTEXT),
        num_parallel=number(PARALLEL),
        kv_cache_type=variables.get(KV_TYPE, "").strip().strip("\"'").lower() or None,
        flash_attention=yes(FLASH),
        gpu_overhead_bytes=number(OVERHEAD) or 0,
        spread=bool(yes(SPREAD)),
    )


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise MalformedError(f"{name} wants a whole number and was given {text[:40]!r}") from None
