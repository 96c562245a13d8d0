"""Which AMD GPUs the environment leaves to a ROCm program.

ROCR_VISIBLE_DEVICES (indices, or GPU- and digits) acts first; HIP_VISIBLE_DEVICES, or CUDA_VISIBLE_DEVICES in its
place, and GPU_DEVICE_ORDINAL then count what is left. https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html
"""

from collections.abc import Mapping, Sequence

from hardware.probes.cuda_visible import DeviceIdentity, visible_devices

_MAX_SHOWN = 80


def rocm_positions(
    uuids: Sequence[str | None], environ: Mapping[str, str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Positions of the GPUs that stay visible, in ROCm's new order, and a line for each setting that hides one."""
    positions = tuple(range(len(uuids)))
    notes = []
    hip = "HIP_VISIBLE_DEVICES" if "HIP_VISIBLE_DEVICES" in environ else "CUDA_VISIBLE_DEVICES"
    for variable in ("ROCR_VISIBLE_DEVICES", hip, "GPU_DEVICE_ORDINAL"):
        setting = environ.get(variable)
        if setting is None:
            continue
        identities = [
            DeviceIdentity(index=place, uuid=uuids[position] if variable.startswith("ROCR") else None)
            for place, position in enumerate(positions)
        ]
        visible = visible_devices(identities, setting)
        shown = repr(setting[:_MAX_SHOWN])
        if visible.stopped_at is not None:
            notes.append(
                f"{variable}={shown}: {visible.stopped_at[:_MAX_SHOWN]!r} names no AMD GPU here, so the list "
                "ends before it"
            )
        n_hidden = len(positions) - len(visible.positions)
        if n_hidden:
            notes.append(f"{variable}={shown} hides {n_hidden} of {len(positions)} AMD GPUs")
        positions = tuple(positions[place] for place in visible.positions)
    return positions, tuple(notes)
