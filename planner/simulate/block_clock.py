"""Blocks of the KV pool that decoding sequences will need, counted without looking at each of them.

All decoding sequences grow by a token per step, so one takes a new block whenever its length passes a multiple of the
block, each at its own phase. Counting how many share a phase makes a step, or a thousand, a sum.
"""


class BlockClock:
    """New blocks per step for sequences that join and leave between steps."""

    def __init__(self, block_tokens: int) -> None:
        self._size = block_tokens
        self._by_turn = [0] * block_tokens  # sequences by the step, of so many, in which they take a block
        self._n = 0
        self._step = 0

    def phase_of(self, n_tokens: int) -> int:
        """The phase of a sequence that holds so many tokens now."""
        return (n_tokens - self._step) % self._size

    def join(self, n_tokens: int) -> int:
        """A sequence with so many tokens begins to grow; returns its phase, with which it leaves again."""
        phase = self.phase_of(n_tokens)
        self._by_turn[-phase % self._size] += 1
        self._n += 1
        return phase

    def leave(self, phase: int) -> None:
        """A sequence stops growing."""
        self._by_turn[-phase % self._size] -= 1
        self._n -= 1

    def needed(self, n_steps: int) -> int:
        """Blocks that the next so many steps take: a token that finds its last block full needs a new one."""
        if n_steps == 1:
            return self.needed_next()
        cycles, rest = divmod(n_steps, self._size)
        first = self._step % self._size
        last = first + rest
        more = sum(self._by_turn[first:last]) + sum(self._by_turn[: max(0, last - self._size)])
        return cycles * self._n + more

    def needed_next(self) -> int:
        """Blocks that the next step takes."""
        return self._by_turn[self._step % self._size]

    def steps_within(self, n_blocks: int, at_most: int) -> int:
        """How many steps the given blocks last."""
        if (at_most // self._size + 1) * self._n <= n_blocks or self.needed(at_most) <= n_blocks:
            return at_most
        steps = min(at_most, (n_blocks // self._n) * self._size)
        while steps < at_most and self.needed(steps + 1) <= n_blocks:
            steps += 1
        return steps

    def advance(self, n_steps: int) -> None:
        """So many steps have passed."""
        self._step += n_steps
