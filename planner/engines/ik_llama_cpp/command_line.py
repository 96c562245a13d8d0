"""What a llama.cpp or ik_llama.cpp command line says about memory, with shell noise around it; and the reverse.

Names follow common/arg.cpp of llama.cpp (b11434) and common/common.cpp of ik_llama.cpp (8337e4cd, 2026-08-15);
a flag that only one of them has does no harm to the other. Command lines in logs are often cut off: an option
whose value is missing or whose quote never closes is dropped, and `is_cut` says so.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from planner.errors import MalformedError

ALL_LAYERS = 999  # what "-ngl all" means: more layers than any model has


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The settings that decide memory, as far as somebody wrote them down; None or () where nobody did."""

    program: str | None = None
    model: str | None = None
    n_context_tokens: int | None = None  # 0: what the model was trained with
    n_sequences: int | None = None
    n_batch: int | None = None
    n_ubatch: int | None = None
    n_gpu_layers: int | None = None
    tensor_split: tuple[float, ...] = ()
    split_mode: str | None = None  # "none", "layer", "row", "graph", "attn", "tensor"
    main_gpu: int | None = None
    devices: tuple[str, ...] = ()
    overrides: tuple[tuple[str, str], ...] = ()  # (pattern of tensor names, buffer), first match wins
    cpu_moe: bool = False
    n_cpu_moe: int | None = None
    flash_attention: str | None = None  # "on", "off", "auto"
    k_type: str | None = None
    v_type: str | None = None
    mmap: bool | None = None
    mlock: bool = False
    kv_offload: bool | None = None
    op_offload: bool | None = None
    repack: bool | None = None
    kv_unified: bool | None = None
    swa_full: bool = False
    mmproj: str | None = None
    draft_model: str | None = None
    n_gpu_layers_draft: int | None = None
    rpc: str | None = None  # servers that lend devices, with commas between them
    spec_type: str | None = None  # "draft-mtp"; none for a draft model by itself
    n_draft_tokens: int | None = None  # drafted in a step, at most
    fit: bool | None = None
    # ik_llama.cpp only
    mla: int | None = None
    attention_max_batch_mib: int | None = None
    fused_moe: bool | None = None
    run_time_repack: bool = False
    grouped_expert_routing: bool | None = None
    merge_qkv: bool = False
    merge_up_gate_experts: bool = False
    k_hadamard: bool = False
    v_hadamard: bool = False
    swa_compress: bool = False
    sparse_attention: bool = False  # --dsa
    multi_token_prediction: bool = False
    offload_policy: str | None = None  # "op,on" pairs as written
    visible_devices: tuple[str, ...] | None = None  # CUDA_VISIBLE_DEVICES in front of the command
    is_cut: bool = False


def _whole(text: str) -> int:
    return int(text)


def _layers(text: str) -> int:
    return ALL_LAYERS if text in ("all", "auto", "-1") else int(text)


def _sequences(text: str) -> int | None:
    n = int(text)
    return n if n > 0 else None


def _shares(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.replace("/", ",").split(",") if part)


def _patterns(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in text.split(","):
        pattern, equals, buffer = part.rpartition("=")
        if equals and pattern and buffer:
            found.append((pattern, buffer))
    return tuple(found)


def _kv_type(text: str) -> str:
    return text.upper()


def _names(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _switch(text: str) -> bool:
    return text.lower() not in ("off", "0", "false", "disabled")


# Options with a value: names, field, reader of the value.
_VALUES: tuple[tuple[tuple[str, ...], str, Callable[[str], Any]], ...] = (
    (("-m", "--model"), "model", str),
    (("-c", "--ctx-size"), "n_context_tokens", _whole),
    (("-np", "--parallel"), "n_sequences", _sequences),
    (("-b", "--batch-size"), "n_batch", _whole),
    (("-ub", "--ubatch-size"), "n_ubatch", _whole),
    (("-ngl", "--n-gpu-layers", "--gpu-layers"), "n_gpu_layers", _layers),
    (("-ts", "--tensor-split"), "tensor_split", _shares),
    (("-sm", "--split-mode"), "split_mode", str),
    (("-mg", "--main-gpu"), "main_gpu", _whole),
    (("-dev", "--device"), "devices", _names),
    (("-ot", "--override-tensor"), "overrides", _patterns),
    (("--n-cpu-moe", "-ncmoe"), "n_cpu_moe", _whole),
    (("-ctk", "--cache-type-k"), "k_type", _kv_type),
    (("-ctv", "--cache-type-v"), "v_type", _kv_type),
    (("-mm", "--mmproj"), "mmproj", str),
    (("-md", "--model-draft", "--spec-draft-model"), "draft_model", str),
    (("-ngld", "--gpu-layers-draft", "--n-gpu-layers-draft"), "n_gpu_layers_draft", _layers),
    (("--rpc",), "rpc", str),
    (("--spec-type",), "spec_type", str),
    (("--spec-draft-n-max", "--draft-max", "--draft", "--draft-n"), "n_draft_tokens", _whole),
    (("-mla", "--mla-use"), "mla", _whole),
    (("-amb", "--attention-max-batch"), "attention_max_batch_mib", _whole),
    (("-op", "--offload-policy"), "offload_policy", str),
)  # fmt: skip

# Options without a value: names, field, what it becomes.
_SWITCHES: tuple[tuple[tuple[str, ...], str, object], ...] = (
    (("-cmoe", "--cpu-moe"), "cpu_moe", True),
    (("-no-fa", "--no-flash-attn"), "flash_attention", "off"),
    (("--mmap",), "mmap", True),
    (("--no-mmap",), "mmap", False),
    (("--mlock",), "mlock", True),
    (("-kvo", "--kv-offload"), "kv_offload", True),
    (("-nkvo", "--no-kv-offload"), "kv_offload", False),
    (("--op-offload",), "op_offload", True),
    (("--no-op-offload",), "op_offload", False),
    (("--repack",), "repack", True),
    (("-nr", "--no-repack"), "repack", False),
    (("-kvu", "--kv-unified"), "kv_unified", True),
    (("-no-kvu", "--no-kv-unified"), "kv_unified", False),
    (("--swa-full",), "swa_full", True),
    (("-fmoe", "--fused-moe"), "fused_moe", True),
    (("-no-fmoe", "--no-fused-moe"), "fused_moe", False),
    (("-rtr", "--run-time-repack"), "run_time_repack", True),
    (("-ger", "--grouped-expert-routing"), "grouped_expert_routing", True),
    (("-no-ger", "--no-grouped-expert-routing"), "grouped_expert_routing", False),
    (("-mqkv", "--merge-qkv"), "merge_qkv", True),
    (("-muge", "--merge-up-gate-experts"), "merge_up_gate_experts", True),
    (("-khad", "--k-cache-hadamard"), "k_hadamard", True),
    (("-vhad", "--v-cache-hadamard"), "v_hadamard", True),
    (("--swa-compress",), "swa_compress", True),
    (("-dsa", "--dsa"), "sparse_attention", True),
    (("-mtp", "--multi-token-prediction"), "multi_token_prediction", True),
)  # fmt: skip

# Options that may stand alone or with one of these words after them.
_WORDS = frozenset(("on", "off", "auto", "0", "1", "true", "false", "enabled", "disabled"))
_OPTIONAL = {"-fa": "flash_attention", "--flash-attn": "flash_attention", "-fit": "fit", "--fit": "fit"}

_VALUE_BY_NAME = {name: (field, read) for names, field, read in _VALUES for name in names}
_SWITCH_BY_NAME = {name: (field, value) for names, field, value in _SWITCHES for name in names}
_MARKUP = re.compile(r"`+|</?[a-z]+>")  # of the page that a command line was pasted into
_VISIBLE = "CUDA_VISIBLE_DEVICES="


def parse(text: str) -> CommandLine:
    """Reads a command line as somebody pasted it, prompts and other programs around it included."""
    tokens, is_cut = _tokens(_MARKUP.sub(" ", text))
    return parse_tokens(tokens, is_cut=is_cut)


def parse_tokens(tokens: Sequence[str], *, is_cut: bool = False) -> CommandLine:
    """Reads arguments that a shell has already taken apart; raises MalformedError for a value that is none."""
    found: dict[str, Any] = {}
    overrides: list[tuple[str, str]] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token.startswith(_VISIBLE):
            found["visible_devices"] = _names(token.removeprefix(_VISIBLE).strip("\"'"))
            continue
        name, equals, attached = token.partition("=")
        if not (equals and name.startswith("--")):
            name, equals, attached = token, "", ""
        if name in _VALUE_BY_NAME:
            field, read = _VALUE_BY_NAME[name]
            if not equals:
                if i >= len(tokens):
                    is_cut = True
                    break
                attached = tokens[i]
                i += 1
            value = _read(name, attached, read)
            if field == "overrides":
                overrides += value
            else:
                found[field] = value
        elif name in _SWITCH_BY_NAME:
            field, value = _SWITCH_BY_NAME[name]
            found[field] = value
        elif name in _OPTIONAL:
            word = attached
            if not equals and i < len(tokens) and tokens[i].lower() in _WORDS:
                word = tokens[i]
                i += 1
            found[_OPTIONAL[name]] = _optional(_OPTIONAL[name], word)
        elif "program" not in found and _is_program(token):
            found["program"] = token.replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
    return CommandLine(**found, overrides=tuple(overrides), is_cut=is_cut)


def _optional(field: str, word: str) -> object:
    if field == "flash_attention":
        return "auto" if word.lower() == "auto" else "on" if _switch(word) else "off"
    return _switch(word)


def _read(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError:
        raise MalformedError(f"{name} wants a number and was given {text[:40]!r}") from None


def _is_program(token: str) -> bool:
    last = token.replace("\\", "/").rpartition("/")[2]
    return last.startswith(("llama-", "llama_", "server", "main")) and not last.endswith(
        (".gguf", ".cpp", ">", ":")
    )


def _tokens(text: str) -> tuple[list[str], bool]:
    """Words as a shell would see them, backslashes kept: Windows paths and patterns need theirs."""
    tokens: list[str] = []
    word: list[str] = []
    quote = ""
    is_open = False
    for i, char in enumerate(text):
        if quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "'\"":
            quote = char
            is_open = True
        elif char.isspace() or (char == "\\" and (i + 1 == len(text) or text[i + 1] in "\r\n")):
            if word or is_open:
                tokens.append("".join(word))
            word, is_open = [], False
        else:
            word.append(char)
    if quote:
        return tokens, True
    if word or is_open:
        tokens.append("".join(word))
    return tokens, False


def arguments(line: CommandLine) -> tuple[str, ...]:
    """The arguments that `parse_tokens` reads back as the same record, the program's name first."""
    found = [line.program] if line.program else []
    for names, field, _ in _VALUES:
        value = getattr(line, field)
        if value is None or value == ():
            continue
        if field == "overrides":
            value = ",".join(f"{pattern}={buffer}" for pattern, buffer in value)
        elif isinstance(value, tuple):
            value = ",".join(f"{item:g}" if isinstance(item, float) else item for item in value)
        elif field in ("k_type", "v_type"):
            value = value.lower()
        found += [names[0], str(value)]
    for names, field, value in _SWITCHES:
        if field != "flash_attention" and getattr(line, field) is value:
            found.append(names[0])
    if line.flash_attention is not None:
        found += ["-fa", line.flash_attention]
    if line.fit is not None:
        found += ["--fit", "on" if line.fit else "off"]
    return tuple(found)


def quoted(line: CommandLine) -> str:
    """One line for a shell."""
    visible = "" if line.visible_devices is None else f"{_VISIBLE}{','.join(line.visible_devices)} "
    return visible + shlex.join(arguments(line))


def merged(first: CommandLine, over: CommandLine) -> CommandLine:
    """`first` with everything that `over` says in its place."""
    default = CommandLine()
    said = {
        field.name: getattr(over, field.name)
        for field in fields(over)
        if getattr(over, field.name) != getattr(default, field.name)
    }
    return replace(first, **said)
