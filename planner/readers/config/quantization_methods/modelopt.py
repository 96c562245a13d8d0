"""NVIDIA ModelOpt: NVFP4, FP8, INT4 AWQ and mixtures, with wildcard exclude lists.

Source: modelopt 0.47 (modelopt/torch/export/quant_utils.py `process_layer_quant_config`, `get_quant_config`,
convert_hf_config.py). config.json carries the same as hf_quant_config.json under other names.
"""

from planner.model.formats.fp4 import mxfp4, nvfp4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.int_groups import IntGroups
from planner.model.formats.modelopt_int4 import ModelOptInt4
from planner.model.formats.piece import Format
from planner.model.formats.plan import QuantizationPlan, Rule
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields
from planner.readers.config.quantization_methods.settings import Settings, group_size, patterns, unknown

_KNOWN = "known are FP8, FP8_PB_WO, FP8_PER_CHANNEL_PER_TOKEN, MXFP8, NVFP4, W4A16_NVFP4, NVFP4_AWQ, W4A16_AWQ, W4A8_AWQ"


def modelopt(settings: Settings) -> QuantizationPlan:
    """A ModelOpt section, from config.json or from hf_quant_config.json."""
    fields = settings.fields
    algorithm = fields.text("quant_algo")
    rules = named_layers(fields)
    excluded = patterns(fields.words("exclude_modules", "ignore"), "glob")
    if excluded.patterns:
        rules = (*rules, Rule(names=excluded, format=None))
    if algorithm in (None, "MIXED_PRECISION"):
        if not any(rule.format for rule in rules):
            raise unknown(
                "modelopt", "a mixture without quantized_layers", "use hf_quant_config.json of the repository"
            )
        form = None
    else:
        form = algorithm_format(algorithm, fields)
    return QuantizationPlan(
        method="modelopt", linear=form, head=form, rules=rules, kept=settings.kept, kv_cache=_kv_cache(fields)
    )


def named_layers(fields: ConfigFields) -> tuple[Rule, ...]:
    """Rules for the layers that a mixture lists, one per algorithm."""
    layers = fields.section("quantized_layers")
    if layers is None:
        return ()
    by_format: dict[Format, list[str]] = {}
    for name in layers.unread():
        one = layers.section(name)
        algorithm = one.text("quant_algo") if one is not None else None
        if one is None or algorithm is None:
            raise unknown("modelopt", f"the layer {quoted(name)} without quant_algo", _KNOWN)
        by_format.setdefault(algorithm_format(algorithm, one), []).append(name)
    return tuple(Rule(names=patterns(names, "glob"), format=form) for form, names in by_format.items())


def algorithm_format(algorithm: str, fields: ConfigFields) -> Format:
    """The format of one of ModelOpt's algorithm names; raises for one that is not known."""
    size = group_size(fields, "group_size", default=128)
    formats: dict[str, Format] = {
        "FP8": Fp8(input_scale=True),
        "FP8_PER_CHANNEL_PER_TOKEN": Fp8(per_channel=True),
        "FP8_PB_WO": Fp8(block=(128, 128)),
        "MXFP8": Fp8(block=(1, 32), scale_dtype="U8"),
        "NVFP4": nvfp4(),
        "W4A16_NVFP4": nvfp4(input_scale=False),
        "W4A8_NVFP4_FP8": nvfp4(),
        "NVFP4_AWQ": nvfp4(pre_scale=True),
        "MXFP4": mxfp4(),
        "W4A8_MXFP4_FP8": mxfp4(),
        "W4A16_AWQ": ModelOptInt4(group_size=size or 128),
        "W4A8_AWQ": ModelOptInt4(group_size=size or 128, fp8_activations=True),
        "W8A16": IntGroups(bits=8, packed=False, scales="channel", scale_dtype="F32"),
        "W8A8_SQ_PER_CHANNEL": IntGroups(bits=8, packed=False, scales="channel", scale_dtype="F32"),
    }
    found = formats.get(algorithm.upper())
    if found is None:
        raise unknown("modelopt", f"the algorithm {quoted(algorithm)}", _KNOWN)
    return found


def _kv_cache(fields: ConfigFields) -> str | None:
    named = fields.raw("kv_cache_quant_algo", "kv_cache_scheme")
    if isinstance(named, str):
        return named
    if isinstance(named, dict):
        bits, kind = named.get("num_bits"), named.get("type")
        if kind == "float" and bits in (4, 8):
            return "FP8" if bits == 8 else "NVFP4"
        if kind == "int" and bits == 8:
            return "INT8"
    return None
