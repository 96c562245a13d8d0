"""Who holds what when several GPUs train one model: ZeRO stages, FSDP, and what they need to talk."""

from dataclasses import dataclass

from hardware.units import GIGA
from planner.engines.tuning.settings import TuningSettings

_LIVE_PARAMETERS = GIGA  # DeepSpeed stage3_max_live_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """By how many GPUs each kind of state is divided."""

    weights: int
    gradients: int
    optimizer: int


def shares(settings: TuningSettings) -> Shares:
    """ZeRO-1 divides the optimizer state, ZeRO-2 gradients as well, ZeRO-3 and FSDP weights too.

    Rajbhandari et al. 2020 (arXiv:1910.02054) §5: of 16 bytes per parameter in mixed precision, 12 are divided
    in stage 1, 14 in stage 2, all in stage 3.
    """
    n = settings.n_gpus
    return {
        "none": Shares(weights=1, gradients=1, optimizer=1),
        "zero1": Shares(weights=1, gradients=1, optimizer=n),
        "zero2": Shares(weights=1, gradients=n, optimizer=n),
        "zero3": Shares(weights=n, gradients=n, optimizer=n),
        "fsdp": Shares(weights=n, gradients=n, optimizer=n),
    }[settings.sharding]


def share_bytes(whole_bytes: float, n: int) -> float:
    """One GPU's part, rounded up to whole bytes as a padded shard is."""
    return float(-(-whole_bytes // n))


def gathered_bytes(
    settings: TuningSettings,
    *,
    weight_bytes: float,
    weight_parameters: int,
    layer_bytes: float,
    outer_bytes: float,
) -> float:
    """Weights that one GPU holds whole for a while, besides its own part.

    FSDP: the layer at work, the one fetched ahead, and embeddings and head, which are the root unit (PyTorch's
    rate limiter keeps two gathers in flight). ZeRO-3 keeps up to 10⁹ parameters alive. Nothing for weights that
    are not divided, unless they lie in RAM.
    """
    apart = settings.shards_weights or "weights" in settings.offload
    if not apart:
        return 0.0
    if settings.sharding == "zero3":
        return min(weight_bytes, weight_bytes * _LIVE_PARAMETERS / weight_parameters)
    return min(weight_bytes, 2 * layer_bytes + outer_bytes)


def buffer_bytes(settings: TuningSettings, *, gradient_bytes: float, layer_gradient_bytes: float,
                 hidden_size: int) -> float:  # fmt: skip
    """Room for gradients on their way between GPUs.

    DDP keeps a second copy in its buckets (gradient_as_bucket_view is off by default). DeepSpeed, with the
    Trainer's automatic values, two buckets of H² elements. FSDP the whole gradient of the layer at work.
    """
    if settings.n_gpus == 1:
        return 0.0
    if settings.sharding == "none":
        return gradient_bytes
    if settings.sharding == "fsdp":
        return layer_gradient_bytes
    return min(gradient_bytes, 2.0 * 2 * hidden_size**2)
