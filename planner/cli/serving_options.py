"""Options of `planner fit` for the serving engines, and the way from them to an answer."""

import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from hardware.interconnect import NetworkLink
from planner import api
from planner.cli.apart_option import ApartWorkersType
from planner.cli.progress import patient_progress
from planner.engines.release import Release, parse_release
from planner.engines.sglang.command import parse_launch_command
from planner.engines.sglang.settings import LATEST as LATEST_SGLANG
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel
from planner.engines.vllm.command import parse_serve_command
from planner.engines.vllm.settings import LATEST as LATEST_VLLM
from planner.engines.vllm.settings import VllmSettings
from planner.estimate.served.answer import ServingLoad
from planner.estimate.serving_speed.apart import Workers
from planner.report.apart_document import apart_document
from planner.report.document import Document
from planner.report.serving_document import serving_document

F = TypeVar("F", bound=Callable[..., Any])
ENGINES = ("llama.cpp", "ollama", "vllm", "sglang")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions:
    """What the options say."""

    engine: str
    engine_version: str | None
    tp: tuple[int, ...] | None
    pp: int
    dp_attention: int
    expert_parallel: bool
    gpu_fraction: float | None
    max_batched_tokens: int | None
    max_seqs: int | None
    kv_cache_dtype: str
    quantize: str | None
    speculative_tokens: int
    eager: bool
    text_only: bool
    prompt_tokens: int
    output_tokens: int
    prefix_tokens: int
    apart: tuple[Workers, Workers] | None
    pasted: tuple[str, ...] | None = None  # a whole command line of the engine, to be judged

    @property
    def is_serving(self) -> bool:
        """Whether a serving engine is asked for, beside llama.cpp and Ollama."""
        return self.engine not in ("llama.cpp", "ollama")


# Parameters of the command that mean something to llama.cpp alone.
_ONLY_LLAMA_CPP = (
    "quants",
    "kv_type",
    "sequences",
    "ubatch",
    "flash_attention",
    "show_all",
    "explain",
    "mmproj",
    "draft",
)
# What such an engine has in the place of some of them.
_INSTEAD = (
    (
        "quants",
        (
            "it runs a checkpoint as published: name one that is quantized (an FP8, AWQ or GPTQ repository), "
            "or --quantize fp8 with vllm"
        ),
    ),
    ("kv_type", "there it is --kv-cache-dtype"),
    ("sequences", "there it is --max-seqs"),
    ("ubatch", "there it is --max-batched-tokens"),
)
_FIELDS = tuple(name for name in ServingOptions.__dataclass_fields__ if name != "pasted")
_BESIDE_COMMAND = ("engine", "engine_version", "prompt_tokens", "output_tokens", "prefix_tokens")
_NOT_IN_COMMAND = tuple(name for name in _FIELDS if name not in _BESIDE_COMMAND)
_MOST_RANKS = 1024
_POSITIVE = click.IntRange(1)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


class _Sizes(click.ParamType[tuple[int, ...]]):
    name = "N[,…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        found = []
        for part in str(value).split(","):
            number = _whole(part.strip())
            if number is None or not 1 <= number <= _MOST_RANKS:
                self.fail(f"{part.strip()!r} is no number of GPUs from 1 to {_MOST_RANKS:,}", param, ctx)
            found.append(number)
        return tuple(found)


def serving_options(command: F) -> F:
    """--engine and what goes with it, given to the command as one value `serving`."""
    options = (
        click.option("--engine", type=click.Choice(ENGINES), default="llama.cpp", show_default=True,
                     help="Which engine is to run it; --tp to --output-tokens are for vllm and sglang alone."),
        click.option("--engine-version", metavar="VERSION", default=None,
                     help="Its release, such as 0.11.0; rules and defaults differ. The newest known when left out."),
        click.option("--tp", type=_Sizes(), default=None, help="Tensor-parallel sizes; all that divide when left out."),
        click.option("--pp", type=_POSITIVE, default=1, show_default=True, help="Pipeline stages."),
        click.option("--dp-attention", type=_POSITIVE, default=1, show_default=True,
                     help="Replicas of the attention among the tensor-parallel ranks."),
        click.option("--expert-parallel", is_flag=True, help="Whole experts on each rank."),
        click.option("--gpu-fraction", type=click.FloatRange(0, 1, min_open=True), default=None,
                     help="gpu_memory_utilization or mem_fraction_static; the engine's own when left out."),
        click.option("--max-batched-tokens", type=_POSITIVE, default=None, help="Tokens of a step at most."),
        click.option("--max-seqs", type=_POSITIVE, default=None, help="Requests of a step at most."),
        click.option("--kv-cache-dtype", default="auto", show_default=True,
                     help="Type of the KV cache: auto, fp8, nvfp4 (vllm), fp4_e2m1 (sglang)."),
        click.option("--quantize", type=click.Choice(("fp8", "bitsandbytes")), default=None,
                     help="Quantize 16-bit weights while loading (vllm)."),
        click.option("--speculative-tokens", type=click.IntRange(0, 16), default=0, show_default=True,
                     help="Tokens speculated with the model's own prediction layer."),
        click.option("--eager", is_flag=True, help="Without CUDA graphs (vllm)."),
        click.option("--text-only", is_flag=True, help="Without vision and audio towers (vllm)."),
        click.option("--prompt-tokens", type=_POSITIVE, default=1024, show_default=True,
                     help="Length of the prompts that times are given for."),
        click.option("--output-tokens", type=_POSITIVE, default=512, show_default=True,
                     help="Length of the answers that times are given for."),
        click.option("--apart", type=ApartWorkersType(), default=None,
                     help="Prompts on GPUs of their own: workers that read and workers that decode, such as 2xtp4+1xtp8."),
        click.option("--prefix-tokens", type=click.IntRange(0), default=0, show_default=True,
                     help="Tokens that all prompts begin with, such as a system prompt: read once, kept once in the cache."),
    )  # fmt: skip

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        values = {name: kwargs.pop(name) for name in _FIELDS}
        engine, words = _pasted(kwargs.get("command_text"))
        if engine is not None:
            _refuse(_NOT_IN_COMMAND, "for the engine's command line to say; leave it out with --command")
            kwargs["command_text"] = None
            values |= {"engine": engine, "pasted": words}
        elif values["engine"] == "llama.cpp":
            _refuse(tuple(name for name in _FIELDS if name != "engine"), "for --engine vllm or sglang")
        return command(*args, serving=ServingOptions(**values), **kwargs)

    found: Any = wrapped
    for option in reversed(options):
        found = option(found)
    return found  # type: ignore[no-any-return]


def _pasted(text: str | None) -> tuple[str | None, tuple[str, ...] | None]:
    """The engine and the words of a command line that starts vLLM or SGLang; None for any other text."""
    try:
        words = tuple(shlex.split(text or ""))
    except ValueError as error:
        raise click.UsageError(f"--command: {error}") from error
    if words[:2] == ("vllm", "serve"):
        return "vllm", words
    if words[1:3] == ("-m", "sglang.launch_server"):
        return "sglang", words
    return None, None


def answer_serving(
    ref: str | None,
    on: str | None,
    contexts: Sequence[int],
    assume: Sequence[str],
    asked: ServingOptions,
    network: NetworkLink | None = None,
) -> Document:
    """The document for a model in the engine asked for; raises UsageError for options of the other engines."""
    for name, instead in _INSTEAD:
        _refuse((name,), f"not for --engine {asked.engine}; {instead}")
    _refuse(_ONLY_LLAMA_CPP, f"not for --engine {asked.engine}")
    if asked.pasted is not None:
        return _answer_pasted(ref, on, contexts, assume, asked, asked.pasted, network)
    if ref is None:
        raise click.UsageError(f"--engine {asked.engine} is for one model; name it")
    if asked.apart is not None:
        return _answer_apart(ref, on, contexts, assume, asked, network, asked.apart)
    splits = tuple(
        Parallel(
            tensor=n,
            pipeline=asked.pp,
            expert=n if asked.expert_parallel else 1,
            attention_replicas=asked.dp_attention,
        )
        for n in asked.tp or ()
    )
    if not splits and (asked.pp > 1 or asked.dp_attention > 1 or asked.expert_parallel):
        raise click.UsageError("--pp, --dp-attention and --expert-parallel need --tp beside them")
    with patient_progress("Reading") as progress:
        if asked.engine == "vllm":
            found = api.fit_vllm(
                ref,
                _vllm(asked),
                on=on,
                contexts=contexts,
                splits=splits,
                load=_load(asked),
                network=network,
                assume=assume,
                progress=progress,
            )
        else:
            found = api.fit_sglang(
                ref,
                _sglang(asked),
                on=on,
                contexts=contexts,
                splits=splits,
                load=_load(asked),
                network=network,
                assume=assume,
                progress=progress,
            )
    return serving_document(found)


def _answer_apart(
    ref: str,
    on: str | None,
    contexts: Sequence[int],
    assume: Sequence[str],
    asked: ServingOptions,
    network: NetworkLink | None,
    workers: tuple[Workers, Workers],
) -> Document:
    """Workers that read prompts and workers that decode; each says its own split."""
    _refuse(("tp", "pp", "dp_attention", "expert_parallel"), "for --apart to say, as in 1xtp4+2xtp8dp8ep")
    _refuse(("prefix_tokens",), "not for --apart")
    if len(contexts) > 1:
        raise click.UsageError("--apart answers for one --context")
    with patient_progress("Reading") as progress:
        found = api.fit_apart(
            ref,
            _vllm(asked) if asked.engine == "vllm" else _sglang(asked),
            prefill=workers[0],
            decode=workers[1],
            on=on,
            context=contexts[0] if contexts else None,
            load=_load(asked),
            network=network,
            assume=assume,
            progress=progress,
        )
    return apart_document(found)


def _answer_pasted(
    ref: str | None,
    on: str | None,
    contexts: Sequence[int],
    assume: Sequence[str],
    asked: ServingOptions,
    words: Sequence[str],
    network: NetworkLink | None,
) -> Document:
    """A pasted command line judged: its own split, length and limits; REF stands for its model where both are given."""
    others: list[str] = []
    with patient_progress("Reading") as progress:
        if asked.engine == "vllm":
            model, vllm = parse_serve_command(words, _release(asked, LATEST_VLLM), others)
            found = api.fit_vllm(
                ref or model, vllm, on=on, contexts=contexts, splits=(vllm.parallel,), load=_load(asked), network=network, assume=assume,
                progress=progress,
            )  # fmt: skip
        else:
            model, sglang = parse_launch_command(words, _release(asked, LATEST_SGLANG), others)
            found = api.fit_sglang(
                ref or model, sglang, on=on, contexts=contexts, splits=(sglang.parallel,), load=_load(asked), network=network, assume=assume,
                progress=progress,
            )  # fmt: skip
    if others:
        note = f"left aside, because they do not decide memory or are not known: {', '.join(dict.fromkeys(others))}"
        found = replace(found, notes=(*found.notes, note))
    return serving_document(found)


def _load(asked: ServingOptions) -> ServingLoad:
    if asked.prefix_tokens >= asked.prompt_tokens:
        raise click.UsageError(
            f"--prefix-tokens is a part of the prompt: less than --prompt-tokens {asked.prompt_tokens}"
        )
    return ServingLoad(
        n_prompt_tokens=asked.prompt_tokens,
        n_output_tokens=asked.output_tokens,
        n_prefix_tokens=asked.prefix_tokens,
    )


def _refuse(names: Sequence[str], reason: str) -> None:
    context = click.get_current_context()
    for param in context.command.params:
        if param.name in names and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[-1]} is {reason}")


def _release(asked: ServingOptions, latest: Release) -> Release:
    return latest if asked.engine_version is None else parse_release(asked.engine_version)


def _vllm(asked: ServingOptions) -> VllmSettings:
    return VllmSettings(
        version=_release(asked, LATEST_VLLM),
        gpu_memory_utilization=asked.gpu_fraction,
        max_num_batched_tokens=asked.max_batched_tokens,
        max_num_seqs=asked.max_seqs,
        kv_cache_dtype=asked.kv_cache_dtype,
        quantization=asked.quantize,
        n_speculative_tokens=asked.speculative_tokens,
        enforce_eager=asked.eager,
        language_model_only=asked.text_only,
    )


def _sglang(asked: ServingOptions) -> SglangSettings:
    for name, given in (
        ("--quantize", asked.quantize),
        ("--eager", asked.eager),
        ("--text-only", asked.text_only),
    ):
        if given:
            raise click.UsageError(f"{name} is for --engine vllm")
    return SglangSettings(
        version=_release(asked, LATEST_SGLANG),
        mem_fraction_static=asked.gpu_fraction,
        chunked_prefill_size=asked.max_batched_tokens,
        max_running_requests=asked.max_seqs,
        kv_cache_dtype=asked.kv_cache_dtype,
        n_draft_tokens=asked.speculative_tokens,
        n_draft_layers=1 if asked.speculative_tokens else 0,
    )
