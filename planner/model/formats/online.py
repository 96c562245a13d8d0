"""Quantizing while loading: what vLLM's --quantization makes of weights that are published in 16 bits.

Sources: `Fp8OnlineLinearMethod` in vllm/model_executor/layers/quantization/fp8.py (a scale per tensor; head,
embeddings and routers stay), bitsandbytes_loader.py (NF4, scales quantized again), both in 0.25.1.
"""

from typing import Final

from planner.errors import MissingFactError
from planner.model.formats.bitsandbytes import Bnb4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.piece import Format
from planner.model.formats.plain import Plain
from planner.model.formats.plan import QuantizationPlan

_FORMATS: Final[dict[str, Format]] = {"fp8": Fp8(), "bitsandbytes": Bnb4(double=True)}
ONLINE_METHODS: Final = tuple(_FORMATS)


def online_plan(method: str, kept_dtype: str = "BF16") -> QuantizationPlan:
    """The plan for all linear layers and experts; raises MissingFactError for a method that does not quantize on line."""
    found = _FORMATS.get(method)
    if found is None:
        raise MissingFactError(
            f"{method[:40]!r} is not quantized while loading; {' and '.join(ONLINE_METHODS)} are, other formats are "
            "published: name their repository"
        )
    return QuantizationPlan(method=method, linear=found, kept=Plain(dtype=kept_dtype))
