"""`planner compare`."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from planner import api
from planner.api.comparing import ALL_DEALS, DEFAULT_YEARS, CompareQuestion
from planner.cli.costs_files import costs_files
from planner.cli.options import CommaList, format_option, mendable_errors, reference_argument
from planner.cli.price_options import at_option, price_file_option
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.cli.report_files import write_all
from planner.cli.typed_again import typed_again
from planner.cli.workload_options import WorkloadChoice, workload_options
from planner.compare.constraints import Constraints
from planner.compare.uncertainty import DEFAULT_CASES, DEFAULT_SEED
from planner.prices.tariff import PROCESSINGS
from planner.readers.local_json import read_json_object
from planner.report.compare_document import compare_document
from planner.report.costs.saved import saved_data
from planner.report.difference import difference_document


@click.command("compare")
@reference_argument()
@click.option("--on", "machines", metavar="MACHINE", multiple=True,
              help='A machine to own or rent, such as "8x H100 SXM"; may be given several times.')  # fmt: skip
@click.option("--engine", type=click.Choice(("auto", "vllm", "sglang", "llama.cpp")), default="auto", show_default=True,
              help="What runs on own machines; auto takes vLLM, and llama.cpp (one call at a time) where it does not run.")  # fmt: skip
@click.option("--quant", default=None, help="GGUF preset to run, for a model known by its config.")
@click.option("--deal", "deals", type=CommaList(click.Choice(ALL_DEALS), "DEAL,…"), default=",".join(ALL_DEALS), show_default=True,
              help="How machines are had.")  # fmt: skip
@click.option("--site", type=click.Choice(("office", "own room", "colocation")), default=None,
              help="Where bought machines stand; small ones in an office, others in colocation when left out.")  # fmt: skip
@click.option("--spares", "n_spare_machines", type=click.IntRange(0, 10_000), default=0, show_default=True,
              help="Machines that stand by.")  # fmt: skip
@click.option("--always-on", is_flag=True,
              help="Machines on demand and spot run all month; else they are there in the hours that need them, one always.")  # fmt: skip
@click.option(
    "--api", "apis", metavar="PROVIDER/MODEL", multiple=True, help="An API; may be given several times."
)
@click.option("--hosts", "same_hosts", type=click.IntRange(0, 50), default=3, show_default=True,
              help="Cheapest hosts of the very model to compare with as well.")  # fmt: skip
@click.option("--processing", type=click.Choice(PROCESSINGS), default="standard", show_default=True,
              help="How the API works on calls; batch is cheaper and takes up to a day.")  # fmt: skip
@click.option("--volume-price", "volume_tiers", metavar="TASKS=FACTOR", multiple=True,
              help="From so many tasks a month on, each further one costs this part of the API's price, as a contract may say: "
              "1000000=0.9.")  # fmt: skip
@at_option
@price_file_option
@workload_options
@click.option("--years", type=click.FloatRange(1 / 12, 10), default=DEFAULT_YEARS, show_default=True,
              help="How far to look ahead.")  # fmt: skip
@click.option("--set", "stated", metavar="NAME=VALUE", multiple=True,
              help="A figure of your own, with bounds if you like: electricity_usd_per_kwh=0.2(0.15-0.3), machine_usd=250000, "
              "tasks_per_s=1.5, tasks_per_month=200000. --explain lists the names.")  # fmt: skip
@click.option("--costs", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
              help="A TOML file of such figures.")  # fmt: skip
@click.option("--data", "custody", type=click.Choice(("bought", "rented", "anywhere")), default="anywhere", show_default=True,
              help="Machines that prompts may be worked on: bought ones alone, rented ones too, or an API as well.")  # fmt: skip
@click.option(
    "--region", "regions", multiple=True, help="A region that data must stay in; may be given several times."
)
@click.option("--api-region", "api_regions", metavar="PROVIDER=REGION", multiple=True,
              help="Where a provider works on prompts, as your contract says.")  # fmt: skip
@click.option("--upfront", "most_upfront_usd", type=click.FloatRange(min=0), default=None,
              help="The most dollars that may be paid at once.")  # fmt: skip
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=DEFAULT_SEED,
    show_default=True,
    help="Of the drawn cases.",
)
@click.option("--cases", "n_cases", type=click.IntRange(100, 100_000), default=DEFAULT_CASES, show_default=True,
              help="Cases to draw.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Write compare.html, .md, .csv and .json into this folder as well.")  # fmt: skip
@click.option("--diff", "earlier", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="A compare.json of an earlier time: say what changed since.")  # fmt: skip
@click.option("--explain", is_flag=True, help="Print every term and every figure with its source.")
@format_option
@mendable_errors
def command(
    ref: str,
    machines: tuple[str, ...],
    engine: str,
    quant: str | None,
    deals: tuple[str, ...],
    site: str | None,
    n_spare_machines: int,
    always_on: bool,
    apis: tuple[str, ...],
    same_hosts: int,
    processing: str,
    volume_tiers: tuple[str, ...],
    at: datetime | None,
    price_file: Path | None,
    workload: WorkloadChoice,
    years: float,
    stated: tuple[str, ...],
    costs: tuple[Path, ...],
    custody: str,
    regions: tuple[str, ...],
    api_regions: tuple[str, ...],
    most_upfront_usd: float | None,
    seed: int,
    n_cases: int,
    out: Path | None,
    earlier: Path | None,
    explain: bool,
    output_format: str,
) -> None:
    """Own machines, an API, or both: what a workload costs each way, what decides it, and how sure that is.

    \b
    Examples:
      planner compare llama-3.1-8b-instruct --on "RTX 4090, 64GiB DDR5-5600" \\
        --workload chat --rps 0.3 --api google/gemini-2.5-flash-lite
      planner compare llama-3.3-70b-instruct --on "8x H100 SXM" --rps 4 \\
        --set "tasks_per_s=9(6-12)" --data rented --out report/
    """
    question = CompareQuestion(
        engine=engine,  # type: ignore[arg-type]
        deals=deals,  # type: ignore[arg-type]  # click.Choice has checked these
        site=site,  # type: ignore[arg-type]
        apis=apis,
        same_hosts=same_hosts,
        processing=processing,  # type: ignore[arg-type]
        volume_tiers=tuple(sorted(_tier(text) for text in volume_tiers)),
        at=at,
        price_file=price_file,
        years=years,
        n_spare_machines=n_spare_machines,
        always_on=always_on,
        constraints=Constraints(custody=custody, regions=regions, most_upfront_usd=most_upfront_usd),  # type: ignore[arg-type]
        api_regions=tuple(_pair(text) for text in api_regions),
        stated=stated,
        costs=costs,
        seed=seed,
        n_cases=n_cases,
    )
    with progress_bar("Compare") as progress:
        found = api.compare_costs(ref, workload.read(), machines, question, quant=quant, progress=progress)
    kept = saved_data(
        found, made_at=datetime.now(UTC).isoformat(timespec="seconds"), planner_version=version("llm-capacity-planner"),
        command=typed_again(click.get_current_context(), ("out", "earlier", "output_format", "explain")),
    )  # fmt: skip
    written = [] if out is None else write_all(out, costs_files(kept))
    if earlier is not None:
        render(difference_document(read_json_object(earlier), kept), output_format)
    else:
        render(compare_document(found, explain=explain), output_format)
    for path in written:
        click.echo(f"wrote {path.resolve()}", err=True)


def _pair(text: str) -> tuple[str, str]:
    provider, equals, region = text.partition("=")
    if not (provider.strip() and equals and region.strip()):
        raise click.UsageError(f"{text[:80]!r} is not PROVIDER=REGION, such as mistral=EU")
    return provider.strip().casefold(), region.strip()


def _tier(text: str) -> tuple[float, float]:
    tasks, equals, factor = text.partition("=")
    try:
        found = float(tasks), float(factor)
    except ValueError:
        found = (0.0, 0.0)
    if not (equals and 0 < found[0] < 1e15 and 0 < found[1] <= 10):
        raise click.UsageError(f"{text[:80]!r} is not TASKS=FACTOR, such as 1000000=0.9")
    return found
