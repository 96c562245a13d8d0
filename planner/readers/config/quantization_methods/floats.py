"""FP8 as DeepSeek and transformers write it, FBGEMM FP8, MXFP8, and MXFP4 as gpt-oss has it.

Sources: transformers quantizers/quantizer_finegrained_fp8.py and integrations/finegrained_fp8.py, fbgemm_fp8.py,
mxfp4.py. The skip list is read as `should_convert_module` reads it; routers are parameters there, not linear
modules, and stay as they are.
"""

from planner.errors import MalformedError
from planner.model.formats.fp4 import mxfp4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.plan import QuantizationPlan, Rule
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields
from planner.readers.config.quantization_methods.modelopt import named_layers
from planner.readers.config.quantization_methods.settings import Settings, patterns, unknown

_V4 = ("deepseek_v4", "deepseek_ref")
# MiMo-V2-Flash's config lists nothing, but its hub total has no room for scales of the output projections.
_KEPT_ANYWAY = {"mimo_v2_flash": ("o_proj",)}


def fp8(settings: Settings) -> QuantizationPlan:
    """FP8 with a scale per block or per tensor; DeepSeek V4's experts in four bits where it says so."""
    fields = settings.fields
    fmt = (fields.text("fmt") or "e4m3").lower()
    dtype = {"e4m3": "F8_E4M3", "float8_e4m3fn": "F8_E4M3", "e5m2": "F8_E5M2"}.get(fmt)
    if dtype is None:
        raise unknown("fp8", f"the format {quoted(fmt)}", "known are e4m3 and e5m2")
    is_v4 = settings.architecture in _V4
    form = Fp8(
        block=_block(fields),
        # V4's files hold bare exponents; V3.2 rounds to powers of two and stores them in 32 bits.
        scale_dtype="F8_E8M0" if is_v4 and fields.text("scale_fmt") == "ue8m0" else "F32",
        scale_name="weight_scale_inv",
        input_scale=fields.text("activation_scheme") == "static",
        dtype=dtype,
    )
    experts = None
    if settings.expert_dtype == "fp4":
        experts = mxfp4(container="I8", scale_dtype="F8_E8M0")
    elif settings.expert_dtype not in (None, "fp8"):
        raise unknown("fp8", f"expert_dtype {quoted(settings.expert_dtype)}", "known are fp4 and fp8")
    listed = fields.words("modules_to_not_convert", "ignored_layers") or _KEPT_ANYWAY.get(
        settings.architecture
    )
    skipped = patterns(listed, "transformers")
    rules = (Rule(names=skipped, format=None),) if skipped.patterns else ()
    if is_v4:  # unlike V3, V4 has the projection of its extra layer in FP8 too
        rules = (Rule(names=patterns(["eh_proj"], "transformers"), format=form), *rules)
    return QuantizationPlan(
        method="fp8",
        linear=form,
        experts=experts,
        # A repository quantized again lists the layers that differ; the rest stays in FP8.
        rules=(*named_layers(fields), *rules),
        kept=settings.kept,
    )


def _block(fields: ConfigFields) -> tuple[int, int] | None:
    sizes = fields.counts("weight_block_size")
    if sizes is None:
        return None
    if len(sizes) != 2 or min(sizes) < 1:
        raise MalformedError(
            f"quantization_config: 'weight_block_size' has {len(sizes)} entries, expected two positive numbers"
        )
    return sizes[0], sizes[1]


def mxfp8(settings: Settings) -> QuantizationPlan:
    """FP8 in blocks of 32 with a shared exponent."""
    skipped = patterns(settings.fields.words("modules_to_not_convert"), "transformers")
    return QuantizationPlan(
        method="mxfp8",
        linear=Fp8(block=(1, 32), scale_dtype="F8_E8M0"),
        rules=(Rule(names=skipped, format=None),) if skipped.patterns else (),
        kept=settings.kept,
    )


def fbgemm_fp8(settings: Settings) -> QuantizationPlan:
    """FBGEMM's FP8: a scale per output channel and an upper bound of the activations."""
    skipped = patterns(settings.fields.words("modules_to_not_convert"), "transformers")
    return QuantizationPlan(
        method="fbgemm_fp8",
        linear=Fp8(per_channel=True, input_scale=True),
        rules=(Rule(names=skipped, format=None),) if skipped.patterns else (),
        kept=settings.kept,
    )


def gpt_oss_mxfp4(settings: Settings) -> QuantizationPlan:
    """MXFP4 as gpt-oss has it: the experts in four bits, all else as it was."""
    skipped = patterns(settings.fields.words("modules_to_not_convert"), "glob")
    return QuantizationPlan(
        method="mxfp4",
        linear=None,
        experts=mxfp4(),
        rules=(Rule(names=skipped, format=None),) if skipped.patterns else (),
        kept=settings.kept,
    )
