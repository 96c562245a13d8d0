"""MLX, Quark, TorchAO, EXL2 and EXL3, and the methods that are refused by name.

Sources: mlx-lm 0.32 (mlx_lm/utils.py `load_model`); AMD Quark's exported JSON (quark 0.13,
quark/torch/quantization/config); torchao's `config_to_dict` names; exllamav2 and exllamav3 config.json sections.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from planner.errors import MalformedError
from planner.model.formats.exl import Exl2, Exl3
from planner.model.formats.fp4 import mxfp4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.int_groups import IntGroups
from planner.model.formats.mlx import Mlx
from planner.model.formats.piece import Format
from planner.model.formats.plan import QuantizationPlan, Rule
from planner.model.formats.torchao import TorchAo
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields
from planner.readers.config.quantization_methods.settings import (
    Settings,
    group_size,
    one_of,
    patterns,
    unknown,
)

# Methods whose bytes this planner does not compute, and what would be needed.
REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aqlm": "its codebooks' sizes vary by layer",
        "vptq": "its codebooks' sizes vary by layer",
        "spqr": "its size depends on how many outliers the weights have",
        "fp_quant": "its Hadamard settings change what is stored",
        "higgs": "its grids and padding vary by layer",
        "quanto": "it is made while loading and has no published files",
        "eetq": "it is made while loading and has no published files",
        "bitnet": "ternary weights are packed by its own library",
        "sinq": "its scales along both sides are not described in the config",
        "fouroversix": "its choice of scale per block is not described in the config",
        "metal": "it is made while loading",
        "gemma": "its per-module bits are matched inside the library",
        "modelslim": "quant_model_description.json beside the weights lists what each tensor is",
        "ascend": "quant_model_description.json beside the weights lists what each tensor is",
        "gguf": "name the GGUF file itself",
    }
)
_MODES = ("affine", "mxfp4", "mxfp8", "nvfp4")
_MODE_BITS = {"mxfp4": 4, "nvfp4": 4, "mxfp8": 8}
_MODE_GROUP = {"mxfp4": 32, "nvfp4": 16, "mxfp8": 32}


def mlx(settings: Settings) -> QuantizationPlan:
    """MLX: every matrix whose rows divide, tables and routers included, with overrides by module name."""
    fields = settings.fields
    form = _mlx(fields, settings, None)
    rules = []
    for name in fields.unread():
        value = fields.raw(name)
        # MLX stacks the experts of a layer in one module.
        names = patterns([name.replace(".switch_mlp.", ".experts.0.")], "glob")
        if value is False:
            rules.append(Rule(names=names, format=None))
        elif isinstance(value, dict):
            rules.append(
                Rule(names=names, format=_mlx(ConfigFields(value, fields.model_type), settings, form))
            )
    return QuantizationPlan(
        method="mlx",
        linear=form,
        head=form,
        embedding=form,
        router=form,
        rules=tuple(rules),
        kept=settings.kept,
    )


def _mlx(fields: ConfigFields, settings: Settings, default: Mlx | None) -> Mlx:
    mode = fields.text("mode") or (default.mode if default else "affine")
    if mode not in _MODES:
        raise unknown("mlx", f"the mode {quoted(mode)}", "known are " + ", ".join(_MODES))
    bits = one_of(
        fields, "bits", (2, 3, 4, 5, 6, 8), _MODE_BITS.get(mode) or (default.bits if default else None)
    )
    size = group_size(
        fields, "group_size", default=_MODE_GROUP.get(mode) or (default.group_size if default else 64)
    )
    if size is None:
        raise MalformedError(
            "quantization of an MLX model says no group size; its groups are of 16 to 128 weights"
        )
    fields.unused("quant_method", "method")
    kinds: dict[str, Literal["affine", "mxfp4", "mxfp8", "nvfp4"]] = {
        "affine": "affine", "mxfp4": "mxfp4", "mxfp8": "mxfp8", "nvfp4": "nvfp4",
    }  # fmt: skip
    return Mlx(bits=bits, group_size=size, mode=kinds[mode], scale_dtype=settings.kept.dtype)


def quark(settings: Settings) -> QuantizationPlan:
    """AMD Quark: one setting for all, others by wildcard, an exclude list."""
    fields = settings.fields
    whole = fields.section("global_quant_config")
    form = _quark(whole) if whole is not None else None
    excluded = patterns(fields.words("exclude"), "glob")
    rules = [Rule(names=excluded, format=None)] if excluded.patterns else []
    layers = fields.section("layer_quant_config")
    for name in layers.unread() if layers is not None else ():
        one = layers.section(name) if layers is not None else None
        if one is not None:
            rules.append(Rule(names=patterns([name], "glob"), format=_quark(one)))
    if fields.raw("layer_type_quant_config") not in (None, {}, []):
        raise unknown("quark", "layer_type_quant_config", "use a repository quantized by layer names")
    return QuantizationPlan(method="quark", linear=form, head=form, rules=tuple(rules), kept=settings.kept)


def _quark(section: ConfigFields) -> Format:
    weight = section.raw("weight")
    if not isinstance(weight, dict):
        raise unknown("quark", "a weight setting in several steps", "use a repository with one")
    fields = ConfigFields(weight, section.model_type)
    dtype, scheme = fields.text("dtype") or "", fields.text("qscheme") or "per_tensor"
    size = group_size(fields, "group_size", default=None)
    if dtype in ("fp4", "mx") and size == 32:
        return mxfp4()
    inputs = section.raw("input_tensors")
    static = isinstance(inputs, dict) and inputs.get("is_dynamic") is False
    if dtype == "fp8_e4m3" and scheme in ("per_tensor", "per_channel"):
        return Fp8(per_channel=scheme == "per_channel", input_scale=static)
    if dtype == "int8" and scheme in ("per_tensor", "per_channel"):
        return IntGroups(
            bits=8, packed=False, scales="channel" if scheme == "per_channel" else "tensor", scale_dtype="F32"
        )
    raise unknown(
        "quark", f"{quoted(dtype)} {quoted(scheme)}", "known are fp4 in groups of 32, fp8_e4m3 and int8"
    )


def torchao(settings: Settings) -> QuantizationPlan:
    """TorchAO: one configuration for all linear modules."""
    fields = settings.fields
    named = fields.raw("quant_type")
    arguments = fields.section("quant_type_kwargs")
    if isinstance(named, dict):
        inner = named.get("default")
        if not isinstance(inner, dict) or not isinstance(inner.get("_type"), str):
            raise MalformedError("quantization_config of torchao has no quant_type.default._type")
        data = inner.get("_data")
        arguments = ConfigFields(data if isinstance(data, dict) else {}, fields.model_type)
        named = inner["_type"]
    form = _torchao(str(named), arguments or ConfigFields({}, fields.model_type), settings)
    skipped = patterns(fields.words("modules_to_not_convert"), "transformers")
    both = fields.flag("include_input_output_embeddings", "include_embedding")
    return QuantizationPlan(
        method="torchao",
        linear=form,
        head=form if both else None,
        embedding=form if both else None,
        rules=(Rule(names=skipped, format=None),) if skipped.patterns else (),
        kept=settings.kept,
    )


def _torchao(name: str, fields: ConfigFields, settings: Settings) -> TorchAo:
    plain = name.lower().replace("_", "").removesuffix("config")
    dtype = settings.kept.dtype
    if plain == "int4weightonly":
        return TorchAo(kind="int4", group_size=group_size(fields, "group_size") or 128, scale_dtype=dtype)
    if plain in ("int8weightonly", "int8dynamicactivationint8weight"):
        return TorchAo(kind="int8", scale_dtype=dtype)
    if plain == "int8dynamicactivationint4weight":
        return TorchAo(kind="int8_int4", group_size=group_size(fields, "group_size", default=32) or 32)
    if plain == "float8weightonly":
        return TorchAo(kind="float8_row")
    if plain == "float8dynamicactivationfloat8weight":
        granularity = fields.raw("granularity")
        per_row = "PerRow" in str(granularity)[:400]
        return TorchAo(kind="float8_row" if per_row else "float8_tensor")
    raise unknown(
        "torchao",
        f"the configuration {quoted(name)}",
        "known are int4 and int8 weight-only, int8 dynamic and float8",
    )


def exl(settings: Settings) -> QuantizationPlan:
    """EXL2 and EXL3: the average bits that the config states."""
    fields = settings.fields
    method = fields.text("quant_method") or ""
    average, head_bits = fields.number("bits"), fields.number("head_bits") or 6.0
    if average is None or not 0.5 <= average <= 16 or not 0.5 <= head_bits <= 16:
        raise MalformedError(f"quantization_config of {method} says no bits per weight between 0.5 and 16")
    return QuantizationPlan(
        method=method,
        linear=Exl2(average_bits=average) if method == "exl2" else Exl3(average_bits=average),
        head=Exl2(average_bits=head_bits) if method == "exl2" else Exl3(average_bits=head_bits),
        kept=settings.kept,
        average_bits=True,
    )
