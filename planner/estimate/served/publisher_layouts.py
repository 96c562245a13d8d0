"""How publishers usually store a quantized model of a name, for when its config cannot be read.

An assumption, and told as one: which modules stay unquantized is written only in the repository's config. Used for
recorded logs, which name a repository and no more; `planner fit` reads the config itself.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from planner.model.formats.awq import Awq
from planner.model.formats.bitsandbytes import Bnb4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.gptq import Gptq
from planner.model.formats.int_groups import IntGroups
from planner.model.formats.layout import FormatLayout, lay_out
from planner.model.formats.piece import Format
from planner.model.formats.plain import Plain
from planner.model.formats.plan import NamePatterns, QuantizationPlan, Rule
from planner.model.network import Network

# Small projections of linear attention that publishers keep in 16 bits (Qwen3-Next's and Qwen3.5's own FP8).
_KEPT_SMALL: Final = (
    r"re:.*linear_attn\.(in_proj_a|in_proj_b|in_proj_ba|conv1d)$",
    r"re:.*shared_expert_gate$",
    r"re:.*mlp\.gate$",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A way of storing: its words in a repository's name, and the formats of linear layers and experts."""

    words: str  # a regular expression
    linear: Format
    experts: Format | None = None
    cache: str | None = None
    kept: tuple[str, ...] = _KEPT_SMALL


_INT8: Final = IntGroups(bits=8, packed=False, scales="channel")
_CONVENTIONS: Final = (
    Convention(words=r"w8a8|int8", linear=_INT8),
    Convention(words=r"fp8[-_.]?dynamic", linear=Fp8(per_channel=True, scale_dtype="BF16")),
    Convention(words=r"fp8", linear=Fp8(block=(128, 128), scale_dtype="BF16", scale_name="weight_scale_inv")),
    Convention(words=r"gptq[-_]int4", linear=Gptq(bits=4, group_size=128)),
    Convention(words=r"(?<!qat-)awq(?!-(4bit|int4))", linear=Awq(group_size=128)),
    Convention(words=r"bnb|bitsandbytes", linear=Bnb4(double=True), kept=()),
)
# Ways of storing that publishers mix with others, module by module.
_MIXED: Final = re.compile(
    r"w4a8|nvfp4|mxfp4|awq-(?:4bit|int4)|int4|w4a16|4bit|quarot", re.ASCII | re.IGNORECASE
)


def stored_otherwise(name: str) -> str:
    """Why the weights of a repository cannot be sized by its name."""
    found = _MIXED.search(name)
    words = found[0] if found else "quantized"
    return f"which modules are stored in {words} and which in 16 bits stands only in the repository's config"


def conventional_layout(
    network: Network, name: str, base: FormatLayout | None
) -> tuple[FormatLayout, str] | None:
    """The layout that a repository's name stands for by convention, and how it was told; None for plain names.

    `base` gives the element type of what stays unquantized.
    """
    if _MIXED.search(name):
        return None
    dtype = "F16" if base is not None and base.storage.label == "F16" else "BF16"
    for convention in _CONVENTIONS:
        if re.search(rf"(?<![a-z0-9])({convention.words})(?![a-z0-9])", name.lower()) is None:
            continue
        rules = (
            (Rule(names=NamePatterns(patterns=convention.kept, style="compressed"), format=None),)
            if convention.kept
            else ()
        )
        plan = QuantizationPlan(
            method="convention",
            linear=convention.linear,
            experts=convention.experts,
            rules=rules,
            kept=Plain(dtype=dtype),
            kv_cache=convention.cache,
        )
        layout = replace(lay_out(network, plan), unmatched_patterns=())
        return layout, f"stored as {layout.storage.label}, by what its name says"
    return None
