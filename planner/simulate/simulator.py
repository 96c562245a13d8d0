"""One replica under a list of requests, from the first to the last."""

import math
from collections.abc import Iterable

from planner.simulate.policy import Policy
from planner.simulate.replica import NextRequests, Replica
from planner.simulate.request_spec import RequestSpec
from planner.simulate.result import SimulationResult
from planner.simulate.step_timer import StepTimer


def simulate(
    policy: Policy,
    timer: StepTimer,
    requests: Iterable[RequestSpec] = (),
    *,
    next_requests: NextRequests | None = None,
    until_s: float = math.inf,
) -> SimulationResult:
    """Serves requests that come at their own times, and those that follow others' ends in a closed loop.

    `next_requests(ended, now_s, is_served)` is asked what follows whenever a request ends, or is refused because it
    does not fit. No request that would arrive after `until_s` is taken; those under way are served to their ends.
    """
    replica = Replica(policy, timer, next_requests, until_s)
    for spec in requests:
        replica.issue(spec)
    replica.advance()
    return replica.result()
