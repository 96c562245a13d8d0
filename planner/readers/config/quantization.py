"""Reads how a repository's weights are quantized: which library, which bits, which modules.

The settings stand in config.json (`quantization_config`, in the text section of multimodal models, or MLX's
`quantization`), or in a file of their own: hf_quant_config.json (ModelOpt), quantize_config.json (older GPTQ
and AWQ). A method that is not understood is refused by name.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.formats.layout import FormatLayout, lay_out
from planner.model.formats.plain import Plain
from planner.model.formats.plan import QuantizationPlan
from planner.model.network import Network
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields
from planner.readers.config.quantization_methods import compressed_tensors, floats, integers, modelopt, others
from planner.readers.config.quantization_methods.settings import Settings

# Files beside config.json that may hold the settings, in the order in which they are asked for.
SIDE_FILES: Final = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")

_METHODS: Final[Mapping[str, Callable[[Settings], QuantizationPlan]]] = MappingProxyType(
    {
        "gptq": integers.gptq,
        "marlin": integers.gptq,
        "gptq_marlin": integers.gptq,
        "awq": integers.awq,
        "auto-round": integers.auto_round,
        "intel/auto-round": integers.auto_round,
        "hqq": integers.hqq,
        "bitsandbytes": integers.bitsandbytes,
        "fp8": floats.fp8,
        "mxfp8": floats.mxfp8,
        "fbgemm_fp8": floats.fbgemm_fp8,
        "mxfp4": floats.gpt_oss_mxfp4,
        "modelopt": modelopt.modelopt,
        "modelopt_fp4": modelopt.modelopt,
        "compressed-tensors": compressed_tensors.compressed_tensors,
        "mlx": others.mlx,
        "quark": others.quark,
        "torchao": others.torchao,
        "exl2": others.exl,
        "exl3": others.exl,
    }
)
_DTYPES: Final[Mapping[str, str]] = MappingProxyType({"bfloat16": "BF16", "float16": "F16", "float32": "F32"})
_SECTIONS = ("text_config", "llm_config", "language_config", "thinker_config")


def storage_from_quantization(
    config: Mapping[str, object],
    network: Network,
    side_files: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> FormatLayout:
    """The weights of a network as the repository with this config stores them.

    `side_files` are those of SIDE_FILES that the repository has, parsed. An unquantized repository is laid
    out in its own element type. Raises UnknownArchitectureError for a method that is not understood and
    MalformedError for settings that contradict themselves or the network's shapes.
    """
    return lay_out(network, quantization_plan(config, side_files))


def quantization_plan(
    config: Mapping[str, object],
    side_files: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> QuantizationPlan:
    """What the settings say, resolved to formats; of method "none" where there are none."""
    kept = Plain(dtype=states_element_type(config) or "BF16")  # what stays unquantized is 16 bits wide
    section = quantization_section(config, side_files)
    if section is None:
        return QuantizationPlan(method="none", linear=None, kept=kept)
    method = _method(section)
    model_type = config.get("model_type")
    expert_dtype = config.get("expert_dtype")
    settings = Settings(
        fields=ConfigFields(section, f"{method[:40]}-quantized"),
        kept=kept,
        architecture=model_type if isinstance(model_type, str) else "",
        expert_dtype=expert_dtype if isinstance(expert_dtype, str) else None,
    )
    reader = _METHODS.get(method)
    if reader is None:
        raise UnknownArchitectureError(_unknown_method(method))
    return reader(settings)


def quantization_section(
    config: Mapping[str, object],
    side_files: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> Mapping[str, object] | None:
    """The settings, wherever they stand, None for an unquantized repository."""
    mlx = config.get("quantization")
    if isinstance(mlx, dict) and "bits" in mlx:
        return {**mlx, "quant_method": "mlx"}
    for place in (config, *(config[name] for name in _SECTIONS if isinstance(config.get(name), dict))):
        if not isinstance(place, Mapping):
            continue
        for name in ("quantization_config", "compression_config"):
            found = place.get(name)
            if isinstance(found, dict) and found:
                return _completed(found, side_files)
            if found is not None and not isinstance(found, dict):
                raise MalformedError(f"config.json: {name!r} is {quoted(found)}, expected a section")
    for name in SIDE_FILES:
        if name in side_files:
            return _from_side_file(name, side_files[name])
    return None


def _completed(
    section: Mapping[str, object], side_files: Mapping[str, Mapping[str, object]]
) -> Mapping[str, object]:
    """A section of config.json that names ModelOpt but leaves the layers to hf_quant_config.json."""
    if "quant_algo" in section or "hf_quant_config.json" not in side_files:
        return section
    if str(section.get("quant_method", "modelopt")).startswith("modelopt"):
        return {**section, **_from_side_file("hf_quant_config.json", side_files["hf_quant_config.json"])}
    return section


def _from_side_file(name: str, content: Mapping[str, object]) -> Mapping[str, object]:
    if name == "hf_quant_config.json":
        inner = content.get("quantization")
        if not isinstance(inner, dict):
            raise MalformedError("hf_quant_config.json has no quantization section")
        return {**inner, "quant_method": "modelopt"}
    method = content.get("quant_method")
    if not isinstance(method, str):
        method = "awq" if "w_bit" in content or "q_group_size" in content else "gptq"
    return {**content, "quant_method": method}


def _method(section: Mapping[str, object]) -> str:
    method = section.get("quant_method")
    if isinstance(method, str) and method:
        return method.lower()
    # Sections that leave the method out are told by what only one library writes.
    if "quant_algo" in section:
        return "modelopt"
    if "config_groups" in section:
        return "compressed-tensors"
    if "load_in_4bit" in section or "load_in_8bit" in section:
        return "bitsandbytes"
    raise MalformedError("quantization_config names no quant_method; the planner needs it to know the format")


def _unknown_method(method: str) -> str:
    reason = others.REFUSED.get(method)
    if reason is not None:
        return (
            f"quantization {method} cannot be sized from its config: {reason}; name a repository with its weight "
            "files, whose headers say it, or plan with a GGUF preset"
        )
    near = get_close_matches(method[:60], _METHODS, n=2)
    hint = f"; the nearest known are {' and '.join(near)}" if near else f"; known are {', '.join(_METHODS)}"
    return f"quantization {quoted(method[:60])} is not understood yet{hint}"


def states_element_type(config: Mapping[str, object]) -> str | None:
    """The type that a config names for its weights; None where it names none."""
    for place in (config, *(config.get(name) for name in _SECTIONS)):
        if isinstance(place, Mapping):
            named = place.get("dtype") or place.get("torch_dtype")
            if isinstance(named, str):
                return _DTYPES.get(named.removeprefix("torch."), "BF16")
    return None
