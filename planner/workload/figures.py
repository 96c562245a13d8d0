"""A workload's figures by the keys of its file, as people read them."""

from planner.workload.workload import EVEN_DAY, EVEN_WEEK, NOTHING, Workload


def workload_figures(workload: Workload) -> dict[str, str]:
    """Every figure that the workload states, in the file's order."""
    found = {
        "prompt_tokens": str(workload.prompt),
        "shared_prefix_tokens": str(workload.shared_prefix_tokens),
        "output_tokens": str(workload.output),
        "samples": str(workload.samples),
    }
    if workload.thinking != NOTHING:
        found["thinking_tokens"] = str(workload.thinking)
    if workload.objectives:
        found["slo"] = ", ".join(str(objective) for objective in workload.objectives)
    if workload.availability is not None:
        found["availability"] = f"{workload.availability:g}"
    agent, traffic = workload.agent, workload.traffic
    if agent is not None:
        found |= {
            "agent.steps": str(agent.steps),
            "agent.tool_tokens": str(agent.tool_tokens),
            "agent.max_steps": f"{agent.max_steps:,}",
            "agent.keeps_thinking": "yes" if agent.keeps_thinking else "no",
        }
        if agent.token_budget is not None:
            found["agent.token_budget"] = f"{agent.token_budget:,}"
        if agent.tool_s:
            found["agent.tool_s"] = f"{agent.tool_s:g}"
    if traffic.tasks_per_s is not None:
        found["traffic.tasks_per_s"] = f"{traffic.tasks_per_s:g}"
    if traffic.concurrency is not None:
        found["traffic.users"] = f"{traffic.concurrency:,}"
    found |= {"traffic.pattern": traffic.pattern, "traffic.burstiness": f"{traffic.burstiness:g}"}
    if traffic.day_profile != EVEN_DAY:
        found["traffic.day_profile"] = _peak(traffic.day_profile, "hour")
    if traffic.week_profile != EVEN_WEEK:
        found["traffic.week_profile"] = _peak(traffic.week_profile, "day")
    found["traffic.growth_per_year"] = f"{traffic.growth_per_year:.0%}"
    if traffic.think_s:
        found["traffic.think_s"] = f"{traffic.think_s:g}"
    return found


def _peak(weights: tuple[float, ...], unit: str) -> str:
    mean = sum(weights) / len(weights)
    return f"busiest {unit} {max(weights) / mean:.2f} × the mean, quietest {min(weights) / mean:.2f}"
