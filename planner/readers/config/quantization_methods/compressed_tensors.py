"""compressed-tensors (llm-compressor): groups of targets with a scheme each, and a list of what is ignored.

Source: compressed-tensors 0.20 (quantization/quant_config.py, quant_args.py, utils/match.py, compressors/*).
A target is a class name ("Linear"), a module's whole name, or "re:" and a regular expression.
"""

from planner.errors import MalformedError
from planner.model.formats.fp4 import mxfp4, nvfp4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.int_groups import IntGroups
from planner.model.formats.marlin24 import Marlin24
from planner.model.formats.piece import Format
from planner.model.formats.plan import QuantizationPlan, Rule
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields
from planner.readers.config.quantization_methods.settings import Settings, group_size, patterns, unknown

_METHOD = "compressed-tensors"
_CLASSES = frozenset({"Linear", "LinearBase"})


def compressed_tensors(settings: Settings) -> QuantizationPlan:
    """A compressed-tensors section."""
    fields = settings.fields
    _refuse_sparsity(fields)
    groups = fields.section("config_groups")
    if groups is None:
        raise MalformedError("quantization_config of compressed-tensors has no config_groups section")
    whole = fields.text("format")
    ignored = patterns(fields.words("ignore"), "compressed")
    rules = [Rule(names=ignored, format=None)] if ignored.patterns else []
    linear: Format | None = None
    embedding: Format | None = None
    for name in groups.unread():
        group = groups.section(name)
        weights = group.section("weights") if group is not None else None
        if group is None or weights is None:
            continue  # a group that only quantizes activations or the cache
        form = _weight_format(group, weights, group.text("format") or whole, settings.kept.dtype)
        targets = group.words("targets") or ("Linear",)
        if _CLASSES & set(targets):
            linear = form
        if "Embedding" in targets:
            embedding = form
        named = [target for target in targets if target not in _CLASSES and target != "Embedding"]
        if named:
            rules.append(Rule(names=patterns(named, "compressed"), format=form))
    return QuantizationPlan(
        method=_METHOD,
        linear=linear,
        head=linear,
        embedding=embedding,
        rules=tuple(rules),
        kept=settings.kept,
        kv_cache=_cache(fields.section("kv_cache_scheme")),
    )


def _refuse_sparsity(fields: ConfigFields) -> None:
    sparsity = fields.section("sparsity_config")
    if sparsity is not None and sparsity.text("format") not in (None, "dense"):
        raise unknown(
            _METHOD,
            f"the sparse format {quoted(sparsity.text('format'))}",
            "its size depends on the weights themselves: name the repository, whose headers say it",
        )


def _weight_format(group: ConfigFields, weights: ConfigFields, form: str | None, dtype: str) -> Format:
    bits = weights.count("num_bits", default=8)
    kind = (weights.text("type") or "int").lower()
    size = group_size(weights, "group_size", default=None)
    strategy = weights.text("strategy") or ("group" if size else "tensor")
    block = weights.counts("block_structure") if isinstance(weights.raw("block_structure"), list) else None
    activations = group.section("input_activations")
    static = activations is not None and activations.raw("dynamic") is False
    if kind == "float" and bits == 4:
        if size == 32:
            return mxfp4()
        if size in (16, None):
            return nvfp4(input_scale=activations is not None and activations.raw("dynamic") is not True)
    if kind == "float" and bits == 8:
        if size == 32 and strategy == "group":
            return Fp8(block=(1, 32), scale_dtype="U8")
        shared = (block[0], block[1]) if block and len(block) == 2 and min(block) > 0 else None
        if strategy == "block" and shared is None:
            raise MalformedError(
                "quantization_config: strategy block without a block_structure of two numbers"
            )
        return Fp8(
            block=shared if strategy == "block" else (1, size) if size else None,
            per_channel=strategy == "channel",
            scale_dtype=dtype,
            input_scale=static,
        )
    if kind == "int" and 1 <= bits <= 8:
        if form == "marlin-24":
            return Marlin24(bits=bits, group_size=size)
        packed = form == "pack-quantized" or (form is None and bits < 8)
        if strategy not in ("tensor", "channel", "group", "block"):
            raise unknown(
                _METHOD, f"the strategy {quoted(strategy)}", "known are tensor, channel, group and block"
            )
        return IntGroups(
            bits=bits,
            packed=packed,
            scales=strategy,  # type: ignore[arg-type]
            group_size=size,
            block=(block[0], block[1]) if block and len(block) == 2 and min(block) > 0 else None,
            symmetric=weights.flag("symmetric", default=True),
            reordered=weights.raw("actorder") in (True, "group", "dynamic"),
            scale_dtype=dtype,
        )
    raise unknown(
        _METHOD,
        f"{bits} bits of type {quoted(kind)} in groups of {size}",
        "known are integers of up to 8 bits and floats of 4 or 8",
    )


def _cache(section: ConfigFields | None) -> str | None:
    if section is None:
        return None
    bits, kind = section.maybe_count("num_bits"), section.text("type")
    return {("float", 8): "FP8", ("int", 8): "INT8", ("float", 4): "NVFP4"}.get((kind or "", bits or 0))
