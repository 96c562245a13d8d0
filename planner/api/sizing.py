"""How many of which machine: a model, a workload and machines that can be had, searched for what meets the objectives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hardware.units import HOURS_PER_MONTH
from planner.api.layout_candidates import layout_candidates, replica_key_of
from planner.api.machine_offers import RENTED_SIZES, OfferedMachine, priced_machines
from planner.api.models import open_model
from planner.api.replica_layouts import checkpoints
from planner.api.replica_search import ReplicaKey, ReplicaSearch
from planner.api.taken_load import taken_load
from planner.progress import Progress
from planner.sizing.closed_form import means_of
from planner.sizing.counts import n_machines_for, n_machines_within, usd_per_month
from planner.sizing.demand import Demand, demand_of
from planner.sizing.front import front
from planner.sizing.offer import Offer
from planner.sizing.option import Goal, Layout, Option, Plan, Rejection, Stage
from planner.sizing.question import SizingQuestion
from planner.sizing.sampled_load import sampled_load
from planner.sizing.search import Candidate, Found, best_of_each_offer
from planner.workload.workload import Workload

_FEW_TIMES: Final = 3.0
NO_QUESTION: Final = SizingQuestion()


def size(
    text: str,
    workload: Workload,
    question: SizingQuestion = NO_QUESTION,
    *,
    machines: Sequence[OfferedMachine] = (),
    are_named: bool = False,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> Plan:
    """The machines that serve a model to a workload: 1, 2, 4 and 8 of every accelerator with a rent, or those given.

    Machines that there are only so many of, or a budget, turn the question round: what do they carry? Raises
    MissingFactError where many of the workload's requests are longer than the model's context. Options are the best of each
    accelerator and those on the front, or of every machine where they `are_named`.
    """
    opened = open_model(text, assume, progress)
    load, length, notes = taken_load(
        opened, sampled_load(workload, question.n_requests, question.seed), question.max_model_len
    )
    replicas = ReplicaSearch(
        models=checkpoints(opened, question),
        workload=workload,
        question=question,
        load=load,
        means=means_of(load.requests, prefix_cache=True),
        length=length,
    )
    offered = tuple(machines) or priced_machines("on-demand")
    return _Planning(opened.name, replicas, offered, progress, are_named=are_named, notes=notes).plan()


@dataclass
class _Planning:
    """One question over all machines."""

    name: str
    replicas: ReplicaSearch
    machines: Sequence[OfferedMachine]
    progress: Progress | None
    are_named: bool  # the machines, one by one
    notes: tuple[str, ...] = ()
    rejections: list[Rejection] = field(default_factory=list)
    keys: dict[tuple[Offer, Layout], ReplicaKey] = field(default_factory=dict)

    @property
    def question(self) -> SizingQuestion:
        return self.replicas.question

    @property
    def goal(self) -> Goal:
        limited = any(one.offer.n_available is not None for one in self.machines)
        return "most load" if limited or self.question.usd_per_month is not None else "least cost"

    @property
    def waits(self) -> bool:
        """Whether anybody waits for answers; if not, work is done when it suits."""
        return bool(self.replicas.workload.objectives)

    @property
    def demand(self) -> Demand:
        found = demand_of(self.replicas.workload, self.question.years_ahead)
        if self.waits or found.unit == "users":
            return found
        # Of a whole day this is the average again, which rounding may put a hair below itself.
        return replace(found, peak=max(found.average, self.question.window.load_within(found.average)))

    def plan(self) -> Plan:
        candidates: list[Candidate] = []
        for index, machine in enumerate(self.machines):
            if self.progress is not None:
                self.progress(index / len(self.machines) / 2, machine.offer.description)
            candidates += layout_candidates(machine, self.replicas, self.rejections)
        found = best_of_each_offer(candidates, self._cost, self._capacity)
        self._reject_unaffordable(candidates)
        options = [self._option(one) for one in found]
        kept = self._kept(options)
        demand = self.demand
        return Plan(
            model=self.name,
            workload=self.replicas.workload,
            goal=self.goal,
            unit=demand.unit,
            peak=demand.peak,
            average=demand.average,
            sized_for=self.question.sized_for,
            n_spare_machines=self.question.n_spare_machines,
            options=kept,
            front=self._front(kept),
            rejections=tuple(self.rejections),
            n_machines_looked_at=len(self.machines),
            n_layouts=self.replicas.n_layouts,
            n_simulated=self.replicas.n_simulated,
            usd_per_month=self.question.usd_per_month,
            notes=self._notes(kept),
        )

    def _notes(self, options: Sequence[Option]) -> tuple[str, ...]:
        notes = list(self.notes)
        if not self.are_named:
            sizes = ", ".join(map(str, RENTED_SIZES[:-1]))
            notes.append(
                f"machines of {sizes} and {RENTED_SIZES[-1]} GPUs are taken to be had of every accelerator with a price; "
                "name real ones with --machine"
            )
        unmeasured = dict.fromkeys(one.offer.accelerator for one in options if not one.is_measured)
        if unmeasured:
            notes.append(
                f"no serving engine was measured on GPUs like {', '.join(unmeasured)}: their speeds are what other "
                "GPUs reach, they may be several times off, and they come last"
            )
        return tuple(notes)

    # Weighing

    def _reject_unaffordable(self, candidates: Sequence[Candidate]) -> None:
        """Machines of which not even one could be had beside its spares."""
        if self.goal == "least cost":
            return
        spares = self.question.n_spare_machines
        beside = f" and {spares} to spare" if spares else ""
        for candidate in {one.offer: one for one in candidates}.values():
            offer = candidate.offer
            if self._n_serving(candidate, candidate.bound):
                continue
            reason = f"there are {offer.n_available}, which leaves none beside {spares} to spare"
            stage: Stage = "number"
            if self.question.usd_per_month is not None:
                stage, reason = "price", "nobody published a price"
                if offer.usd_per_hour is not None:
                    usd = offer.usd_per_hour.expected * HOURS_PER_MONTH * (1 + spares)
                    reason = (
                        f"one{beside} cost ${usd:,.0f} a month, more than ${self.question.usd_per_month:,.0f}"
                    )
            self.rejections.append(
                Rejection(machine=offer.description, engine="", layout="", stage=stage, reason=reason)
            )

    def _capacity(self, candidate: Candidate) -> float | None:
        if self.progress is not None:
            index = next(i for i, one in enumerate(self.machines) if one.offer == candidate.offer)
            self.progress(0.5 + index / len(self.machines) / 2, f"simulating {candidate.offer.description}")
        found = self.replicas.capacity(replica_key_of(candidate))
        if found.load is None:
            layout = self.replicas.tried(replica_key_of(candidate), None).layout
            self.rejections.append(
                Rejection(
                    machine=candidate.offer.description, engine=layout.engine, layout=layout.words, stage="simulation",
                    reason=found.broken,
                )
            )  # fmt: skip
        return found.load

    def _n_serving(self, candidate: Candidate, capacity: float) -> int:
        """Machines that carry the load, spares apart; 0 where a budget or what there is does not reach for one."""
        offer, spares = candidate.offer, self.question.n_spare_machines
        if self.goal == "least cost":
            return n_machines_for(self.demand.peak, capacity, candidate.replicas_per_machine)
        allowed = math.inf if offer.n_available is None else float(offer.n_available)
        if self.question.usd_per_month is not None:
            if offer.usd_per_hour is None:
                return 0
            allowed = min(
                allowed,
                n_machines_within(self.question.usd_per_month, offer.usd_per_hour.expected * HOURS_PER_MONTH),
            )
        return max(0, int(allowed) - spares)

    def _cost(self, candidate: Candidate, capacity: float) -> float:
        """What a search makes small: dollars of a month, machines where they have no price, or the load with a minus."""
        n = self._n_serving(candidate, capacity)
        if self.goal == "most load":
            return -n * candidate.replicas_per_machine * capacity if n else math.inf
        usd = usd_per_month(
            candidate.offer.usd_per_hour,
            n + self.question.n_spare_machines,
            self._hours(n * candidate.replicas_per_machine * capacity),
        )
        return float(n) if usd is None else usd.expected

    def _hours(self, capacity: float) -> float:
        """Hours that each machine is kept for: all month, or, where nobody waits, while there is work."""
        if self.waits or self.demand.unit == "users" or self.goal == "most load":
            return HOURS_PER_MONTH
        return self.question.window.hours_per_month(self.demand.average, capacity)

    def _option(self, found: Found) -> Option:
        candidate, key = found.candidate, replica_key_of(found.candidate)
        n = self._n_serving(candidate, found.capacity)
        n_replicas = n * candidate.replicas_per_machine
        demand = self.demand
        peak, average = demand.peak, demand.average
        if self.goal == "most load":
            peak, average = (
                n_replicas * found.capacity,
                n_replicas * found.capacity * demand.average / demand.peak,
            )
        hours = self._hours(n_replicas * found.capacity)
        n_all = n + self.question.n_spare_machines
        power_w = candidate.offer.power_w
        layout = self.replicas.tried(key, None).layout
        self.keys[candidate.offer, layout] = key
        return Option(
            offer=candidate.offer,
            layout=layout,
            n_machines=n,
            n_spare_machines=self.question.n_spare_machines,
            replicas_per_machine=candidate.replicas_per_machine,
            unit=demand.unit,
            capacity_per_replica=found.capacity,
            capacity_limit=self.replicas.capacity(key).broken,
            peak=peak,
            average=average,
            seen=(),
            usd_per_month=usd_per_month(candidate.offer.usd_per_hour, n_all, hours),
            hours_per_month=hours,
            power_w=None if power_w is None else power_w * n_all,
            is_measured=self.replicas.is_measured(key),
        )

    # What is shown

    def _kept(self, options: Sequence[Option]) -> tuple[Option, ...]:
        """In order: all of named machines; else the best of each accelerator, and what is on the front. With intervals."""
        ordered = sorted(
            options, key=lambda one: (not one.is_measured, self._worth(one), one.n_gpus, one.n_all_machines)
        )
        if not self.are_named:
            best: dict[str, Option] = {}
            for option in ordered:
                best.setdefault(option.offer.accelerator, option)
            near = [
                self._expected(one) for one in ordered if one.is_measured and self._is_near(one, ordered[0])
            ]
            on_front = {(one.offer, one.layout) for one in self._front(near)}
            ordered = [
                one
                for one in ordered
                if best[one.offer.accelerator] is one or (one.offer, one.layout) in on_front
            ]
        return tuple(self._sure(option) for option in ordered)

    def _is_near(self, option: Option, best: Option) -> bool:
        """Whether it costs at most a few times as much as the best, or carries some of what that does."""
        worth, least = self._worth(option), self._worth(best)
        return worth <= least * (_FEW_TIMES if least > 0 else 1 / _FEW_TIMES)

    def _worth(self, option: Option) -> float:
        """What options are ordered by: dollars, none last; or the load with a minus."""
        if self.goal == "most load":
            return -option.capacity
        return math.inf if option.usd_per_month is None else option.usd_per_month.expected

    def _front(self, options: Sequence[Option]) -> tuple[Option, ...]:
        known = [option for option in options if option.is_measured and self._worth(option) < math.inf]
        return front(known, self._measures)

    def _measures(self, option: Option) -> tuple[float, ...]:
        return self._worth(option), option.tightness, -option.headroom

    def _expected(self, option: Option) -> Option:
        """With what is seen at expected speeds."""
        load = option.peak / option.n_replicas
        seen = self.replicas.seen(self.keys[option.offer, option.layout], load, whole_interval=False)
        return replace(option, seen=seen)

    def _sure(self, option: Option) -> Option:
        """With the interval of the speed model carried through, at the load that each replica has at the peak.

        Should a percentile jitter above its limit there, although it holds at the larger load that replicas are sized by,
        the latter is shown.
        """
        key = self.keys[option.offer, option.layout]
        load = option.peak / option.n_replicas
        seen = self.replicas.seen(key, load, whole_interval=True)
        careful = self.question.sized_for == "low"
        if not all(one.is_met_at_high if careful else one.is_met for one in seen):
            seen = self.replicas.seen(key, option.capacity_per_replica, whole_interval=True)
        return replace(option, seen=seen)
