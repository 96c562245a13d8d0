"""Finding the rows that an expert's tile multiplies: in ggml-vulkan every work group looks through all picks itself.

The picks of a micro-batch are n·k expert numbers. A work group multiplies one tile (rows of one expert's matrix by some of its
tokens), and first goes through the picks to see which tokens are that expert's. Until a build counts the experts'
tokens beforehand, tiles that turn out to have none do so too. So what is spent grows with the square of the micro-batch, with
the experts and with the matrices' rows, and not at all with their columns: far more for many narrow experts than for a few.
"""

from planner.model.weight import uneven_read_share
from planner.speed.device import SpeedDevice
from planner.speed.kernels import expert_columns
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights

# Builds from which threads of a subgroup look through different picks (llama.cpp #14555, only with matrix cores), all of the
# work group's (#15427; #15524 without), tiles without tokens end at once (#18352), and rows are found once (#26686).
_BY_SUBGROUP = 5885
_BY_GROUP = 6256
_COUNTED = 7549
_FOUND_ONCE = 10700
# Steps of a work group's threads for each pick, in those of one that asks and counts over the whole group. Before, each
# thread looked at every pick, in steps without barriers: a fifth as long by the measurements of #15524.
_ALONE_STEPS = 128 / 5
_SUBGROUP_STEPS = 2.0


def row_search_s(weight: ClassWeights, device: SpeedDevice, setting: Setting, n_in_batch: float) -> float:
    """Ideal seconds of a micro-batch: tiles · picks · steps a pick · 2 / rate of FP32 outside the matrix cores."""
    if not weight.is_expert or device.backend != "vulkan" or setting.is_from(_FOUND_ONCE):
        return 0.0
    columns = expert_columns(device, setting, n_in_batch)
    if setting.is_from(_COUNTED):
        reached = uneven_read_share(weight.active_fraction, n_in_batch)
        each = n_in_batch * weight.active_fraction / reached
        tiles_across = reached * max(1.0, (each + (columns - 1) / 2) / columns)
    else:
        tiles_across = max(1.0, n_in_batch / columns)
    tiles = weight.n_rows / columns * tiles_across
    picks = n_in_batch * weight.active_fraction * weight.n_experts
    return float(tiles * picks * _steps(device, setting) * 2 / device.vector_flop_per_s)


def _steps(device: SpeedDevice, setting: Setting) -> float:
    if setting.is_from(_BY_GROUP):
        return 1.0
    return _SUBGROUP_STEPS if device.has_matrix_cores and setting.is_from(_BY_SUBGROUP) else _ALONE_STEPS
