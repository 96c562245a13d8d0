"""GPTQ, AWQ, AutoRound, HQQ and bitsandbytes: integer formats with a scale per group.

Sources: transformers utils/quantization_config.py (GPTQConfig, AwqConfig, AutoRoundConfig, HqqConfig,
BitsAndBytesConfig); GPTQModel's `dynamic` (gptqmodel/quantization/config.py `dynamic_get`); auto-round 0.16
(auto_round/export); the older files quantize_config.json and quant_config.json hold the same fields.
"""

from typing import Literal

from planner.errors import MalformedError
from planner.model.formats.awq import Awq
from planner.model.formats.bitsandbytes import Bnb4, BnbInt8
from planner.model.formats.gptq import Gptq
from planner.model.formats.hqq import Hqq
from planner.model.formats.piece import Format
from planner.model.formats.plan import NamePatterns, QuantizationPlan, Rule
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields
from planner.readers.config.quantization_methods.settings import (
    Settings,
    group_size,
    one_of,
    patterns,
    unknown,
)

_GPTQ_BITS = (2, 3, 4, 8)
_WITHOUT_ZEROS = ("marlin", "gptq_marlin", "bitblas")


def gptq(settings: Settings) -> QuantizationPlan:
    """GPTQ as AutoGPTQ and GPTQModel write it, with per-module overrides."""
    fields = settings.fields
    layout = (fields.text("checkpoint_format", "format") or "gptq").lower()
    if layout not in ("gptq", "gptq_v2", *_WITHOUT_ZEROS):
        raise unknown("gptq", f"the checkpoint format {quoted(layout)}", "use a repository in format gptq")
    pack = fields.text("pack_dtype")
    if pack not in (None, "int32"):
        raise unknown("gptq", f"pack_dtype {quoted(pack)}", "use a repository packed in int32")
    form = _gptq(layout, one_of(fields, "bits", _GPTQ_BITS), group_size(fields, "group_size"))
    inside = fields.raw("modules_in_block_to_quantize")
    rules = _dynamic(fields, layout, form)
    linear: Format | None = form
    if isinstance(inside, list) and inside:
        names = [name for part in inside for name in (part if isinstance(part, list) else [part])]
        if not all(isinstance(name, str) for name in names):
            raise MalformedError(
                "quantization_config: 'modules_in_block_to_quantize' holds something that is no name"
            )
        rules = (*rules, Rule(names=patterns([str(name) for name in names], "part"), format=form))
        linear = None
    return QuantizationPlan(
        method="gptq",
        linear=linear,
        head=form if fields.flag("lm_head") else None,
        rules=rules,
        kept=settings.kept,
        notes=("AutoGPTQ before 2024 also wrote a bias of zeros for every matrix, which is not counted",),
    )


def _gptq(layout: str, bits: int, size: int | None, *, index: bool = True) -> Gptq:
    without = layout in _WITHOUT_ZEROS
    return Gptq(bits=bits, group_size=size, index=index and not without, zero_points=not without)


def _dynamic(fields: ConfigFields, layout: str, form: Gptq) -> tuple[Rule, ...]:
    """GPTQModel's overrides: "-:pattern" keeps a module, "+:pattern" or "pattern" changes its settings."""
    dynamic = fields.raw("dynamic")
    if dynamic in (None, {}, []):
        return ()
    if not isinstance(dynamic, dict):
        raise MalformedError(f"quantization_config: 'dynamic' is {quoted(dynamic)}, expected a section")
    rules = []
    for key, value in dynamic.items():
        pattern = key[2:] if key.startswith(("-:", "+:")) else key
        names = patterns([pattern], "regex")
        if key.startswith("-:"):
            rules.append(Rule(names=names, format=None))
            continue
        if not isinstance(value, dict):
            raise MalformedError(f"quantization_config: dynamic {quoted(key)} is no section")
        own = ConfigFields(value, fields.model_type)
        bits = one_of(own, "bits", _GPTQ_BITS, form.bits)
        size = group_size(own, "group_size", default=form.group_size)
        rules.append(Rule(names=names, format=_gptq(layout, bits, size)))
    return tuple(rules)


def awq(settings: Settings) -> QuantizationPlan:
    """AWQ as AutoAWQ writes it."""
    fields = settings.fields
    bits = fields.count("bits", "w_bit", default=4)
    if bits != 4:
        raise unknown("awq", f"{bits} bits", "AWQ kernels hold 4 bits; use another repository")
    version = (
        (fields.text("version", "format") or "gemm")
        .lower()
        .replace("ipex", "gemm")
        .replace("exllama", "gemm")
    )
    versions: dict[str, Literal["gemm", "gemv", "gemv_fast", "marlin"]] = {
        "gemm": "gemm", "gemv": "gemv", "gemv_fast": "gemv_fast", "marlin": "marlin",
    }  # fmt: skip
    if version not in versions:
        raise unknown("awq", f"the version {quoted(version)}", "known are gemm, gemv, gemv_fast and marlin")
    form = Awq(group_size=group_size(fields, "group_size", "q_group_size"), version=versions[version])
    skipped = patterns(fields.words("modules_to_not_convert"), "part")
    return QuantizationPlan(
        method="awq", linear=form, rules=_keep(skipped), kept=settings.kept,
    )  # fmt: skip


def auto_round(settings: Settings) -> QuantizationPlan:
    """AutoRound, whose files are packed as GPTQ's (without an index) or as AWQ's."""
    fields = settings.fields
    packing = (fields.text("packing_format", "backend") or "auto_round:auto_gptq").lower()
    bits, size = one_of(fields, "bits", _GPTQ_BITS), group_size(fields, "group_size")
    form: Format
    if "awq" in packing:
        if bits != 4:
            raise unknown("auto-round", f"AWQ packing of {bits} bits", "AWQ kernels hold 4 bits")
        form = Awq(group_size=size)
    elif "gptq" in packing:
        form = Gptq(bits=bits, group_size=size, index=False)
    else:
        raise unknown("auto-round", f"the packing {quoted(packing)}", "known are auto_gptq and auto_awq")
    rules = []
    extra = fields.raw("extra_config")
    if isinstance(extra, dict):
        for name, value in extra.items():
            own = ConfigFields(value if isinstance(value, dict) else {}, fields.model_type)
            own_bits = own.maybe_count("bits") or bits
            own_size = group_size(own, "group_size", default=size)
            kept = own_bits >= 16
            if not kept and own_bits not in _GPTQ_BITS:
                raise unknown(
                    "auto-round", f"{own_bits} bits of {quoted(name)}", "known are 2, 3, 4, 8 and 16"
                )
            changed = None if kept else Gptq(bits=own_bits, group_size=own_size, index=False)
            style: Literal["regex", "glob"] = "regex" if any(c in name for c in "*()[]|") else "glob"
            rules.append(Rule(names=patterns([name], style), format=changed))
    return QuantizationPlan(method="auto-round", linear=form, rules=tuple(rules), kept=settings.kept)


def hqq(settings: Settings) -> QuantizationPlan:
    """HQQ, one setting for all or one per kind of matrix."""
    fields = settings.fields
    section = fields.section("quant_config")
    if section is None:
        raise MalformedError("quantization_config of an HQQ model has no quant_config section")
    skipped = patterns(fields.words("skip_modules") or ("lm_head",), "part")
    if section.has("weight_quant_params"):
        return QuantizationPlan(
            method="hqq", linear=_hqq(section), head=_hqq(section), rules=_keep(skipped), kept=settings.kept
        )
    rules = []
    for name in section.unread():
        one = section.section(name)
        if one is not None:
            rules.append(Rule(names=patterns([name], "part"), format=_hqq(one)))
    return QuantizationPlan(method="hqq", linear=None, rules=(*_keep(skipped), *rules), kept=settings.kept)


def _hqq(section: ConfigFields) -> Hqq:
    weights = section.section("weight_quant_params") or section
    if section.has("scale_quant_params") or section.has("zero_quant_params"):
        raise unknown("hqq", "a quantized scale or zero point", "use a repository that keeps them in 16 bits")
    bits = one_of(weights, "nbits", (1, 2, 3, 4, 5, 6, 8))
    return Hqq(
        bits=bits,
        group_size=group_size(weights, "group_size", default=64),
        axis=weights.maybe_count("axis") or 0,
    )


def bitsandbytes(settings: Settings) -> QuantizationPlan:
    """LLM.int8() or four bits, stored or made while loading: the bytes are the same."""
    fields = settings.fields
    skipped = fields.words("llm_int8_skip_modules")
    double = fields.flag("bnb_4bit_use_double_quant")
    kind = (fields.text("bnb_4bit_quant_type") or "fp4").lower()
    eight, four = fields.flag("load_in_8bit", "_load_in_8bit"), fields.flag("load_in_4bit", "_load_in_4bit")
    if eight == four:
        raise MalformedError(
            "quantization_config of bitsandbytes says neither or both of load_in_8bit and load_in_4bit"
        )
    form: Format = BnbInt8()
    if four:
        if kind not in ("nf4", "fp4"):
            raise unknown("bitsandbytes", f"the 4-bit type {quoted(kind)}", "known are nf4 and fp4")
        storage = (fields.text("bnb_4bit_quant_storage") or "uint8").lower()
        containers = {"uint8": "U8", "bfloat16": "BF16", "float16": "F16", "float32": "F32"}
        if storage not in containers:
            raise unknown(
                "bitsandbytes", f"the storage type {quoted(storage)}", "known are " + ", ".join(containers)
            )
        form = Bnb4(kind=kind, double=double, container=containers[storage])
    return QuantizationPlan(
        method="bitsandbytes",
        linear=form,
        # An explicit list replaces the default, which keeps the output head.
        head=form if skipped else None,
        rules=_keep(patterns(skipped, "part")),
        kept=settings.kept,
    )


def _keep(names: NamePatterns) -> tuple[Rule, ...]:
    return (Rule(names=names, format=None),) if names.patterns else ()
