"""Options of `planner size` that turn one of its options into files that start it and things to buy."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from hardware.units import KB
from planner import api
from planner.cli.report_files import write_all
from planner.deploy.purchase import Circuit, PurchasePlan, Site
from planner.sizing.option import Option, Plan

F = TypeVar("F", bound=Callable[..., Any])
_CIRCUIT: Final = re.compile(
    r"(?:(?P<phases>[13])x\s*)?(?P<volts>\d{2,4})\s*V\s+(?P<amperes>\d{1,4})\s*A", re.IGNORECASE
)
_POWER: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<kilo>k?)W", re.IGNORECASE)


class CircuitType(click.ParamType[Circuit]):
    """A feed to a rack: "3x208V 60A"."""

    name = "CIRCUIT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Circuit:
        """The circuit, or a usage error that shows how to write it."""
        if isinstance(value, Circuit):
            return value
        match = _CIRCUIT.fullmatch(str(value).strip())
        if match is None or not int(match["volts"]) or not int(match["amperes"]):
            self.fail(f'{str(value)[:40]!r} is no circuit, such as "3x208V 60A" or "230V 16A"', param, ctx)
        return Circuit(
            volts=float(match["volts"]), amperes=float(match["amperes"]), phases=int(match["phases"] or 1)
        )


class PowerType(click.ParamType[float]):
    """A power: "40kW"."""

    name = "POWER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Watts, or a usage error that shows how to write them."""
        if isinstance(value, float):
            return value
        match = _POWER.fullmatch(str(value).strip())
        if match is None or float(match["number"]) <= 0:
            self.fail(f"{str(value)[:40]!r} is no power, such as 17kW or 900W", param, ctx)
        return float(match["number"]) * (KB if match["kilo"] else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployChoice:
    """What is to be made of which option."""

    number: int  # as in the table, from 1
    emitted: Any  # "compose", "kubernetes" or None
    out: Path | None
    image: str | None
    site: Site | None  # None: no purchases asked for

    def option(self, plan: Plan) -> Option | None:
        """The chosen option; None where the plan has none."""
        if not plan.options:
            return None
        if self.number > len(plan.options):
            raise click.UsageError(f"--option {self.number}: there are {len(plan.options)}")
        return plan.options[self.number - 1]

    def file_text(self, option: Option) -> str | None:
        """The file that starts it, when one is asked for."""
        return None if self.emitted is None else api.emit(option, self.emitted, image=self.image)

    def purchases(self, option: Option) -> PurchasePlan | None:
        """What has to be bought for it, when that is asked for."""
        return None if self.site is None else api.buying(option, self.site)

    def write(self, text: str) -> Path | None:
        """Writes the file to --out, whole or not at all; None where it goes to standard output."""
        if self.out is None:
            return None
        return write_all(self.out.parent, {self.out.name: text})[0]


def deploy_options(command: F) -> F:
    """--option, --emit, --out, --image, --purchase, --circuit, --rack-power and --lead-weeks, as one `deploy`."""

    @click.option("--option", "number", type=click.IntRange(1), default=1, show_default=True,
                  help="Which row of the table is to be started, emitted or bought.")  # fmt: skip
    @click.option("--emit", "emitted", type=click.Choice(["compose", "kubernetes"]), default=None,
                  help="Print the file that starts it instead: Docker Compose for one machine, or Kubernetes objects for all.")  # fmt: skip
    @click.option(
        "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write that file here."
    )
    @click.option(
        "--image", default=None, help="The container image of that file, in place of the engine's own."
    )
    @click.option(
        "--purchase", is_flag=True, help="Add what has to be bought and prepared: cards, ports, racks, power."
    )
    @click.option("--circuit", type=CircuitType(), default=None,
                  help='One feed to a rack, "3x208V 60A" for three phases; two of those when left out.')  # fmt: skip
    @click.option("--rack-power", type=PowerType(), default=None, help="What a rack may draw, such as 17kW.")
    @click.option(
        "--lead-weeks",
        type=click.FloatRange(0, 520),
        default=None,
        help="Weeks until delivery, as a supplier said.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        number: int,
        emitted: Any,
        out: Path | None,
        image: str | None,
        purchase: bool,
        circuit: Circuit | None,
        rack_power: float | None,
        lead_weeks: float | None,
        **kwargs: Any,
    ) -> Any:
        if emitted is None and (out is not None or image is not None):
            raise click.UsageError("--out and --image go with --emit")
        if not purchase and (circuit or rack_power or lead_weeks) is not None:
            raise click.UsageError("--circuit, --rack-power and --lead-weeks go with --purchase")
        usual = Site()
        site = (
            Site(circuit=circuit or usual.circuit, rack_power_w=rack_power, lead_weeks=lead_weeks)
            if purchase
            else None
        )
        choice = DeployChoice(number=number, emitted=emitted, out=out, image=image, site=site)
        return command(*args, deploy=choice, **kwargs)

    return wrapped  # type: ignore[return-value]
