"""What effects know of a case, in the states that intervals are kept by."""

from planner.speed.factors import Case, Factors
from planner.speed.intervals import Knowledge, knowledge


def states_of(factors: Factors, case: Case) -> tuple[Knowledge, ...]:
    """What holds of a case, the most special first: a benchmark on this machine, and what others had measured."""
    elsewhere = factors.before or factors
    model = elsewhere.knows_model(case)
    state = knowledge(device=elsewhere.knows_device(case), model=model)
    if factors.before is None or not factors.knows_machine(case):
        return (state,)
    return ("bench" if model else "bench_new", state)
