"""A stand-in for the module `ray`: nodes as data, tasks that run at once, late or never.

It keeps to what the real one does (tests/hardware/test_fleet_ray_cluster.py runs that): a task goes to the node
that its strategy names, `wait` gives finished ones only, `get` raises the errors of `exceptions`, and a dead
node's task may stay pending while `nodes` already says that it is gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """The root of what Ray raises for a task."""


class NodeDiedError(RayError):
    """The node of a task is gone."""


class RayTaskError(RayError):
    """A task raised; `cause` is what."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"ray::probe_node()\n  File a.py, line 1\n{cause}")
        self.cause = cause


@dataclass(kw_only=True)
class FakeNode:
    """A node; `answer` is text, an error, or None for one that never answers."""

    id: str
    host: str
    answer: str | Exception | None = None
    n_gpus: float = 0
    alive: bool = True
    dies_after_waits: int | None = None  # gone from the list of nodes, its task never told


@dataclass(frozen=True)
class Strategy:
    """NodeAffinitySchedulingStrategy."""

    node_id: str
    soft: bool


@dataclass
class FakeRay:
    """Answers like `ray` for the calls that the reader makes."""

    cluster: Sequence[FakeNode] = ()
    init_error: Exception | None = None
    initialized: bool = False
    n_waits: int = 0
    log: list[str] = field(default_factory=list)
    started_with: Mapping[str, Any] = field(default_factory=dict)

    exceptions = SimpleNamespace(RayError=RayError, NodeDiedError=NodeDiedError)
    util = SimpleNamespace(scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=Strategy))

    def is_initialized(self) -> bool:
        return self.initialized

    def init(self, **arguments: Any) -> None:
        if self.init_error is not None:
            raise self.init_error
        self.started_with = arguments
        self.initialized = True

    def shutdown(self) -> None:
        self.initialized = False
        self.log.append("shutdown")

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": node.id,
                "Alive": node.alive
                and (node.dies_after_waits is None or self.n_waits < node.dies_after_waits),
                "NodeManagerHostname": node.host,
                "Resources": {"CPU": 1.0, **({"GPU": node.n_gpus} if node.n_gpus else {})},
            }
            for node in self.cluster
        ]

    def remote(self, **options: Any) -> Callable[[Callable[[], str]], Any]:
        assert options["num_cpus"] == 0, "a busy cluster must not keep the probe waiting"
        assert options["max_retries"] == 0, "a probe is not run twice"

        def submit(strategy: Strategy) -> str:
            assert strategy.soft is False, "on that node or nowhere"
            return strategy.node_id

        return lambda function: SimpleNamespace(
            options=lambda scheduling_strategy: SimpleNamespace(remote=lambda: submit(scheduling_strategy))
        )

    def wait(
        self, references: Sequence[str], *, num_returns: int, timeout: float
    ) -> tuple[list[str], list[str]]:
        assert 0 < timeout <= 1.0
        self.n_waits += 1
        ready = [one for one in references if self._node(one).answer is not None][:num_returns]
        return ready, [one for one in references if one not in ready]

    def get(self, reference: str, *, timeout: float) -> str:
        answer = self._node(reference).answer
        assert answer is not None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self, reference: str, *, force: bool) -> None:
        assert force
        self.log.append(f"cancel {reference}")

    def _node(self, reference: str) -> FakeNode:
        return next(node for node in self.cluster if node.id == reference)
