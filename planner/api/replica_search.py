"""What replicas carry, asked once for each layout on a kind of GPU, however many machines of them there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from hardware.spec import Basis
from planner.api.replica_layouts import Checkpoint, NoReplica, TriedReplica, tried_replica
from planner.api.serving_facts import serving_facts
from planner.api.serving_machines import ServingMachines
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.served.model import ServingGpu
from planner.estimate.serving_speed.step_timer import Bound
from planner.estimate.term import Interval
from planner.sizing.closed_form import Means, impossible, most_at_once, most_requests_per_s, most_users
from planner.sizing.option import Seen, SizedFor
from planner.sizing.question import Limits, SizingQuestion
from planner.sizing.replica import (
    BUSIEST,
    LEAST,
    Capacity,
    Replica,
    capacity,
    long_run,
    percentile_s,
    saturation,
)
from planner.sizing.sampled_load import SampledLoad
from planner.workload.workload import Workload

_TIMES: Final[Mapping[SizedFor, Bound]] = {"expected": "expected", "low": "high"}  # low speed: high times
_LEAST_S: Final = 1e-9
T = TypeVar("T")


def _or_raise(found: T | NoReplica) -> T:
    if isinstance(found, NoReplica):
        raise found
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaKey:
    """What a replica's capacity depends on, within one question."""

    accelerator: str
    gpu: ServingGpu
    checkpoint: int
    engine: str
    ranks: Parallel
    limits: Limits
    link_bytes_per_s: float | None = None  # between its ranks, where it has several
    joined: str | None = None  # the machine whose network joins its ranks, where they are on several


@dataclass(frozen=True)
class ReplicaSearch:
    """Answers about replicas of one model under one workload, each remembered."""

    models: tuple[Checkpoint, ...]
    workload: Workload
    question: SizingQuestion
    load: SampledLoad
    means: Means
    length: int
    _tried: dict[ReplicaKey, TriedReplica | NoReplica] = field(default_factory=dict)
    _bounds: dict[ReplicaKey, float | NoReplica] = field(default_factory=dict)
    _replicas: dict[tuple[ReplicaKey, Bound], Replica] = field(default_factory=dict)
    _capacities: dict[ReplicaKey, Capacity] = field(default_factory=dict)
    _seconds: dict[tuple[ReplicaKey, float, Bound], tuple[float, ...]] = field(default_factory=dict)

    @property
    def n_layouts(self) -> int:
        """Layouts that were looked at."""
        return len(self._tried)

    @property
    def n_simulated(self) -> int:
        """Layouts whose capacity was simulated."""
        return len(self._capacities)

    def tried(self, key: ReplicaKey, machines: ServingMachines | None) -> TriedReplica:
        """The layout, if the engine starts with it; raises NoReplica."""
        if key not in self._tried:
            if machines is None:
                raise KeyError(key)
            try:
                self._tried[key] = tried_replica(
                    self.models[key.checkpoint], key.engine, key.ranks, machines, self.means, self.length,
                    key.limits, self.question.cache_type,
                )  # fmt: skip
            except NoReplica as no:
                self._tried[key] = no
        return _or_raise(self._tried[key])

    def is_measured(self, key: ReplicaKey) -> bool:
        """Whether serving engines were measured on GPUs of its family."""
        family = _or_raise(self._tried[key]).deployment.accelerator.architecture
        return family in serving_facts().rates.families

    def bound(self, key: ReplicaKey, machines: ServingMachines | None) -> float:
        """A load that the replica surely does not carry; raises NoReplica where an objective cannot hold."""
        if key not in self._bounds:
            try:
                self._bounds[key] = self._bound(key, machines)
            except NoReplica as no:
                self._bounds[key] = no
            except MissingFactError as error:
                self._bounds[key] = NoReplica("speed", str(error))
        return _or_raise(self._bounds[key])

    def _bound(self, key: ReplicaKey, machines: ServingMachines | None) -> float:
        self.tried(key, machines)
        replica = self._replica(key, _TIMES[self.question.sized_for])
        objectives = self.workload.objectives
        reason = impossible(
            replica.timer, replica.policy, self.load.requests, objectives, replica.first_token_s
        )
        if reason is not None:
            raise NoReplica("closed form", reason)
        if self.load.unit == "users":
            most = most_users(
                replica.timer, replica.policy, self.means, objectives, self.load.idle_s_per_request
            )
        else:
            most = (
                most_requests_per_s(replica.timer, replica.policy, self.means, objectives)
                * self.load.n_tasks_per_request
            )
        return most * replica.n_attention_replicas

    def capacity(self, key: ReplicaKey) -> Capacity:
        """What the replica carries within the objectives."""
        if key not in self._capacities:
            replica, serve = self._replica(key, _TIMES[self.question.sized_for]), self.load.serve
            most, least = _or_raise(self._bounds[key]), 1.0
            if self.load.unit != "users":
                n_at_once = most_at_once(replica.timer, replica.policy, self.means, ())
                able = saturation(replica, serve, n_at_once, self.load.n_tasks_per_request)
                most, least = min(most, BUSIEST * able), LEAST * able
            self._capacities[key] = capacity(replica, serve, self.workload.objectives, most, least)
        return self._capacities[key]

    def seen(self, key: ReplicaKey, load: float, *, whole_interval: bool) -> tuple[Seen, ...]:
        """Percentiles of a replica at a load; without the whole interval its ends are the expected times."""
        expected = self._percentiles(key, load, "expected")
        low, high = expected, expected
        if whole_interval:
            low, high = self._percentiles(key, load, "low"), self._percentiles(key, load, "high")
        return tuple(
            Seen(
                objective=objective,
                seconds=Interval(
                    low=max(_LEAST_S, min(low[i], expected[i])),
                    expected=max(_LEAST_S, expected[i]),
                    high=max(_LEAST_S, high[i], expected[i]),
                    basis=Basis.DERIVED,
                    source="simulated with the low, expected and high step times of the speed model",
                ),
            )
            for i, objective in enumerate(self.workload.objectives)
        )

    def _percentiles(self, key: ReplicaKey, load: float, bound: Bound) -> tuple[float, ...]:
        asked = (key, load, bound)
        if asked not in self._seconds:
            replica = self._replica(key, bound)
            result = long_run(replica, self.load.serve, load)
            self._seconds[asked] = tuple(
                percentile_s(result, objective, replica.first_token_s)
                for objective in self.workload.objectives
            )
        return self._seconds[asked]

    def _replica(self, key: ReplicaKey, bound: Bound) -> Replica:
        if (key, bound) not in self._replicas:
            self._replicas[key, bound] = _or_raise(self._tried[key]).replica(bound)
        return self._replicas[key, bound]
