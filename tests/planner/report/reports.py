"""Reports made of real records, without a probe, a model file or a network."""

from dataclasses import replace
from datetime import UTC, date, datetime

from hardware.spec import Accelerator, Basis, Cpu, Gpu, Machine, MeasuredRate, Memory
from planner.compare.own_capacity import capacity_tokens_per_month, sequential_tasks_per_s
from planner.compare.token_mix import token_mix
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.described_model import DescribedModel
from planner.estimate.expected_test import Expectation
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.local import LocalRates
from planner.estimate.measurement import BenchRun, EngineMemory, Measurement
from planner.estimate.speed import SpeedFacts
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import LayerGroup, Network, embeddings
from planner.model.opened_model import OpenedModel
from planner.model.presets import preset_storage
from planner.model.weight import vector
from planner.prices.price import ApiPrice
from planner.prices.tariff import flat
from planner.report.full import FullReport, priced_api
from planner.speed.factors import Effect, Factors
from planner.speed.intervals import KNOWLEDGE, Spread
from planner.workload.totals import expected_task

HOSTILE = "<script>alert(1)</script> $x$ | **b**"
# What may also hide in a name: lines, a terminal escape, a turn of the writing direction, an end of fence.
SLY = "a\nb\x1b[31m\u202ec ``` --> ]]> </style></svg> &amp; \ud800 [x](javascript:alert(1))"
GIB = 2**30
FINGERPRINT = "ab" * 32

SMOLLM2 = Network(
    architecture="llama",
    hidden_size=576,
    vocab_size=49_152,
    tied_embeddings=True,
    groups=(
        LayerGroup(
            layers=tuple(range(30)),
            mixer=Attention(n_heads=9, n_kv_heads=3, key_head_dim=64, value_head_dim=64),
            block=FeedForward(intermediate_size=1536),
            norms=(vector("attn_norm", 576), vector("ffn_norm", 576)),
        ),
    ),
    outer=embeddings(576, 49_152, tied=True),
    context_tokens=8192,
)

# 70 B parameters in 80 layers: too large for one of the GPUs below, with room on both.
LARGE = Network(
    architecture="llama",
    hidden_size=8192,
    vocab_size=128_256,
    tied_embeddings=False,
    groups=(
        LayerGroup(
            layers=tuple(range(80)),
            mixer=Attention(n_heads=64, n_kv_heads=8, key_head_dim=128, value_head_dim=128),
            block=FeedForward(intermediate_size=28_672),
            norms=(vector("attn_norm", 8192), vector("ffn_norm", 8192)),
        ),
    ),
    outer=embeddings(8192, 128_256, tied=False),
    context_tokens=131_072,
)

CPU_ONLY = Machine(
    name="Xeon Platinum, 2 threads, 22.9 GiB",
    cpu=Cpu(
        model="Intel Xeon Platinum 8481C",
        n_sockets=1,
        n_physical_cores=1,
        n_usable_threads=2,
        instruction_sets=("avx2", "avx512f", "amx_int8"),
        cache_l3_bytes=105 * 2**20,
    ),
    memory=Memory(total_bytes=int(22.9 * GIB), available_bytes=int(20.3 * GIB)),
    memory_bandwidth=MeasuredRate(
        per_s=14.2e9, method="read 1 GiB", n_threads=2, n_samples=9, spread_fraction=0.04,
        measured_at="2026-11-02T10:00:00+00:00",
    ),
    matrix_throughput=MeasuredRate(
        per_s=0.11e12, method="fp32 product of 1024²", n_threads=2, n_samples=9, spread_fraction=0.06,
        measured_at="2026-11-02T10:00:00+00:00",
    ),
    os="Linux 6.1",
    problems=("no NVIDIA driver was found",),
)  # fmt: skip

_RTX_4090 = Accelerator(
    id="rtx-4090",
    name="RTX 4090",
    vendor="nvidia",
    architecture="Ada",
    memory_bytes=int(23.99 * GIB),
    memory_bytes_per_s=1008e9,
    dense_flop_per_s={"fp16": 165.2e12},
    source="NVIDIA Ada whitepaper",
)

TWO_GPUS = Machine(
    name="2x RTX 4090, 96GiB DDR5-5600",
    cpu=None,
    memory=Memory(total_bytes=96 * GIB, available_bytes=96 * GIB),
    gpus=tuple(
        Gpu(index=i, name="RTX 4090", memory_bytes=int(23.99 * GIB), free_bytes=None, accelerator=_RTX_4090)
        for i in range(2)
    ),
    described=True,
    cpu_memory_bytes_per_s=89.6e9,
    cpu_memory_basis=Basis.DERIVED,
)


# Made-up figures of a real shape: operators at their starts but for prompts, which are slower.
FACTS = SpeedFacts(
    factors=Factors(
        effects=(
            Effect(
                name="architecture-prefill llama",
                level="architecture",
                value=0.64,
                n_measurements=41,
                n_devices=7,
            ),
            Effect(
                name="multiply cpu llama.cpp", level="backend", value=3.249, n_measurements=41, n_devices=7
            ),
        ),
        date="2026-10-01",
    ),
    spreads=tuple(
        Spread(speed_class=name, knowledge=state, low_ratio=0.8, high_ratio=1.25, n_groups=41, n_rows=120)
        for name in ("dense_decode", "dense_prefill", "offload_decode", "offload_prefill")
        for state in KNOWLEDGE
    ),
)


def price(model_id: str, given: float, taken: float, provider: str = "groq", **more: object) -> ApiPrice:
    """One API's price in dollars per million tokens in and out."""
    record = ApiPrice(
        provider=provider,
        model_id=model_id,
        model_name=model_id,
        schedule=flat(given, taken),
        context_tokens=131_072,
        note="cheapest of 9 listed under 'small open model'",
        source="genai-prices 0.2.3",
        data_date=date(2026, 10, 30),
        prices_checked=date(2026, 10, 14),
        url="https://groq.com/pricing/",
    )
    return replace(record, **more)  # type: ignore[arg-type]


PRICES = (
    price("llama-3.1-8b-instant", 0.05, 0.08),
    price("gpt-oss-120b", 0.15, 0.6, "cerebras"),
    price("gemini-2.5-flash-lite", 0.10, 0.40, "google", prices_checked=None),
    price("claude-haiku-4-5", 1.0, 5.0, "anthropic", url=None),
    price("gpt-5.6", 1.75, 14.0, "openai"),
)


def run_of(model: DescribedModel, decode_s: tuple[float, ...], prefill_s: tuple[float, ...]) -> BenchRun:
    """A benchmark with these times for tg128 and pp512, and one decode test at depth 4,096."""
    return BenchRun(
        model_name=model.name,
        model_path="/models/smollm2.gguf",
        model_fingerprint=FINGERPRINT,
        model_bytes=model.storage.total_bytes,
        n_parameters=model.storage.n_elements,
        quantization=model.storage.label,
        engine="llama.cpp",
        engine_build="llama-cpp-python 0.3.36",
        backend="CPU",
        machine_fingerprint="cd",
        machine_name=CPU_ONLY.name,
        n_threads=2,
        n_gpu_layers=0,
        n_batch=2048,
        n_ubatch=512,
        n_context_tokens=4608,
        kv_type="f16",
        flash_attention=True,
        measured_at="2026-11-02T10:20:30+00:00",
        measurements=(
            Measurement(
                phase="prefill", n_prompt_tokens=512, n_generated_tokens=0, n_depth_tokens=0, samples_s=prefill_s
            ),
            Measurement(
                phase="decode", n_prompt_tokens=0, n_generated_tokens=128, n_depth_tokens=0, samples_s=decode_s
            ),
            Measurement(
                phase="decode", n_prompt_tokens=0, n_generated_tokens=32, n_depth_tokens=4096,
                samples_s=(1.01, 1.02, 0.99),
            ),
        ),
        memory=EngineMemory(
            weights_bytes=model.storage.total_bytes,
            kv_bytes=4608 * 30 * 2 * 192 * 2,
            state_bytes=0,
            compute_bytes=100_270_080,
            output_bytes=196_608,
        ),
        read_bytes_per_token=model.storage.read_bytes_per_token,
        notes=("slowest burst 3 % under the best",),
    )  # fmt: skip


def make_report(
    *,
    name: str = "SmolLM2-135M-Instruct",
    network: Network = SMOLLM2,
    quant: str = "Q4_1",
    machine: Machine = CPU_ONLY,
    contexts: tuple[int, ...] = (4096, 8192),
    measured: bool = True,
    decode_s: tuple[float, ...] = (1.38, 1.40, 1.42, 1.36),
    prefill_s: tuple[float, ...] = (3.1, 3.2, 3.0),
    facts: SpeedFacts = FACTS,
    prices: tuple[ApiPrice, ...] = PRICES,
    tokens_per_month: float = 30e6,
    own_usd_per_month: float | None = None,
    own_cost_note: str = "what this machine costs is unknown: give --own-usd-per-month",
    notes: tuple[str, ...] = (),
) -> FullReport:
    """A report put together as the API does it, from these parts."""
    model = DescribedModel(
        name=name,
        network=network,
        storage=preset_storage(network, quant),
        file_name=f"{name}.gguf",
        fingerprint=FINGERPRINT,
    )

    def row(n_context_tokens: int, known: SpeedFacts) -> FitRow:
        return fit_row(model, machine, LlamaCppFlags(n_context_tokens=n_context_tokens), known)

    run = run_of(model, decode_s, prefill_s) if measured else None
    before = row(contexts[0], facts)
    expected = Expectation(model=model, placement=before.placement, machine=machine, facts=facts)
    since = replace(facts, local=LocalRates(runs=(run,))) if run else facts
    rows = tuple(row(n, since) for n in contexts)
    workload = token_mix(tokens_per_month, 0.25)
    task = expected_task(workload)
    prefill, decode, full = (
        one.tokens_per_s for one in (rows[0].prefill, rows[0].decode, rows[0].decode_full)
    )
    capacity = None
    if prefill is not None and decode is not None and full is not None:
        rate = sequential_tasks_per_s(task, prefill, decode, full, contexts[0])
        capacity = capacity_tokens_per_month(task, rate)
    apis = [priced_api(item, workload, datetime(2026, 11, 2, 10, 21, tzinfo=UTC)) for item in prices]
    return FullReport(
        made_at="2026-11-02T10:21:00+00:00",
        planner_version="0.1.0",
        machine=machine,
        opened=OpenedModel(
            reference=f"/models/{name}",
            name=name,
            source="GGUF file",
            network=network,
            storage=model.storage,
            fingerprint=FINGERPRINT,
            licence="apache-2.0",
        ),
        before=before,
        expected={} if run is None else expected.of_all(run.measurements),
        rows=rows,
        run=run,
        workload=workload,
        capacity_tokens_per_month=capacity,
        own_usd_per_month=own_usd_per_month,
        own_cost_note=own_cost_note,
        apis=tuple(sorted(apis, key=lambda api: api.usd_per_month)),
        notes=notes,
    )


def cpu_report() -> FullReport:
    """SmolLM2 on two threads, measured, own cost unknown."""
    return make_report()


def outside_report() -> FullReport:
    """The CPU report with its test behind a long context half as fast as it was: no estimate holds that."""
    report = make_report()
    if report.run is None:
        raise ValueError("the report was made with a run")
    *others, deep = report.run.measurements
    slowed = replace(deep, samples_s=tuple(2 * seconds for seconds in deep.samples_s))
    return replace(report, run=replace(report.run, measurements=(*others, slowed)))


def gpu_report() -> FullReport:
    """A 70B model over two described GPUs, nothing measured, own cost known."""
    return make_report(
        name="Llama-3.3-70B-Instruct",
        network=LARGE,
        quant="Q4_K_M",
        machine=TWO_GPUS,
        contexts=(4096, 16_384, 65_536),
        measured=False,
        own_usd_per_month=140.0,
        own_cost_note="as given, power included",
    )


def hostile_report(name: str = HOSTILE) -> FullReport:
    """The CPU report with the same hostile text in every place that text from outside can reach."""
    cpu = CPU_ONLY.cpu
    gpu = replace(TWO_GPUS.gpus[0], name=name, problem=name, mig_profile=name, compute_capability=name)
    machine = replace(
        CPU_ONLY, name=name, cpu=replace(cpu, model=name) if cpu else None, gpus=(gpu,), os=name,
        gpu_driver=name, problems=(name,),
    )  # fmt: skip
    report = make_report(
        name=name,
        machine=machine,
        prices=(price(name, 0.05, 0.08, name, note=name, source=name, url=f"javascript:{name}"), *PRICES),
        own_cost_note=name,
        notes=(name,),
    )
    run = report.run
    if run is None:
        raise ValueError("the report was made with a run")
    return replace(
        report,
        opened=replace(report.opened, reference=name, source=name, licence=name, notes=(name,)),
        run=replace(run, engine=name, engine_build=name, backend=name, machine_name=name, notes=(name,)),
    )
