"""How fast requests are simulated: python benchmarks/simulate_requests.py

Chat-like traffic (log-normal prompts around 800 tokens, answers around 250) on one replica at three loads.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.simulator import simulate


class Line:
    """An H100 with an 8B model, roughly."""

    def decode(self, n_sequences: int) -> tuple[float, float]:
        """Seconds."""
        return 6e-3 + 3e-5 * n_sequences, 4e-8

    def mixed(
        self, n_sequences: int, cached_tokens: int, chunk_tokens: int, chunk_context_tokens: int
    ) -> float:
        """Seconds."""
        return (
            6e-3
            + 3e-5 * n_sequences
            + 4e-8 * cached_tokens
            + 3e-5 * chunk_tokens
            + 1e-11 * chunk_context_tokens
        )


def main() -> None:
    """One line per load."""
    policy = Policy(max_sequences=256, max_batched_tokens=8192, kv_tokens=450_000)
    for rate in (2.0, 10.0, 20.0):
        chance = random.Random(1)
        now, plan = 0.0, []
        for _ in range(5000):
            now += chance.expovariate(rate)
            plan.append(
                RequestSpec(
                    arrival_s=now,
                    n_prompt_tokens=max(1, round(800 * chance.lognormvariate(0, 0.8))),
                    n_output_tokens=max(1, round(250 * chance.lognormvariate(0, 0.7))),
                )
            )
        begin = time.process_time()
        result = simulate(policy, Line(), plan)
        spent = time.process_time() - begin
        print(
            f"{rate:4.0f} requests/s: 5,000 requests in {spent:.3f} s of CPU, {result.n_steps:,} steps, "
            f"{result.mean_running:.0f} running, {result.n_preemptions} sent back, use {result.utilisation:.0%}"
        )


if __name__ == "__main__":
    main()
