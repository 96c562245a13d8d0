"""One's own machines against APIs, for a model and a workload."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hardware.spec import Machine
from planner.api.machines import machine_for
from planner.api.own_capacity import Engine, OwnCapacity, own_capacity
from planner.compare.api_task import api_option
from planner.compare.comparison import Comparison, compare
from planner.compare.constraints import Constraints, Excluded
from planner.compare.month_load import SECONDS_PER_MONTH
from planner.compare.options import TASKS_PER_S, ApiOption, OwnOption, Scenario
from planner.compare.scenario import STATED_UNITS, scenario_for, stated_for_machines
from planner.compare.uncertainty import DEFAULT_CASES, DEFAULT_SEED
from planner.errors import USER_ERRORS, PriceError
from planner.prices.api import ROUTERS, one_price, same_model_prices
from planner.prices.book import default_book
from planner.prices.figure import Figure, Figures, assumed_figures, stated
from planner.prices.machine_cost import Deal, Site, cost_rates
from planner.prices.machine_hour import figures_of
from planner.prices.machine_prices import MACHINE_UNITS
from planner.prices.names import is_same
from planner.prices.price import ApiPrice
from planner.prices.tariff import Processing
from planner.progress import Progress
from planner.readers.cost_file import read_cost_file
from planner.workload.workload import Workload

_RESOLD = "huggingface_"  # another host's model through Hugging Face's router
ALL_DEALS: tuple[Deal, ...] = ("buy", "reserved", "on-demand", "spot")
DEFAULT_YEARS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareQuestion:
    """What to compare, beside the model, the workload and the machines.

    `apis` are "provider/model"; `same_hosts` adds so many of the cheapest hosts of the very model. `stated` are "NAME=VALUE" as
    --set takes them, `costs` files of them, which come first.
    """

    deals: tuple[Deal, ...] = ALL_DEALS
    engine: Engine = "auto"
    site: Site | None = None  # of bought machines; None: an office for small ones, colocation for others
    apis: tuple[str, ...] = ()
    same_hosts: int = 3
    processing: Processing = "standard"
    at: datetime | None = None  # the day of the prices; None: now
    years: float = DEFAULT_YEARS
    always_on: bool = False  # machines on demand and spot run all month, not by the hours that need them
    n_spare_machines: int = 0
    constraints: Constraints = field(default_factory=Constraints)
    api_regions: tuple[tuple[str, str], ...] = ()  # provider, region
    volume_tiers: tuple[tuple[float, float], ...] = ()
    price_file: Path | None = None  # a person's own API prices, above all lists
    stated: tuple[str, ...] = ()
    costs: tuple[Path, ...] = ()
    seed: int = DEFAULT_SEED
    n_cases: int = DEFAULT_CASES

    def __post_init__(self) -> None:
        if not 1 / 12 <= self.years <= 10:
            raise ValueError("a comparison runs over a month to ten years")


NO_QUESTION = CompareQuestion()


def compare_costs(
    text: str,
    workload: Workload,
    machines: Sequence[str | Machine] = (),
    question: CompareQuestion = NO_QUESTION,
    *,
    quant: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compares owning with buying tokens, for a model by its name or file.

    Each machine's speed is what `planner size` finds for it, within the workload's objectives, or llama.cpp's where no serving engine
    runs, unless `tasks_per_s` is stated. Machines that the model does not run on, and deals that nobody published a price for, are
    left out by name. Raises PlannerError where nothing is left.
    """
    assumed = assumed_figures()
    given = stated_figures(question, assumed)
    scenario = scenario_for(workload, assumed, given, n_months=max(1, round(question.years * 12)))
    notes: list[str] = []
    own: list[OwnOption] = []
    excluded: list[Excluded] = []
    for index, asked in enumerate(machines):
        if progress is not None:
            progress(index / (len(machines) + 2), f"machine {index + 1}")
        machine = machine_for(asked)
        try:
            capacity = _capacity(text, machine, workload, scenario, given, question, quant)
        except USER_ERRORS as error:
            excluded.append(Excluded(name=machine.name, reason=str(error)))
            continue
        options, missing = own_options(machine, capacity, scenario, given, question)
        own.extend(options)
        notes.extend((*capacity.notes, *missing))
    if progress is not None:
        progress(len(machines) / (len(machines) + 2), "prices")
    apis = api_options(text, workload, question)
    if progress is not None:
        progress((len(machines) + 1) / (len(machines) + 2), "cases")
    found = compare(
        workload, scenario, own, apis, model=text, constraints=question.constraints, excluded=excluded, seed=question.seed,
        n_cases=question.n_cases, notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip
    if progress is not None:
        progress(1.0, "done")
    return found


def own_options(
    machine: Machine,
    capacity: OwnCapacity,
    scenario: Scenario,
    given: Sequence[Figure],
    question: CompareQuestion,
) -> tuple[tuple[OwnOption, ...], tuple[str, ...]]:
    """One option for each deal that the machine can be had under, and why others are missing."""
    known = figures_of(machine, scenario.figures).with_figures(*stated_for_machines(given))
    specific = Figures(
        {
            **{name: known[name] for name in MACHINE_UNITS if name in known},
            TASKS_PER_S: capacity.tasks_per_s,
        }
    )
    options: list[OwnOption] = []
    missing: dict[str, list[str]] = {}
    for deal in question.deals:
        site = (question.site or _usual_site(machine)) if deal == "buy" else "cloud"
        try:
            cost_rates(scenario.figures.with_figures(*specific.values()), deal, site)
        except PriceError as error:
            missing.setdefault(str(error), []).append(deal)
            continue
        options.append(
            OwnOption(
                name=f"{machine.name}, {_words(deal, site)}{' by the hour' if _follows_load(deal, question) else ''}",
                machine=machine.name,
                deal=deal,
                site=site,
                specific=specific,
                machines_per_unit=capacity.machines_per_unit,
                n_spare_machines=question.n_spare_machines,
                follows_load=_follows_load(deal, question),
                layout=capacity.layout,
                notes=capacity.notes,
            )
        )
    return tuple(options), tuple(
        f"{machine.name} is not compared as {' or '.join(deals)}: {reason}"
        for reason, deals in missing.items()
    )


def api_options(text: str, workload: Workload, question: CompareQuestion) -> tuple[ApiOption, ...]:
    """The APIs asked for, and the cheapest hosts of the very model."""
    at = question.at or datetime.now(UTC)
    prices: dict[tuple[str, str], ApiPrice] = {}
    for name in question.apis:
        price = price_named(name, at, question.price_file)
        prices[price.provider, price.model_id] = price
    for price in hosts_of(text, question, at)[: question.same_hosts]:
        prices.setdefault((price.provider, price.model_id), price)
    regions = dict(question.api_regions)
    found = []
    for price in prices.values():
        if question.processing not in price.schedule.processings:
            continue
        option = api_option(
            price, workload, at, processing=question.processing, same_weights=_is_same(text, price),
            volume_tiers=question.volume_tiers,
        )  # fmt: skip
        found.append(replace(option, region=regions.get(price.provider)))
    if prices and not found:
        raise PriceError(
            f"none of the {len(prices)} APIs has a {question.processing} price; leave --processing out"
        )
    return tuple(found)


def hosts_of(text: str, question: CompareQuestion, at: datetime) -> tuple[ApiPrice, ...]:
    """Hosts of the very model, each at its cheapest, the cheapest first; no routers, whose price is that of whoever answers."""
    book = default_book(question.price_file)
    found = same_model_prices(text, most=None, at=at, book=book)
    direct = {price.provider for price in found}
    chosen: dict[str, ApiPrice] = {}
    for price in found:
        resold = price.provider.removeprefix(_RESOLD).removesuffix("-ai")
        if price.provider in ROUTERS or (resold != price.provider and resold in direct):
            continue
        chosen.setdefault(price.provider, price)
    return tuple(chosen.values())


def price_named(name: str, at: datetime, price_file: Path | None = None) -> ApiPrice:
    """The price of PROVIDER/MODEL on a day."""
    provider, slash, model = name.partition("/")
    if not slash or not model:
        raise PriceError(f"{name[:80]!r} is not PROVIDER/MODEL, such as openai/gpt-5.6-luna")
    return one_price(provider, model, at=at, book=default_book(price_file))


def stated_figures(question: CompareQuestion, assumed: Figures) -> tuple[Figure, ...]:
    """Figures of files and of the command line; a later one replaces an earlier one."""
    found: dict[str, Figure] = {}
    day = (question.at or datetime.now(UTC)).date()
    for path in question.costs:
        found |= {figure.name: figure for figure in read_cost_file(path, assumed, STATED_UNITS, day)}
    for text in question.stated:
        name, equals, value = text.partition("=")
        if not equals:
            raise PriceError(f"{text[:80]!r} is not NAME=VALUE, such as electricity_usd_per_kwh=0.2")
        figure = stated(name.strip(), value, assumed, STATED_UNITS, day)
        found[figure.name] = figure
    return tuple(found.values())


def _capacity(
    text: str, machine: Machine, workload: Workload, scenario: Scenario, given: Sequence[Figure],
    question: CompareQuestion, quant: str | None,
) -> OwnCapacity:  # fmt: skip
    said = next((figure for figure in given if figure.name == TASKS_PER_S), None)
    if said is not None:
        return OwnCapacity(tasks_per_s=said, layout="speed as stated")
    if workload.traffic.tasks_per_s is None:
        # How many tasks come was stated beside a number of users; machines are sized by the tasks.
        rate = scenario.load.tasks_per_month / SECONDS_PER_MONTH
        workload = replace(workload, traffic=replace(workload.traffic, tasks_per_s=rate, concurrency=None))
    return own_capacity(text, machine, workload, question.engine, quant)


def _follows_load(deal: Deal, question: CompareQuestion) -> bool:
    """Whether machines come and go with the hours of the week: those that are paid by the hour."""
    return deal in ("on-demand", "spot") and not question.always_on


def _usual_site(machine: Machine) -> Site:
    """An office for one or two cards of a desktop; accelerators with HBM come in servers, which stand in racks."""
    types = {(gpu.accelerator.memory_type or "") if gpu.accelerator else "" for gpu in machine.gpus}
    in_racks = len(machine.gpus) > 2 or any(kind.upper().startswith("HBM") for kind in types)
    return "colocation" if in_racks else "office"


def _words(deal: Deal, site: Site) -> str:
    return {
        "buy": f"bought ({site})",
        "reserved": "reserved",
        "on-demand": "on demand",
        "spot": "spot",
    }[deal]


def _is_same(text: str, price: ApiPrice) -> bool:
    return any(is_same(text, name) for name in (price.model_id, price.model_name))
