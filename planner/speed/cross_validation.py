"""Folds for cross-validation: large groups alone, small ones together."""

import hashlib
from collections import Counter
from collections.abc import Sequence


def fold_of(key: str, n_folds: int) -> int:
    """A fold that depends on the key alone, so that rows may come in any order."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % n_folds


def folds_of(keys: Sequence[str], n_alone: int, n_shared: int) -> tuple[int, ...]:
    """A fold for each row: the `n_alone` keys with most rows have one each, the others share `n_shared`.

    Leaving out two large devices at once would ask more than any unseen device does.
    """
    by_size = sorted(Counter(keys).items(), key=lambda item: (-item[1], item[0]))
    alone = {key: number for number, (key, _) in enumerate(by_size[:n_alone])}
    return tuple(alone[key] if key in alone else n_alone + fold_of(key, n_shared) for key in keys)
