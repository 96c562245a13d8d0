"""Prompts read on replicas of their own, answers decoded on others (disaggregated prefill and decode).

A request goes to the reading replica with the fewest others, gives its first token when its prompt is read, and once its
cache has been sent to the decoding replica with the fewest others, the rest of the answer is decoded there. All replicas
run at the same time: each steps on until another one could have something for it.
"""

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from planner.simulate.policy import Policy
from planner.simulate.replica import NextRequests, Replica
from planner.simulate.request_spec import RequestSpec
from planner.simulate.result import RequestTimes, SimulationResult
from planner.simulate.step_timer import StepTimer


@dataclass(frozen=True, kw_only=True)
class Side:
    """Like replicas that do one of both."""

    policy: Policy
    timer: StepTimer
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("each side has at least one replica")


@dataclass(frozen=True, kw_only=True)
class ApartResult:
    """Requests from their arrival to their last token, and what each replica did."""

    requests: tuple[RequestTimes, ...]  # by their ends
    reading: tuple[SimulationResult, ...]
    decoding: tuple[SimulationResult, ...]

    def together(self) -> SimulationResult:
        """All replicas as one: sums of what they did, and the mean of how busy they were."""
        every = (*self.reading, *self.decoding)
        end_s = max(one.end_s for one in every)
        return SimulationResult(
            requests=self.requests,
            end_s=end_s,
            busy_s=sum(one.busy_s for one in every) / len(every),
            n_steps=sum(one.n_steps for one in every),
            n_preemptions=sum(one.n_preemptions for one in every),
            n_output_tokens=sum(one.n_output_tokens for one in every),
            n_prefill_tokens=sum(one.n_prefill_tokens for one in every),
            mean_running=sum(one.mean_running * one.busy_s for one in self.decoding)
            / max(sum(one.busy_s for one in self.decoding), 1e-12),
            mean_waiting=sum(one.mean_waiting * one.end_s for one in every) / end_s if end_s else 0.0,
            peak_blocks=max(one.peak_blocks for one in self.decoding),
        )


def simulate_apart(
    reading: Side,
    decoding: Side,
    requests: Iterable[RequestSpec],
    *,
    move_s: Callable[[int], float],
    next_requests: NextRequests | None = None,
) -> ApartResult:
    """Serves requests; `move_s` is the seconds in which the cache of so many tokens is sent."""
    return _Apart(reading, decoding, move_s, next_requests).run(requests)


class _Apart:
    def __init__(
        self,
        reading: Side,
        decoding: Side,
        move_s: Callable[[int], float],
        next_requests: NextRequests | None,
    ) -> None:
        self.move_s = move_s
        self.next_requests = next_requests
        self.readers = [
            Replica(reading.policy, reading.timer, self._after_reading, math.inf)
            for _ in range(reading.count)
        ]
        self.decoders = [
            Replica(decoding.policy, decoding.timer, self._after_decoding, math.inf)
            for _ in range(decoding.count)
        ]
        self.n_on = {id(one): 0 for one in (*self.readers, *self.decoders)}
        self.coming: list[tuple[float, int, RequestSpec, _Request]] = []  # to a side, by time
        self.there: dict[
            int, tuple[RequestSpec, _Request, Replica]
        ] = {}  # by the identity of what was issued
        self.n_coming = self.n_begun = 0
        self.done: list[RequestTimes] = []

    def run(self, requests: Iterable[RequestSpec]) -> ApartResult:
        for spec in requests:
            self._begin(spec)
        replicas = (*self.readers, *self.decoders)
        while True:
            following = sorted(replicas, key=lambda one: one.next_s)[:2]
            first_s = following[0].next_s
            if self.coming and self.coming[0][0] <= first_s:
                self._place(*heapq.heappop(self.coming)[2:])
                continue
            if first_s == math.inf:
                break
            until_s = min(following[1].next_s, self.coming[0][0] if self.coming else math.inf)
            following[0].advance(until_s)
        return ApartResult(
            requests=tuple(sorted(self.done, key=lambda times: times.index)),
            reading=tuple(one.result() for one in self.readers),
            decoding=tuple(one.result() for one in self.decoders),
        )

    def _begin(self, spec: RequestSpec) -> None:
        request = _Request(index=self.n_begun, spec=spec)
        self.n_begun += 1
        # The first token comes with the prompt; what is left in this cache for later calls is the prompt alone.
        self._send(replace(spec, n_output_tokens=1), request)

    def _send(self, part: RequestSpec, request: "_Request") -> None:
        heapq.heappush(self.coming, (part.arrival_s, self.n_coming, part, request))
        self.n_coming += 1

    def _place(self, part: RequestSpec, request: "_Request") -> None:
        side = self.decoders if part.is_prefilled else self.readers
        replica = min(side, key=lambda one: self.n_on[id(one)])
        self.n_on[id(replica)] += 1
        self.there[id(part)] = (part, request, replica)
        replica.issue(part)

    def _leave(self, part: RequestSpec) -> tuple["_Request", RequestTimes]:
        _, request, replica = self.there.pop(id(part))
        self.n_on[id(replica)] -= 1
        return request, replica.done[-1]

    def _after_reading(self, part: RequestSpec, now_s: float, is_served: bool) -> Iterable[RequestSpec]:
        request, times = self._leave(part)
        request.hit = times.n_prefix_hit_tokens
        if not is_served:
            self._end(request, None, times.rejected)
            return ()
        request.first_s = now_s
        spec = request.spec
        if spec.n_output_tokens == 1:
            self._end(request, now_s, None)
            return ()
        moved = RequestSpec(
            arrival_s=now_s + self.move_s(spec.n_prompt_tokens),
            n_prompt_tokens=spec.n_prompt_tokens,
            n_output_tokens=spec.n_output_tokens,
            priority=spec.priority,
            is_prefilled=True,
        )
        self._send(moved, request)
        return ()

    def _after_decoding(self, part: RequestSpec, now_s: float, is_served: bool) -> Iterable[RequestSpec]:
        request, times = self._leave(part)
        request.n_preemptions = times.n_preemptions
        self._end(request, now_s if is_served else None, times.rejected)
        return ()

    def _end(self, request: "_Request", last_s: float | None, rejected: str | None) -> None:
        spec = request.spec
        self.done.append(
            RequestTimes.of(
                spec,
                request.index,
                first_s=request.first_s,
                last_s=last_s,
                n_preemptions=request.n_preemptions,
                n_prefix_hit_tokens=request.hit,
                rejected=rejected,
            )
        )
        if self.next_requests is not None:
            now_s = last_s if last_s is not None else spec.arrival_s
            for following in self.next_requests(spec, now_s, rejected is None):
                self._begin(following)


@dataclass
class _Request:
    index: int
    spec: RequestSpec
    first_s: float | None = None
    hit: int = 0
    n_preemptions: int = 0
