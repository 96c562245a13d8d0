"""Steps of a model whose layers lie in stages, one behind the other, on GPUs of their own.

As many batches are under way as there are stages (vLLM: EngineCore.step_with_batch_queue, whose queue has
max_concurrent_batches = pipeline_parallel_size places; SGLang: scheduler_pp_mixin.py, a ring of pp_size batches). So C
requests go in M = min(C, stages) batches of C / M, and with W for one of them through all stages, hops included, and a
stage at most the share f of the network:

    period = max(W, M · f · W)                       of a token of each request
    prompt = f · p on the fullest stage, and alone through all of them f · p · (k + stages − 1) / k in k chunks

Between two stages cross the hidden vectors and the residual of every token (IntermediateTensors), each tensor rank its
part, which the ranks of the next stage gather. With one stage everything is the step itself.
"""

from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.collectives import ACTIVATION_BYTES, NETWORK_LATENCY_S, seconds_over
from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.serving_speed.step_time import decode_step_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_TENSORS: Final = 2  # hidden vectors and residual


def decode_period_s(
    q: Batch, rates: StepRates, n_running: "Floats", cache_share: "float | Floats" = 1.0
) -> "Floats":
    """Seconds between two steps of the same requests, of which so many run on one replica of the attention."""
    import numpy as np

    n_batches = np.minimum(q.stages, np.maximum(n_running, 1.0))
    each = n_running / n_batches
    work = decode_step_s(q, rates, each, cache_share)
    through = work + hops_s(q, rates, each * (1 + q.draft_tokens))
    found: Floats = np.maximum(through, n_batches * q.stage_share * work)
    return found


def filling_s(q: Batch, rates: StepRates, prompt_s: "Floats", n_chunks: "Floats") -> "Floats":
    """Seconds that a prompt takes through all stages beyond those of the fullest one alone."""
    alone = prompt_s * q.stage_share * (q.stages - 1) / n_chunks
    found: Floats = alone + hops_s(q, rates, q.n_prompt)
    return found


def hops_s(q: Batch, rates: StepRates, n_tokens: "Floats") -> "Floats":
    """Seconds of handing so many tokens from stage to stage, over all hops."""
    n_bytes = n_tokens * q.hidden * ACTIVATION_BYTES * _TENSORS
    part, gathered = n_bytes / q.attention, n_bytes * (q.attention - 1) / q.attention
    nothing = 0.0 * n_bytes
    near = rates.value("collective_s", q) + seconds_over(
        q, rates, near_bytes=part + gathered, far_bytes=nothing
    )
    far = NETWORK_LATENCY_S + seconds_over(q, rates, near_bytes=gathered, far_bytes=part)
    found: Floats = q.near_hops * near + q.far_hops * far
    return found
