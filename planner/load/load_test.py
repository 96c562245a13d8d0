"""A load test: what was asked, and what it found."""

from dataclasses import dataclass
from typing import Literal

from planner.load.knee import Knee
from planner.load.load_summary import LoadLevel
from planner.load.request_record import RequestPlan
from planner.load.server_account import ServerAccount
from planner.workload.lengths import Lengths

Call = Literal["completions", "chat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadQuestion:
    """What to load a server with. Without concurrencies, rates and trace: a sweep that finds the knee."""

    base_url: str
    model: str | None = None
    call: Call | None = None
    prompt: Lengths
    output: Lengths
    concurrencies: tuple[int, ...] = ()
    rates_per_s: tuple[float, ...] = ()
    trace: tuple[RequestPlan, ...] = ()
    n_shared_prefix_tokens: int = 0  # with which every prompt begins
    budget_s: float = 120.0
    most_requests: int | None = None  # of the whole test: hosted servers cost money
    highest_concurrency: int = 256
    seed: int = 0
    device: str = ""  # what serves it, in the user's words ("4x H100 SXM"): the server does not tell
    precision: str = ""  # of the weights, where not as published


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTest:
    """What a test found."""

    question: LoadQuestion
    model: str
    call: str  # "completions" or "chat"
    software: str | None  # as the server names itself
    is_counted: bool  # whether the server counts tokens; otherwise lengths are words and pieces of text
    decides_length: bool  # whether answers can be made as long as asked
    measured_at: str
    levels: tuple[LoadLevel, ...]
    knee: Knee | None
    own_prompt_tokens: int  # of all requests of the test, to hold against the server's account
    own_output_tokens: int
    own_mean_ttft_s: float | None
    account: ServerAccount | None
    wall_s: float
    client_cpu_s: float
    is_stopped: bool
    notes: tuple[str, ...]
    engine: str = (
        ""  # "vllm", "sglang" or "llama.cpp", by the names of its counters; "" where they do not tell
    )
    engine_build: str = ""
    n_trace_requests: int = 0
