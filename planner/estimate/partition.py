"""Consecutive layers dealt to devices: how many each takes so that all of them hold their part."""

from collections.abc import Sequence


def deal(sizes: Sequence[int], room_bytes: Sequence[int], order: Sequence[int]) -> tuple[int, ...] | None:
    """How many consecutive layers each device takes, or None when they do not all fit.

    `sizes` are the layers' bytes, the output head last; `room_bytes` what each device has for them, in the
    engine's order of devices; `order` names the devices as they should be filled, fastest first. Engines give
    each device one run of layers, in the order of devices, so the devices filled first take as many bytes as they
    can and the later ones what is left; then the runs are cut.
    """
    quotas = _quotas(sum(sizes), room_bytes, order)
    if quotas is None:
        return None
    # A layer that straddles two quotas may find no room on the device filled first; then the others take up to a
    # layer more. Whole room for everybody is the last thing to try.
    largest = max(sizes, default=0)
    for more in (0, largest // 2, largest):
        asked = [quota if i == order[0] else quota + more for i, quota in enumerate(quotas)]
        counts = _cut(sizes, room_bytes, asked)
        if counts is not None:
            return counts
    return _cut(sizes, room_bytes, room_bytes)


def _quotas(total: int, room_bytes: Sequence[int], order: Sequence[int]) -> tuple[int, ...] | None:
    """Bytes each device should take: full room in the order of filling until all are dealt."""
    quotas = [0] * len(room_bytes)
    left = total
    for device in order:
        quotas[device] = max(0, min(left, room_bytes[device]))
        left -= quotas[device]
    return None if left > 0 else tuple(quotas)


def _cut(sizes: Sequence[int], room_bytes: Sequence[int], quotas: Sequence[int]) -> tuple[int, ...] | None:
    """Runs of layers by quota; a layer that crosses a quota's end goes where more of it lies, if there is room."""
    counts = []
    i = 0
    owed = 0.0  # bytes by which earlier devices fell short of their quotas, or went beyond
    for device, quota in enumerate(quotas):
        target = quota + owed
        is_last = not any(quotas[device + 1 :])
        used = n = 0
        while i < len(sizes) and used + sizes[i] <= room_bytes[device]:
            if not is_last and used + sizes[i] / 2 > target:
                break
            used += sizes[i]
            n += 1
            i += 1
        owed = target - used
        counts.append(n)
    return tuple(counts) if i == len(sizes) else None
