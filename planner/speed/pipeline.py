"""Micro-batches that follow each other through several GPUs."""

from collections import defaultdict

from planner.speed.operator_time import LAUNCH_S, OperatorTime

# Kernels, as counted here, that wait in a device's queue before the engine does: of 1,024 launches about five for
# each. A stage of more holds up the stages behind it.
QUEUED_KERNELS = 200


def overlapped(times: tuple[OperatorTime, ...], n_batches: float) -> tuple[OperatorTime, ...]:
    """Operators of a prompt whose m micro-batches follow each other through the GPUs.

    Once full, such a pipeline passes a micro-batch in the time that its busiest GPU takes: of the time one after
    another, 1/m + (1 − 1/m) · share of the busiest is left (pipeline parallelism in llama-context.cpp, from March
    2024). A stage of more kernels than wait in a queue lets that much less of the others' work go on beside it.
    """
    busy: dict[int, float] = defaultdict(float)
    kernels_s: dict[int, float] = defaultdict(float)
    for time in times:
        if "multiply" in time.operator:
            busy[time.device] += time.ideal_s
        if time.operator == "batch_launch":
            kernels_s[time.device] += time.ideal_s / n_batches
    if not busy or not kernels_s:
        return times
    full = 1 / n_batches + (1 - 1 / n_batches) * max(busy.values()) / sum(busy.values())
    beside = min(1.0, QUEUED_KERNELS * LAUNCH_S / max(kernels_s.values()))
    left = 1 - beside * (1 - full)
    return tuple(
        OperatorTime(
            device=time.device,
            operator=time.operator,
            type_class=time.type_class,
            ideal_s=time.ideal_s * left,
        )
        for time in times
    )
