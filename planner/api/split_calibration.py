"""How far off row and tensor splits are on the packaged table of measured ones; writes their intervals."""

import argparse
import csv
import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.api.batched_calibration import accelerator_of, work_of
from planner.api.llama_cpp_factors import SPLIT_SPREADS_FILE, SPLITS_FILE, packaged_factors
from planner.errors import MissingFactError
from planner.speed.device import gpu_device
from planner.speed.factors import Case
from planner.speed.intervals import Spread, knowledge
from planner.speed.operators import Layout
from planner.speed.setting import CURRENT
from planner.speed.split_modes import peer_rate, split_decode, split_prefill
from planner.speed.state_spreads import Residual, spreads
from planner.speed.table import SPREAD_COLUMNS, spread_rows
from profiles.loader import calibration_rows

Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSplit:
    """One row: its case, its class, and log of measured over expected speed."""

    name: str
    speed_class: str
    case: Case
    log_ratio: float


def measured_split(row: Row) -> MeasuredSplit:
    """A row of the table on equal GPUs over PCI Express."""
    device = gpu_device(accelerator_of(row["device"] or ""), row["backend"] or "")
    if device is None:
        raise MissingFactError(f"the matrix rate of {row['device']} is not known")
    work = work_of(row["model"] or "", row["quant"] or "")
    n_gpus, n_layers = int(row["n_gpus"] or ""), len(work.layers)
    layout = Layout(
        gpus=(device,) * n_gpus, host=None, layers=(0,) * n_layers, experts=(0,) * n_layers, head=0,
        mode="row" if row["mode"] == "row" else "tensor", shares=(1 / n_gpus,) * n_gpus,
        peer_bytes_per_s=peer_rate((device,) * n_gpus, None),
    )  # fmt: skip
    n_tokens, depth = int(row["n_tokens"] or ""), int(row["n_depth_tokens"] or "")
    is_decode = row["test"] == "decode"
    times, one = split_decode(work, layout, depth) if is_decode else split_prefill(work, layout, n_tokens)
    case = Case(
        phase="decode" if is_decode else "prefill", operators=times, layout=one, setting=CURRENT,
        model_key=work.key, architecture=work.architecture,
    )  # fmt: skip
    expected = n_tokens / float(sum(packaged_factors().seconds(case)))
    return MeasuredSplit(
        name=row["id"] or "",
        speed_class=f"split_{case.phase}",
        case=case,
        log_ratio=math.log(float(row["tokens_per_s"] or "") / expected),
    )


def calibrate_splits() -> tuple[tuple[Spread, ...], tuple[MeasuredSplit, ...]]:
    """The bounds of decoding and of prompts in a split, and every row. Few groups: the outermost ones are the bounds."""
    found = tuple(measured_split(row) for row in calibration_rows(SPLITS_FILE))
    factors = packaged_factors()
    residuals = [
        Residual(
            speed_class=one.speed_class,
            knowledge=knowledge(device=factors.knows_device(one.case), model=factors.knows_model(one.case)),
            group=one.name.split(" @ ")[0],
            log_ratio=one.log_ratio,
        )
        for one in found
    ]
    return spreads(residuals), found


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the intervals and prints every row."""
    parser = argparse.ArgumentParser(prog="python -m planner.api.split_calibration", description=__doc__)
    parser.add_argument("--date", required=True, help="of the calibration, ISO 8601")
    parser.add_argument("--out", type=Path, default=Path("profiles/calibrations"))
    options = parser.parse_args(arguments)
    bounds, found = calibrate_splits()
    text = repr([sorted(row.items()) for row in calibration_rows(SPLITS_FILE)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    with (options.out / f"{SPLIT_SPREADS_FILE}.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, SPREAD_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(spread_rows(bounds, options.date, digest))
    for one in found:
        sys.stdout.write(f"{one.name}: measured {math.exp(one.log_ratio):.2f} of expected\n")


if __name__ == "__main__":
    main()
