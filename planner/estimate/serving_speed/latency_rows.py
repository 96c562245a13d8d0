"""Rows of measured serving latency as deployments: which model on which GPUs, split how, under which load.

The columns are those of the sample that the aiconfigurator-core wheel carries (Apache-2.0). Three things in it have to
be read with care, and each rests on rows that occur twice, once written one way and once the other:

* On machines of eight GPUs, `tp_size` (or `attention_dp_size`) of 16 or 64 with as many expert ranks as tensor ranks is
  the product of both: 4 or 8 GPUs.
* Where `attention_dp_size` is empty, experts over more GPUs than `tp_size`, or more requests than `batch_size`, tell how
  many replicas of the attention there were.
* `batch_size` is one replica's share; `silicon_concurrency` in the source is what was in flight over all of them.
* A row does not say whether tokens were drafted (MTP), nor for how long the engine holds requests back. Where the
  scripts that made it are public, `calibrations/serving_runs.csv` says so.
* InferenceX draws the lengths of prompts and answers evenly between 0.8 and 1 times what the row says; the other runs
  ask for exactly those. Of them, runs with powers of two keep in step, and those with round decimal lengths do not: two
  load generators.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from hardware.spec import Accelerator
from hardware.units import GIB, MILLI
from planner.engines.sharding import Parallel, split_problem
from planner.errors import MissingFactError
from planner.estimate.served.names import candidates
from planner.estimate.serving_speed.apart_runs import ApartRun
from planner.estimate.serving_speed.deployment import Deployment, narrowest_unit
from planner.estimate.serving_speed.generated_runs import generated_step_tokens, is_generated
from planner.estimate.serving_speed.measured_runs import MeasuredRun, RunSetting, of_versions, run_settings
from planner.estimate.serving_speed.rank_load import RankLoad, rank_load
from planner.estimate.serving_speed.row_sources import SourceDevice
from planner.estimate.serving_speed.schedule import Schedule
from planner.estimate.serving_speed.source_runs import SourceRun
from planner.model.formats.fp4 import nvfp4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.layout import FormatLayout, lay_out
from planner.model.formats.plain import Plain
from planner.model.formats.plan import NamePatterns, QuantizationPlan, Rule
from planner.model.network import Network
from planner.model.opened_model import OpenedModel

ModelOf = Callable[[str], OpenedModel | None]
DeviceOf = Callable[
    [str], Accelerator
]  # raises MissingFactError with the reason where no one device has the name

COLUMNS: Final = (
    "backend", "model_path", "system", "isl", "osl", "tp_size", "silicon_ttft_ms", "silicon_tpot_ms",
)  # fmt: skip
# The precision of weights as their repository holds them; others are copies made of it.
AS_PUBLISHED: Final = "published"
# Names of the systems in such files, as accelerators are called here.
_SYSTEMS: Final[Mapping[str, str]] = {
    "h100_sxm": "H100 SXM", "h200_sxm": "H200 SXM", "b200_sxm": "B200 SXM", "b300_sxm": "B300 SXM", "gb200": "GB200",
    "gb300": "GB300", "a100_sxm": "A100 SXM 80GB", "l40s": "L40S", "h100_pcie": "H100 PCIe", "a100_pcie": "A100 PCIe 80GB",
}  # fmt: skip
RACKS: Final = frozenset(("gb200", "gb300"))  # whose link domain is larger than eight GPUs
NODE_GPUS: Final = 8
ENGINES: Final = frozenset(("vllm", "sglang", "trtllm"))
# Repositories that have moved, or that hold the same network under a name of their own.
_MOVED: Final[Mapping[str, str]] = {"zhipuai/": "zai-org/"}
_CONCURRENCY: Final = re.compile(r"silicon_concurrency=(\d+)", re.ASCII)
_DATE: Final = re.compile(r"measured=(\d{4}-\d\d-\d\d)", re.ASCII)
_IMAGE: Final = re.compile(r"([a-z][\w.-]*:[\w.-]+)$", re.ASCII)
_INFERENCEX: Final = re.compile(r"source_file=20|db-dump|source_file=[\w.-]+-gap-analysis\.csv", re.ASCII)
# What a row calls the precision of models that are published in a quantized format, by the format's first word.
_PUBLISHED_AS: Final = {"FP8": "fp8", "MXFP4": "fp4", "NVFP4": "fp4", "INT4": "int4"}
_BLOCKS_OF_QWEN: Final = re.compile(r"Qwen/.*-FP8$")  # weight_block_size in their config.json
_MEAN_LENGTH: Final = 0.9  # of lengths drawn evenly between 0.8 and 1
MEMORY_SHARE: Final = 0.9  # that engines take by themselves
_BESIDE_WEIGHTS_BYTES: Final = 3 * GIB  # activations, graphs, and what libraries keep
_UNITS: Final[Mapping[str, str]] = {"fp4": "fp4", "fp8": "fp8", "int4": "fp16", "bf16": "fp16", "": "fp16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """A row that can be asked about, and what was measured."""

    deployment: Deployment
    tpot_s: float
    ttft_s: float | None  # None where the load says nothing of it, with the reason beside it
    ttft_reason: str
    group: str
    identity: tuple[object, ...]  # rows that are equal in it are one measurement, written twice


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads rows; models, devices and how a model is spread are looked up once for all rows that share them."""

    model_of: ModelOf
    device_of: DeviceOf
    runs: tuple[RunSetting, ...] = ()
    sources: tuple[SourceDevice, ...] = ()
    source_runs: tuple[SourceRun, ...] = ()
    apart_runs: tuple[ApartRun, ...] = ()
    _models: dict[str, OpenedModel | None] = field(default_factory=dict)
    _devices: dict[str, Accelerator] = field(default_factory=dict)
    _loads: dict[tuple[str, str, bool, Parallel], RankLoad] = field(default_factory=dict)

    def model(self, name: str) -> OpenedModel:
        """The model that a row names; words for how its weights are stored may stand behind its name."""
        if name not in self._models:
            spelled = (self.model_of(found) for found, _ in candidates(name))
            self._models[name] = next((opened for opened in spelled if opened is not None), None)
        opened = self._models[name]
        if opened is None:
            raise MissingFactError(f"the model {name!r} is not in the catalogue")
        return opened

    def device(self, system: str) -> Accelerator:
        """The GPU of a system."""
        if system not in self._devices:
            self._devices[system] = self.device_of(_SYSTEMS.get(system, system))
        return self._devices[system]

    def load(self, name: str, precision: str, ranks: Parallel, *, has_blocks: bool = False) -> RankLoad:
        """The model at a precision, spread over ranks; 8-bit weights may have scales by blocks of 128 × 128."""
        key = name, precision, has_blocks, ranks
        if key not in self._loads:
            opened = self.model(name)
            problem = split_problem(opened.network, ranks)
            if problem is not None:
                raise MissingFactError(problem)
            self._loads[key] = rank_load(
                opened.network, _layout(opened, precision, has_blocks=has_blocks).storage, ranks
            )
        return self._loads[key]

    def read(self, row: Mapping[str, str]) -> LatencyRow:
        """The deployment of a row; raises MissingFactError with the reason where it cannot be told."""
        return _read(self, row)


def _read(reader: RowReader, row: Mapping[str, str]) -> LatencyRow:
    if row.get("left_out"):
        raise MissingFactError(row["left_out"])
    if row.get("mode", "agg") != "agg":
        raise MissingFactError("prefill and decode on machines of their own are not timed yet")
    engine = row.get("backend", "")
    if engine not in ENGINES:
        raise MissingFactError(f"no step model for the engine {engine!r}")
    accelerator = reader.device(row["system"])
    name = model_name(row)
    precision = row.get("precision", "")
    ours = is_inferencex(row)
    ranks, n_requests = _spread(row, has_experts=reader.model(name).network.is_mixture_of_experts())
    tpot_s = milliseconds(row, "silicon_tpot_ms")
    ttft_reason = row.get("ttft_left_out") or ""
    ttft_s = None if ttft_reason else milliseconds(row, "silicon_ttft_ms")
    load = reader.load(name, precision, ranks, has_blocks=has_blocks(row))
    if row["system"] in RACKS and ours:
        raise MissingFactError(
            "InferenceX ran racks only with prefill and decode apart, and the row does not say on how many GPUs each"
        )
    n_prompt, n_output = whole_number(row, "isl"), whole_number(row, "osl")
    mean_prompt, mean_output = mean_lengths(row)
    run = MeasuredRun(
        system=row["system"], model=name, precision=precision, engine=engine, n_prompt=n_prompt,
        n_output=n_output, n_gpus=ranks.tensor, n_expert_ranks=ranks.expert,
        is_replicated=ranks.attention_replicas > 1, n_requests=n_requests, image=image(row), version=row.get("backend_version") or None,
        day=measured_day(row),
    )  # fmt: skip
    known = run_settings(reader.runs if ours else of_versions(reader.runs), run)
    deployment = Deployment(
        load=load,
        accelerator=accelerator,
        engine=engine,
        n_requests=n_requests,
        n_prompt_tokens=mean_prompt,
        n_output_tokens=mean_output,
        cache_element_bytes=cache_bytes(accelerator, engine, precision),
        weight_unit=narrowest_unit(load) if precision == AS_PUBLISHED else _UNITS.get(precision, "fp16"),
        schedule=_reported(row, n_requests)
        if "n_answered" in row
        else _schedule(
            known,
            is_known=ours,
            has_like_lengths=is_generated(row) and n_prompt.bit_count() == 1,
            step_tokens=generated_step_tokens(row, engine, n_prompt),
        ),
        pool_bytes=pool_bytes(accelerator, load, engine, known.get("memory_share", MEMORY_SHARE)),
    )
    return LatencyRow(
        deployment=deployment,
        tpot_s=tpot_s,
        ttft_s=ttft_s,
        ttft_reason=ttft_reason,
        group=f"{row['system']}|{row['model_path']}|{precision}|{engine}",
        identity=(row["system"], name, precision, engine, ranks, n_requests, row["isl"], row["osl"], tpot_s),
    )


def model_name(row: Mapping[str, str]) -> str:
    """The model that a row names, where it is to be found now."""
    name = row["model_path"]
    for old, new in _MOVED.items():
        name = name.replace(old, new) if name.startswith(old) else name
    return name


def mean_lengths(row: Mapping[str, str]) -> tuple[int, int]:
    """Tokens of prompts and answers in the mean."""
    share = _MEAN_LENGTH if is_inferencex(row) else 1.0
    n_prompt, n_output = (max(1, round(share * whole_number(row, column))) for column in ("isl", "osl"))
    return n_prompt, n_output


def requests_in_flight(row: Mapping[str, str]) -> float | None:
    """What the row's source says of them."""
    found = _CONCURRENCY.search(row.get("silicon_data_source") or "")
    return float(found[1]) if found else None


def _reported(row: Mapping[str, str], n_requests: float) -> Schedule:
    """Of a run that its load generator tells: all slots ask at once, and as often as the answers make up for."""
    usual = Schedule(has_known_settings=False, is_reported=True)
    if not row["n_answered"]:
        return usual
    return replace(usual, n_rounds=max(1.0, whole_number(row, "n_answered") / n_requests))


def _schedule(
    known: Mapping[str, float], *, is_known: bool, has_like_lengths: bool, step_tokens: int | None
) -> Schedule:
    most = known.get("most_running")
    return Schedule(
        has_known_settings=is_known,
        has_like_lengths=has_like_lengths,
        pads_experts=bool(known.get("pads_experts", 0)),
        is_cold=bool(known.get("is_cold", 0)),
        draft_tokens=int(known.get("draft_tokens", 0)),
        held_steps=known.get("held_steps", 0.0),
        collect_steps=known.get("collect_steps", 0.0),
        most_running=None if most is None else int(most),
        step_tokens=int(known["step_tokens"]) if "step_tokens" in known else step_tokens,
    )


def is_inferencex(row: Mapping[str, str]) -> bool:
    """Whether the row is a result of InferenceX, whose configuration is public."""
    return _INFERENCEX.match(row.get("silicon_data_source") or "") is not None


def image(row: Mapping[str, str]) -> str | None:
    """The container image that the engine ran in, without its registry, where the row says so."""
    found = _IMAGE.search(row.get("silicon_data_source") or "")
    return found[1] if found else None


def measured_day(row: Mapping[str, str]) -> date | None:
    """The day of the measurement, where the row says so."""
    found = _DATE.search(row.get("silicon_data_source") or "")
    return date.fromisoformat(found[1]) if found else None


def pool_bytes(
    accelerator: Accelerator, load: RankLoad, engine: str, memory_share: float = MEMORY_SHARE
) -> float | None:
    """What an engine has left for caches on one rank; None where the weights alone take more than its share."""
    weights = sum(part.n_bytes for part in load.parts.values()) * load.stage_share
    used = weights + _BESIDE_WEIGHTS_BYTES
    # TensorRT-LLM takes its share of what is free then, the others leave the rest of all memory free.
    if engine == "trtllm":
        pool = memory_share * (accelerator.memory_bytes - used)
    else:
        pool = memory_share * accelerator.memory_bytes - used
    return pool if pool > 0 else None


def whole_number(row: Mapping[str, str], column: str) -> int:
    """A cell that counts something; raises MissingFactError for any other."""
    text = row.get(column) or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 1 or value != int(value):
        raise MissingFactError(f"{column} is {text!r}, not a whole number of at least 1")
    return int(value)


def milliseconds(row: Mapping[str, str], column: str) -> float:
    """A cell in milliseconds as seconds; raises MissingFactError for any other."""
    try:
        value = float(row.get(column) or "nan") * MILLI
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise MissingFactError(f"{column} is {row.get(column)!r}, not a time")
    return value


def _at_least_1(row: Mapping[str, str], column: str) -> int:
    text = row.get(column) or ""
    return max(1, whole_number(row, column)) if text and float(text) >= 1 else 1


def _spread(row: Mapping[str, str], *, has_experts: bool) -> tuple[Parallel, float]:
    """How a replica is spread over GPUs, and how many requests it has in flight."""
    stages = _at_least_1(row, "pp_size")
    tensor, replicas = whole_number(row, "tp_size"), _at_least_1(row, "attention_dp_size")
    experts, in_one = _at_least_1(row, "moe_ep_size"), whole_number(row, "batch_size")
    n_requests = requests_in_flight(row)
    if n_requests is None:
        if row.get("silicon_data_source"):
            raise MissingFactError("how many requests were in flight is not said")
        n_requests = float(in_one * replicas)
    if not row.get("attention_dp_size") or row["attention_dp_size"] == "0":
        if not has_experts:  # copies of the whole model beside each other, each with its own share
            return Parallel(tensor=tensor), float(in_one)
        over_gpus = _at_least_1(row, "moe_tp_size") * experts
        if (
            over_gpus > tensor and over_gpus % tensor == 0
        ):  # the experts span more GPUs than one attention does
            replicas = over_gpus // tensor
        elif n_requests > in_one and tensor % (n_requests / in_one) == 0:  # `tp_size` counts all GPUs
            replicas = int(n_requests / in_one)
            tensor //= replicas
    n_gpus = tensor * replicas
    if n_gpus > NODE_GPUS and row["system"] not in RACKS:
        root = math.isqrt(n_gpus)
        if root * root != n_gpus or experts != root:
            raise MissingFactError(f"{n_gpus} GPUs do not fit a machine of {NODE_GPUS}")
        n_gpus = experts = root
        replicas = root if replicas > 1 else 1
    if n_gpus % replicas or n_gpus % experts:
        raise MissingFactError(
            f"{n_gpus} GPUs, {replicas} attention replicas and {experts} expert ranks do not divide"
        )
    ranks = Parallel(tensor=n_gpus, pipeline=stages, attention_replicas=replicas, expert=experts)
    return ranks, n_requests


def cache_bytes(accelerator: Accelerator, engine: str, precision: str) -> float:
    """Bytes of a cache element: 8 bits where TensorRT-LLM or a Blackwell GPU runs quantized weights, as such runs do."""
    is_narrow = precision in ("fp8", "fp4") and (
        engine == "trtllm" or "Blackwell" in accelerator.architecture
    )
    return 1.0 if is_narrow else 2.0


def has_blocks(row: Mapping[str, str]) -> bool:
    """Whether 8-bit weights have a scale for each block: so the row says, and so are Qwen's own 8-bit copies."""
    modes = (row.get(column) for column in ("gemm_quant_mode", "moe_quant_mode"))
    return "fp8_block" in modes or _BLOCKS_OF_QWEN.match(row["model_path"]) is not None


def _layout(opened: OpenedModel, precision: str, *, has_blocks: bool) -> FormatLayout:
    """The weights at a row's precision: as published where that is it, else as NVIDIA's or the maker's copies are."""
    published = opened.published
    if published is not None and precision == _PUBLISHED_AS.get(published.storage.label.partition(" ")[0]):
        return published
    network = opened.network
    if precision == AS_PUBLISHED and published is not None:
        return published
    if precision in ("", "bf16", AS_PUBLISHED):
        return lay_out(network, QuantizationPlan(method="none", linear=None))
    if precision == "fp8":
        linear = Fp8(block=(128, 128) if has_blocks else None)
        return lay_out(network, QuantizationPlan(method="fp8", linear=linear, kept=Plain(dtype="BF16")))
    if precision == "fp4":
        return lay_out(network, _nvfp4_plan(network))
    raise MissingFactError(f"how the weights are stored at precision {precision!r} is not known")


def _nvfp4_plan(network: Network) -> QuantizationPlan:
    """NVIDIA's NVFP4 copies: all matrices of dense models; of mixtures only the feed-forward blocks."""
    kept = ("re:.*self_attn.*", "re:.*linear_attn.*") if network.is_mixture_of_experts() else ()
    rules = (Rule(names=NamePatterns(patterns=kept, style="compressed"), format=None),) if kept else ()
    return QuantizationPlan(method="modelopt", linear=nvfp4(), rules=rules, kept=Plain(dtype="BF16"))
