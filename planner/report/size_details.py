"""`planner size --explain`: where the numbers of a plan come from."""

from planner.report.document import Table
from planner.report.figures import percent, seconds
from planner.report.quantities import usd
from planner.sizing.option import Option, Plan


def detail_tables(plan: Plan) -> tuple[Table, ...]:
    """How the load came about, what each option's replicas carry and cost, and everything that was rejected."""
    return (
        _load_table(plan),
        _options_table(plan),
        _speeds_table(plan),
        _prices_table(plan),
        _rejections_table(plan),
    )


def _load_table(plan: Plan) -> Table:
    traffic = plan.workload.traffic
    looked = f"{plan.n_layouts} layouts, {plan.n_simulated} of them simulated"
    sized_for = (
        "expected step times" if plan.sized_for == "expected" else "the long end of the step times' interval"
    )
    rows = [
        ("average", f"{plan.average:.4g} {plan.unit}", "the workload's traffic, with its growth"),
        ("peak over average", f"{plan.peak / plan.average:.3g}", "busiest hour of the busiest day"),
        ("peak", f"{plan.peak:.4g} {plan.unit}", "what machines are counted for"),
        ("arrivals", traffic.pattern, f"gaps vary with a squared coefficient of {traffic.burstiness:g}"),
        ("searched", f"{plan.n_machines_looked_at} machines", looked),
        ("sized for", plan.sized_for, sized_for),
    ]
    return Table(title="The load", headers=("", "", "from"), rows=tuple(rows), right=(1,))


def _options_table(plan: Plan) -> Table:
    return Table(
        title="What one replica carries",
        headers=("machines", "layout", f"{plan.unit} each", "what limits it", "use, mean hour", "pool, tokens", "batch", "a step"),
        rows=tuple(
            (
                f"{option.n_all_machines} × {option.offer.description}",
                option.layout.words,
                f"{option.capacity_per_replica:.3g}",
                option.capacity_limit,
                percent(option.utilisation_at_average),
                f"{option.layout.kv_tokens:,}",
                f"{option.layout.max_sequences:,}",
                f"{option.layout.max_batched_tokens:,}",
            )
            for option in plan.options
        ),
        right=(2, 4, 5, 6, 7),
    )  # fmt: skip


def _speeds_table(plan: Plan) -> Table:
    return Table(
        title="Percentiles at the peak: low–expected–high speed model, simulated",
        headers=("machines", "layout", *(str(one) for one in plan.workload.objectives)),
        rows=tuple(
            (f"{option.n_all_machines} × {option.offer.description}", option.layout.words, *_times(option))
            for option in plan.options
            if option.seen
        ),
    )


def _times(option: Option) -> tuple[str, ...]:
    return tuple(
        f"{seconds(one.seconds.low)}–{seconds(one.seconds.expected)}–{seconds(one.seconds.high)}"
        for one in option.seen
    )


def _prices_table(plan: Plan) -> Table:
    rows = []
    for option in plan.options:
        price, month = option.offer.usd_per_hour, option.usd_per_month
        if price is None or month is None:
            rows.append((option.offer.description, "–", "–", "–", "nobody published a price"))
            continue
        rows.append(
            (
                f"{option.n_all_machines} × {option.offer.description}",
                usd(price.expected),
                f"{option.hours_per_month:,.1f}",
                f"{usd(month.expected)} ({usd(month.low)}–{usd(month.high)})",
                price.source,
            )
        )
    return Table(
        title="What it costs",
        headers=("machines", "an hour of one", "hours a month", "a month", "from"),
        rows=tuple(rows),
        right=(1, 2, 3),
    )


def _rejections_table(plan: Plan) -> Table:
    """Machines with the same reason for the same layout stand together."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in plan.rejections:
        grouped.setdefault((f"{one.layout} {one.engine}", one.stage, one.reason), []).append(one.machine)
    return Table(
        title="Everything that was rejected",
        headers=("layout", "by", "why", "machines"),
        rows=tuple(
            (layout, stage, reason, ", ".join(dict.fromkeys(machines)))
            for (layout, stage, reason), machines in grouped.items()
        ),
    )
