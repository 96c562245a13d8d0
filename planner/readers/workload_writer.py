"""Writes a workload as the TOML file that `workload_file` reads, so that reading it gives the same workload."""

import json
from collections.abc import Iterable
from typing import Any

from planner.readers.workload_file import SCHEMA
from planner.workload.workload import EVEN_DAY, EVEN_WEEK, NOTHING, AgentLoop, Traffic, Workload


def workload_fields(workload: Workload) -> dict[str, Any]:
    """Keys and values of the file, without those that say what is so anyway."""
    fields: dict[str, Any] = {"schema": SCHEMA, "name": workload.name}
    if workload.description:
        fields["description"] = workload.description
    if workload.source:
        fields["source"] = workload.source
    fields["prompt_tokens"] = str(workload.prompt)
    fields["shared_prefix_tokens"] = workload.shared_prefix_tokens
    if workload.thinking != NOTHING:
        fields["thinking_tokens"] = str(workload.thinking)
    fields["output_tokens"] = str(workload.output)
    fields["samples"] = workload.samples
    if workload.objectives:
        fields["slo"] = [objective.exact for objective in workload.objectives]
    if workload.availability is not None:
        fields["availability"] = workload.availability
    if workload.agent is not None:
        fields["agent"] = _agent(workload.agent)
    fields["traffic"] = _traffic(workload.traffic)
    if workload.sources:
        fields["sources"] = {
            source.key: {
                "basis": source.basis,
                "note": source.note,
                **({} if source.url is None else {"url": source.url}),
                **({} if source.date is None else {"date": source.date}),
            }
            for source in workload.sources
        }
    return fields


def workload_toml(workload: Workload) -> str:
    """The file's text."""
    return "\n".join(_lines(workload_fields(workload), ())) + "\n"


def _agent(agent: AgentLoop) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "steps": str(agent.steps),
        "tool_tokens": str(agent.tool_tokens),
        "max_steps": agent.max_steps,
    }
    if agent.token_budget is not None:
        fields["token_budget"] = agent.token_budget
    fields["keeps_thinking"] = agent.keeps_thinking
    if agent.tool_s:
        fields["tool_s"] = agent.tool_s
    return fields


def _traffic(traffic: Traffic) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if traffic.tasks_per_s is not None:
        fields["tasks_per_s"] = traffic.tasks_per_s
    if traffic.concurrency is not None:
        fields["users"] = traffic.concurrency
    fields["pattern"] = traffic.pattern
    fields["burstiness"] = traffic.burstiness
    if traffic.day_profile != EVEN_DAY:
        fields["day_profile"] = list(traffic.day_profile)
    if traffic.week_profile != EVEN_WEEK:
        fields["week_profile"] = list(traffic.week_profile)
    fields["growth_per_year"] = traffic.growth_per_year
    if traffic.think_s:
        fields["think_s"] = traffic.think_s
    return fields


def _lines(fields: dict[str, Any], path: tuple[str, ...]) -> Iterable[str]:
    """Plain values first, then tables, as TOML wants it. JSON's texts and numbers are TOML's too."""
    for key, value in fields.items():
        if not isinstance(value, dict):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in fields.items():
        if isinstance(value, dict):
            inner = (*path, json.dumps(key) if "." in key else key)
            if any(not isinstance(item, dict) for item in value.values()):
                yield ""
                yield f"[{'.'.join(inner)}]"
            yield from _lines(value, inner)
