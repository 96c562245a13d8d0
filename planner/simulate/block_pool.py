"""The pool of blocks that hold the caches of one replica: what is taken, what is idle, and what decoding will take next."""

from planner.simulate.block_clock import BlockClock
from planner.simulate.policy import Policy
from planner.simulate.prefix_cache import PrefixCache
from planner.simulate.sequence import Sequence


class BlockPool:
    """Blocks of sequences and of the beginnings that they share; idle beginnings make room where it is needed."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._n_blocks = policy.n_blocks
        self._grows = policy.room == "as_it_grows"
        self._clock = BlockClock(policy.block_tokens)
        self._prefixes = PrefixCache()
        self._used = 0  # idle conversations included
        self.peak = 0

    @property
    def free(self) -> int:
        """Blocks that can be had, from idle conversations too."""
        return self._n_blocks - self._used + self._prefixes.idle_blocks

    @property
    def holds_only_beginnings(self) -> bool:
        """Whether no sequence has a block left."""
        return self._used == self._prefixes.n_blocks

    # Blocks

    def take(self, n_blocks: int, *, kept: int = 0) -> bool:
        """Takes blocks, from idle conversations if need be; False when no more than `kept` would be left."""
        free = self._n_blocks - self._used - kept
        if n_blocks > free:
            if n_blocks > free + self._prefixes.idle_blocks:
                return False
            self._used -= self._prefixes.give_up(n_blocks - free)
        self._used += n_blocks
        if self._used > self.peak:
            self.peak = self._used
        return True

    def give_back(self, sequence: Sequence) -> None:
        """Everything that a sequence holds for itself; the beginning that it shares may be given up."""
        self._used -= sequence.own_blocks
        sequence.own_blocks = 0
        if sequence.uses is not None:
            self._prefixes.release(sequence.uses)
            sequence.uses = None

    # Growth

    @property
    def next_growth(self) -> int:
        """Blocks that what decodes will take in its next step."""
        return self._clock.needed_next() if self._grows else 0

    def steps_within(self, at_most: int) -> int:
        """Steps of decoding until the pool is full, at least one."""
        return max(1, self._clock.steps_within(self.free, at_most)) if self._grows else at_most

    def grow(self, n_steps: int) -> None:
        """Everything that decodes has so many more tokens; there was room for them."""
        if self._grows and not self.take(self._clock.needed(n_steps)):
            raise AssertionError("room to grow was made before")
        self._clock.advance(n_steps)

    def join(self, sequence: Sequence) -> None:
        """A sequence begins to grow."""
        sequence.phase = self._clock.join(sequence.cached)

    def leave(self, sequence: Sequence, n_grown: int) -> None:
        """A sequence stops growing; what it took since it began is its own."""
        if self._grows:
            blocks_of = self._policy.blocks_of
            sequence.own_blocks += blocks_of(sequence.cached + n_grown) - blocks_of(sequence.cached)
        self._clock.leave(sequence.phase)

    # Beginnings

    def begin(self, sequence: Sequence, found: int | None, n_blocks: int, whole: int) -> bool:
        """Takes the first blocks of a sequence that builds on a conversation, if there is room for the whole of it."""
        if found is not None:
            self._prefixes.use(found)
        if whole + self.next_growth > self.free or not self.take(n_blocks):
            if found is not None:
                self._prefixes.release(found)
            return False
        sequence.own_blocks = n_blocks
        sequence.uses = found
        return True

    def found(self, sequence: Sequence) -> tuple[int | None, int]:
        """The conversation in the pool with which a request begins, and how many tokens in whole blocks of it."""
        spec, size = sequence.spec, self._policy.block_tokens
        if not self._policy.prefix_cache:
            return None, 0
        for name, n_tokens in (
            (spec.conversation, spec.n_prefix_tokens),
            (spec.shared_conversation, spec.n_shared_tokens),
        ):
            if name is not None:
                there = min(self._prefixes.find(name), n_tokens)
                # The last prompt token is always read: its output is the first token.
                hit = min(there, sequence.prompt_left - 1) // size * size
                if hit:
                    return name, hit
        return None, 0

    def remember(self, sequence: Sequence, n_tokens: int) -> None:
        """Lets later requests of the same conversation begin with what is in the pool."""
        spec, size = sequence.spec, self._policy.block_tokens
        name, shared = spec.conversation, spec.shared_conversation
        if not self._policy.prefix_cache or name is None:
            return
        if spec.n_kept_tokens is not None:
            n_tokens = min(n_tokens, spec.n_kept_tokens)
        whole_blocks = n_tokens // size
        if not whole_blocks:
            return
        n_shared_blocks = 0 if shared is None else min(whole_blocks, spec.n_shared_tokens // size)
        if shared is not None and n_shared_blocks:
            self._put(sequence, shared, n_shared_blocks)
        self._put(sequence, name, whole_blocks, shared if n_shared_blocks else None, n_shared_blocks)
        if sequence.uses != name:
            self._prefixes.use(name)
            if sequence.uses is not None:
                self._prefixes.release(sequence.uses)
            sequence.uses = name

    def _put(
        self,
        sequence: Sequence,
        name: int,
        n_blocks: int,
        parent: int | None = None,
        n_parent_blocks: int = 0,
    ) -> None:
        sequence.own_blocks -= self._prefixes.put(
            name,
            n_blocks * self._policy.block_tokens,
            n_blocks,
            at_most=sequence.own_blocks,
            parent=parent,
            n_parent_blocks=n_parent_blocks,
        )
