"""One replica, step by step: who waits, who is read, who decodes, and when each token is there.

Steps that only decode are added up at once until something changes: an answer ends, a request arrives that has room, or
the pool is full. Everything else is one step after the other, as the engine does it.
"""

import heapq
import math
from collections.abc import Callable, Iterable

from planner.simulate.block_pool import BlockPool
from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.result import RequestTimes, SimulationResult
from planner.simulate.sequence import Sequence
from planner.simulate.step_timer import StepTimer

NextRequests = Callable[[RequestSpec, float, bool], Iterable[RequestSpec]]


class Replica:
    """The state of one replica between two steps."""

    def __init__(
        self, policy: Policy, timer: StepTimer, next_requests: NextRequests | None, until_s: float
    ) -> None:
        self.policy = policy
        self.timer = timer
        self.next_requests = next_requests
        self.until_s = until_s
        self.horizon_s = math.inf  # beyond which others may have something for it
        self.now = 0.0
        self.step = 0
        self.pending: list[tuple[float, int, RequestSpec]] = []  # to arrive, by time
        self.waiting: list[tuple[int, int, int, Sequence]] = []  # by priority, preempted first, order
        self.running: dict[int, Sequence] = {}  # in the order of their admission
        self.reading: dict[int, Sequence] = {}  # whose prompts are not read yet
        self.ends: list[tuple[int, int, Sequence]] = []  # of those that decode, by step
        self.n_decoding = 0
        self.cached_tokens = 0  # of those that decode
        self.pool = BlockPool(policy)
        self.done: list[RequestTimes] = []
        self.n_issued = 0
        self.busy_s = self.running_s = self.waited_s = 0.0
        self.waiting_since: dict[int, float] = {}
        self.n_steps = self.n_preemptions = self.n_output = self.n_read = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to serve, or to come."""
        return not (self.pending or self.waiting or self.running)

    @property
    def next_s(self) -> float:
        """When it will do something next: now, or when the next request arrives; never when it is done."""
        if self.running or self.waiting:
            return self.now
        return max(self.now, self.pending[0][0]) if self.pending else math.inf

    def issue(self, spec: RequestSpec) -> None:
        """A request that is to arrive at its time; one that has passed is there after the step under way."""
        if spec.arrival_s <= self.until_s:
            heapq.heappush(self.pending, (spec.arrival_s, self.n_issued, spec))
            self.n_issued += 1

    def advance(self, until_s: float = math.inf) -> None:
        """Steps until a time has come or nothing is left; at least one step where there is something to do.

        Steps are whole: the last one may end later.
        """
        self.horizon_s = until_s
        pending = self.pending
        while not self.is_done:
            if pending and pending[0][0] <= self.now:
                self._arrive()
            if self.running or self.waiting:
                self._step()
            elif pending:
                if pending[0][0] > until_s:
                    return
                self.now = pending[0][0]
                continue
            if self.now >= until_s:
                return

    def result(self) -> SimulationResult:
        """What happened until now."""
        if self.is_done and not self.pool.holds_only_beginnings:
            raise AssertionError("blocks of the pool were lost")
        return SimulationResult(
            requests=tuple(sorted(self.done, key=lambda times: times.index)),
            end_s=self.now,
            busy_s=self.busy_s,
            n_steps=self.n_steps,
            n_preemptions=self.n_preemptions,
            n_output_tokens=self.n_output,
            n_prefill_tokens=self.n_read,
            mean_running=self.running_s / self.busy_s if self.busy_s else 0.0,
            mean_waiting=self.waited_s / self.now if self.now else 0.0,
            peak_blocks=self.pool.peak,
        )

    # Arrivals

    def _arrive(self) -> None:
        while self.pending and self.pending[0][0] <= self.now:
            arrival_s, index, spec = heapq.heappop(self.pending)
            refusal = self.policy.refusal(spec.n_prompt_tokens, spec.n_output_tokens)
            if refusal is not None:
                self._finish_times(Sequence(index, spec), None, refusal)
                continue
            self.waiting_since[index] = arrival_s
            heapq.heappush(self.waiting, (spec.priority, 1, index, Sequence(index, spec)))

    # Steps

    def _step(self) -> None:
        """One step with prompts in it, or all steps until something changes."""
        self._make_room_to_grow()
        if not self.reading and not self.waiting:
            self._decode()
            return
        chunks, chunk_tokens, pairs = self._chunks()
        if not chunks:
            self._decode()
            return
        alone = self.policy.mixing == "prompts_first"
        if alone:
            seconds = self.timer.prompts(self.n_decoding, chunk_tokens, pairs)
        else:
            seconds = self.timer.mixed(self.n_decoding, self.cached_tokens, chunk_tokens, pairs)
        late_s = self._late_s(seconds, alone=alone)
        self._pass(seconds, 1, len(self.running))
        self.n_read += chunk_tokens
        if not alone:
            self._grow(1)
        for sequence, length in chunks:
            sequence.prompt_left -= length
            sequence.cached += length
            sequence.late_s += late_s
            if sequence.prompt_left == 0:
                del self.reading[sequence.index]
                self._read_whole(sequence)
        self._end()

    def _late_s(self, seconds: float, *, alone: bool) -> float:
        """What the prompts of a step take longer than the step does for others that decode or wait."""
        share = self.timer.interference
        if share == 1.0 or not self.n_decoding:
            return 0.0
        if not alone:
            empty_s, per_token_s = self.timer.decode(self.n_decoding)
            seconds -= empty_s + per_token_s * self.cached_tokens
        return seconds * (1 / share - 1)

    def _chunks(self) -> tuple[list[tuple[Sequence, int]], int, int]:
        """The parts of prompts that the next step reads; admits requests as long as there is room."""
        policy = self.policy
        budget = policy.max_batched_tokens
        if policy.mixing == "mixed":
            budget -= self.n_decoding
        chunks: list[tuple[Sequence, int]] = []
        n_tokens = pairs = 0
        for sequence in list(self.reading.values()):
            if budget <= 0:
                break
            length = min(sequence.prompt_left, budget)
            if not self._take_for(sequence, length):
                continue  # it was sent back itself
            chunks.append((sequence, length))
            pairs += length * sequence.cached + length * length // 2
            n_tokens += length
            budget -= length
        while budget > 0 and self.waiting and len(self.running) < policy.max_sequences:
            sequence = self.waiting[0][3]
            first = self._admit(sequence, budget)
            if first is None:
                break
            heapq.heappop(self.waiting)
            self.waited_s += self.now - self.waiting_since.pop(sequence.index)
            if first:
                chunks.append((sequence, first))
                pairs += first * sequence.cached + first * first // 2
                n_tokens += first
                budget -= first
        return chunks, n_tokens, pairs

    def _decode(self) -> None:
        """Steps that only decode, up to the next change."""
        if not self.n_decoding:
            if self.waiting and not self.running:
                raise AssertionError("a request waits for an empty replica")
            return
        n_steps = self.pool.steps_within(self.ends[0][0] - self.step)
        empty_s, per_token_s = self.timer.decode(self.n_decoding)
        first_s = empty_s + per_token_s * self.cached_tokens
        growth_s = per_token_s * self.n_decoding
        if self.pending and not self.waiting and len(self.running) < self.policy.max_sequences:
            n_steps = min(n_steps, _steps_until(self.pending[0][0] - self.now, first_s, growth_s))
        if self.horizon_s < math.inf:
            n_steps = min(n_steps, _steps_until(self.horizon_s - self.now, first_s, growth_s))
        seconds = n_steps * first_s + growth_s * n_steps * (n_steps - 1) / 2
        self._pass(seconds, n_steps, self.n_decoding)
        self._grow(n_steps)
        self._end()

    def _pass(self, seconds: float, n_steps: int, n_running: int) -> None:
        self.now += seconds
        self.busy_s += seconds
        self.running_s += seconds * n_running
        self.n_steps += n_steps

    def _grow(self, n_steps: int) -> None:
        """Everything that decodes has that many more tokens."""
        self.pool.grow(n_steps)
        self.step += n_steps
        self.cached_tokens += n_steps * self.n_decoding
        self.n_output += n_steps * self.n_decoding

    def _end(self) -> None:
        """Answers that are whole now."""
        while self.ends and self.ends[0][0] <= self.step:
            _, _, sequence = heapq.heappop(self.ends)
            if not sequence.decoding or sequence.end_step != self.step:
                continue  # it was sent back since
            sequence.remaining = 0
            self._stop_decoding(sequence)
            self._leave(sequence)
            self._finish(sequence)

    # Requests

    def _admit(self, sequence: Sequence, budget: int) -> int | None:
        """Gives a waiting request its place; tokens of its first chunk, 0 for none to read, None for no room."""
        found, hit = self.pool.found(sequence)
        first = self._place(sequence, budget, found, hit)
        if first is None and found is not None and not self.running:
            # What it begins with holds more than that, and leaves no room for the rest: read all of it again.
            first = self._place(sequence, budget, None, 0)
        return first

    def _place(self, sequence: Sequence, budget: int, found: int | None, hit: int) -> int | None:
        policy, spec = self.policy, sequence.spec
        to_read = 0 if spec.is_prefilled and sequence.first_s is None else sequence.prompt_left - hit
        length = min(to_read, budget)
        if policy.room == "reserved":
            tokens = sequence.prompt_left + sequence.remaining - 1
        elif to_read:
            tokens = hit + length
        else:
            tokens = sequence.prompt_left
        held = hit // policy.block_tokens
        blocks = policy.blocks_of(tokens) - held
        # A prompt is begun only when all of it has room: one that is sent back must not come straight back in.
        whole = max(blocks, policy.blocks_of(hit + to_read) - held)
        if not self.pool.begin(sequence, found, blocks, whole):
            return None
        sequence.hit += hit
        sequence.cached = hit
        sequence.prompt_left -= hit
        self.running[sequence.index] = sequence
        if to_read:
            self.reading[sequence.index] = sequence
            if length == to_read:
                # Others of the same step find it already: engines enter blocks when they are given out.
                self.pool.remember(sequence, hit + length)
            return length
        sequence.cached, sequence.prompt_left = sequence.prompt_left + hit, 0
        self._read_whole(sequence)
        return 0

    def _read_whole(self, sequence: Sequence) -> None:
        """A prompt is read: its first token is there, and it decodes from here on."""
        spec = sequence.spec
        if sequence.first_s is None:
            sequence.first_s = spec.arrival_s if spec.is_prefilled else self.now + sequence.late_s
        if not (spec.is_prefilled and sequence.n_preemptions == 0):
            self.n_output += 1
        sequence.remaining -= 1
        self.pool.remember(sequence, sequence.cached)
        if sequence.remaining == 0:
            self._leave(sequence)
            self._finish(sequence)
            return
        sequence.decoding = True
        sequence.end_step = self.step + sequence.remaining
        self.pool.join(sequence)
        self.n_decoding += 1
        self.cached_tokens += sequence.cached
        heapq.heappush(self.ends, (sequence.end_step, sequence.index, sequence))

    def _stop_decoding(self, sequence: Sequence) -> None:
        """Takes a sequence out of the sums over those that decode, with what it grew by since."""
        grown = sequence.tokens_at(self.step) - sequence.cached
        self.pool.leave(sequence, grown)
        sequence.cached += grown
        self.cached_tokens -= sequence.cached
        self.n_decoding -= 1
        sequence.decoding = False

    def _leave(self, sequence: Sequence) -> None:
        """Gives its blocks back, but for what a conversation keeps."""
        self.pool.remember(sequence, sequence.cached)
        self.pool.give_back(sequence)
        del self.running[sequence.index]
        self.reading.pop(sequence.index, None)

    def _send_back(self, sequence: Sequence) -> None:
        """No room: its blocks are freed, and it waits at the head of the queue to be read again."""
        spec = sequence.spec
        if sequence.decoding:
            sequence.remaining = sequence.end_step - self.step
            self._stop_decoding(sequence)
        self.pool.give_back(sequence)
        # What it had said is read again with the prompt; the next token comes when that is done.
        sequence.prompt_left = spec.n_prompt_tokens + spec.n_output_tokens - sequence.remaining
        sequence.cached = 0
        sequence.n_preemptions += 1
        self.n_preemptions += 1
        del self.running[sequence.index]
        self.reading.pop(sequence.index, None)
        self.waiting_since[sequence.index] = self.now
        heapq.heappush(self.waiting, (spec.priority, 0, sequence.index, sequence))

    def _finish(self, sequence: Sequence) -> None:
        self._finish_times(sequence, max(self.now, sequence.first_s or 0.0), None)

    def _finish_times(self, sequence: Sequence, last_s: float | None, rejected: str | None) -> None:
        spec = sequence.spec
        self.done.append(
            RequestTimes.of(
                spec,
                sequence.index,
                first_s=sequence.first_s,
                last_s=last_s,
                n_preemptions=sequence.n_preemptions,
                n_prefix_hit_tokens=sequence.hit,
                rejected=rejected,
            )
        )
        if self.next_requests is not None:
            for following in self.next_requests(spec, self.now, rejected is None):
                self.issue(following)

    # Room

    def _take_for(self, sequence: Sequence, length: int) -> bool:
        """Blocks for a chunk; sends the youngest back until there are some, itself at last (False)."""
        if self.policy.room == "reserved":
            return True
        policy = self.policy
        needed = policy.blocks_of(sequence.cached + length) - policy.blocks_of(sequence.cached)
        while not self.pool.take(needed, kept=self.pool.next_growth):
            youngest = self.running[next(reversed(self.running))]
            self._send_back(youngest)
            if youngest is sequence:
                return False
        sequence.own_blocks += needed
        return True

    def _make_room_to_grow(self) -> None:
        """Sends the youngest back until all that decode can take another token."""
        if self.policy.room == "reserved":
            return
        while self.n_decoding > 0 and self.pool.next_growth > self.pool.free:
            self._send_back(self.running[next(reversed(self.running))])


def _steps_until(wait_s: float, first_s: float, growth_s: float) -> int:
    """The fewest steps that take at least `wait_s`: k·first + growth·k·(k − 1)/2 ≥ wait."""
    if wait_s <= first_s:
        return 1
    if growth_s <= 1e-6 * first_s / max(1.0, wait_s / first_s):
        return max(1, math.ceil(wait_s / first_s))
    half = growth_s / 2
    b = first_s - half
    return max(1, math.ceil((math.sqrt(b * b + 4 * half * wait_s) - b) / (2 * half)))
