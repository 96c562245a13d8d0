"""Deployments for tests, on GPUs with round figures."""

from dataclasses import replace
from typing import Any

from hardware.spec import Accelerator
from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.deployment import Deployment
from planner.estimate.serving_speed.rank_load import rank_load
from planner.estimate.serving_speed.step_rates import RATES, StepRates, to_line
from planner.model.formats.layout import lay_out
from planner.model.formats.plan import QuantizationPlan
from planner.readers.catalogue_lookup import catalogue_resolver

GPU = Accelerator(
    id="test",
    name="Test GPU",
    vendor="nvidia",
    architecture="Test",
    memory_bytes=80 * 2**30,
    memory_bytes_per_s=2e12,
    dense_flop_per_s={"fp16": 500e12, "fp8": 1000e12},
    link_bytes_per_s=400e9,
)
_RESOLVE = catalogue_resolver()
# Every rate at its start.
START = StepRates(summands={(rate.name, "*"): to_line(rate, rate.start) for rate in RATES})


def deployment(
    name: str = "llama-3.1-8b-instruct", *, ranks: Parallel | None = None, **changes: Any
) -> Deployment:
    """A deployment of a catalogue model in 16 bits, with one request of 1,024 tokens in and 256 out."""
    opened = _RESOLVE(name)
    assert opened is not None
    layout = opened.published or lay_out(opened.network, QuantizationPlan(method="none", linear=None))
    one = Deployment(
        load=rank_load(opened.network, layout.storage, ranks or Parallel()),
        accelerator=GPU,
        engine="vllm",
        n_requests=1,
        n_prompt_tokens=1024,
        n_output_tokens=256,
    )
    return replace(one, **changes)
