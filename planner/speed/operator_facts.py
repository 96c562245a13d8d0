"""What is known of every operator before any measurement: where its factor begins, and which effects it takes."""

from dataclasses import dataclass
from typing import Final, Literal

from planner.speed.processor_attention import ELEMENTS, NEAR_CACHE, PAIRS
from planner.speed.processor_steps import PRODUCTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """What is known of an operator before any measurement."""

    start: float  # of the logarithm, where fitting begins
    bound: Literal["none", "bytes", "flop"] = "none"  # what its ideal time cannot be beaten by
    group: str | None = None  # operators of a group share a device's effects
    types: str | None = None  # the name that its type classes go by; None where types play no role
    shared_memory: bool = False  # takes effects of the kind of memory
    follows_build: bool = False  # depends on how the build reaches matrix cores
    follows_age: bool = False
    follows_attention: bool = False
    follows_split: bool = False  # several GPUs
    general: bool = False  # no effects below the backend
    like: str | None = (
        None  # whose kernel multiplies it on GPUs, for rows that were picked: its effects count too
    )


OPERATORS: Final = {
    "read": Operator(
        start=-1.6, bound="bytes", group="memory", types="read", shared_memory=True,
        follows_build=True, follows_age=True, follows_split=True,
    ),
    "read_experts": Operator(
        start=-0.7, bound="bytes", group="memory", types="read", shared_memory=True, follows_build=True,
    ),
    "unpack": Operator(start=-3.0, types="unpack"),
    "columns": Operator(start=1.7, bound="flop", types="columns"),
    "columns_experts": Operator(start=1.7, bound="flop", types="columns"),
    "cache": Operator(
        start=-0.5, bound="bytes", group="memory", shared_memory=True, follows_age=True, follows_attention=True,
    ),
    # Read once more for every further head that shares an entry: from a device's own cache, where kernels group heads.
    "cache_again": Operator(start=-2.0, group="memory", follows_attention=True),
    # A mixture's experts that have no kernel for vectors: one token goes through a prompt's tile.
    "tile_experts": Operator(start=1.4, group="multiply"),
    "state": Operator(start=0.0, general=True),
    "launch": Operator(
        start=0.5, group="launch", follows_build=True, follows_age=True, follows_split=True,
    ),
    "launch_router": Operator(start=0.5, group="launch"),
    "launch_state": Operator(start=0.5, group="launch"),
    "crossing": Operator(start=2.0, general=True),
    # Waiting for other GPUs, from published pairs (`profiles/calibrations/llama_cpp_measured_splits.csv`): a sum over
    # PCI Express takes about 40 µs, each copy of a row split about 12; NCCL's own tests have sums over NVLink at 10 to
    # 20 µs (recalled).
    "reduce": Operator(start=3.7, general=True),
    "reduce_linked": Operator(start=2.7, general=True),
    "exchange": Operator(start=2.5, general=True),
    # Nothing published tells how far a network's own rates are missed, so these are its rates as they were given.
    "network_wait": Operator(start=-6.0, bound="bytes", general=True),
    "network": Operator(start=-6.0, bound="bytes", general=True),
    # GeForce cards, which most pairs were measured on, cannot reach each other: bytes cross to main memory and back.
    "between_gpus": Operator(start=0.0, bound="bytes", general=True),
    "between_linked": Operator(start=-1.4, bound="bytes", general=True),
    "step": Operator(start=1.0, group="launch", general=True, follows_split=True),
    "vector_read": Operator(start=-1.6, bound="bytes", group="memory", types="vector_read"),
    "vector_read_experts": Operator(
        start=0.0, bound="bytes", group="memory", types="vector_read", follows_age=True,
    ),
    "vector_multiply": Operator(start=2.0, bound="flop", group="multiply", types="vector_multiply"),
    "vector_multiply_experts": Operator(
        start=2.0, bound="flop", group="multiply", types="vector_multiply", follows_age=True,
        like="vector_multiply",
    ),
    "batch_read": Operator(
        start=-0.5, bound="bytes", group="memory", types="batch_read", follows_build=True, follows_age=True,
    ),
    "batch_read_experts": Operator(
        start=0.0, bound="bytes", group="memory", types="batch_read", follows_build=True,
    ),
    "multiply": Operator(
        start=0.7, bound="flop", group="multiply", types="multiply", shared_memory=True, follows_build=True,
        follows_age=True, follows_split=True,
    ),
    "multiply_experts": Operator(
        start=1.0, bound="flop", group="multiply", types="multiply", shared_memory=True, follows_build=True,
        follows_age=True, like="multiply",
    ),
    "multiply_library": Operator(
        start=0.7, bound="flop", group="multiply", types="multiply_library", shared_memory=True,
        follows_build=True, follows_split=True,
    ),
    "multiply_library_experts": Operator(
        start=1.0, bound="flop", group="multiply", types="multiply_library", follows_build=True,
        like="multiply_library",
    ),
    "multiply_padding": Operator(start=0.0, group="multiply", types="multiply", follows_age=True),
    # 200 to 400 by measurements of one tensor without and with the search on a Strix Halo (llama.cpp #28501).
    "find_rows": Operator(start=5.5),
    # Of units without work while experts are multiplied one by one.
    "multiply_idle": Operator(start=1.0, group="multiply", types="multiply"),
    "write_out": Operator(start=0.0, bound="bytes", group="memory", types="write_out"),
    "call_library": Operator(start=1.5, group="launch"),
    "rescale": Operator(start=-2.0, types="rescale", follows_build=True, follows_age=True),
    "attention": Operator(
        start=1.2, group="multiply", follows_build=True, follows_age=True, follows_attention=True,
        follows_split=True,
    ),
    "scores": Operator(start=-0.5, group="memory", follows_age=True, follows_attention=True),
    "scan": Operator(start=-1.0, general=True),
    # Keys and values, read again for every tile of a prompt's tokens.
    "batch_cache": Operator(start=-2.0, group="memory", follows_attention=True),
    "activations": Operator(start=0.0, group="memory"),
    "batch_launch": Operator(
        start=1.0, group="launch", follows_build=True, follows_age=True, follows_split=True,
    ),
    "batch_crossing": Operator(start=1.0, general=True),
    # Not bound by the link: how many lanes a laptop gives its GPU is not said, and some copies run beside products.
    "copy_weights": Operator(start=0.0, general=True),
    # A step's tokens by weights on processors, at the numbers of tokens that were measured.
    **dict.fromkeys(PRODUCTS, Operator(start=0.3, bound="flop", group="multiply")),
    # A step's attention there: for each head and cached token, and for each element of them.
    PAIRS: Operator(start=2.3, group="multiply", follows_attention=True),
    ELEMENTS: Operator(start=1.0, bound="flop", group="multiply", follows_attention=True),
    NEAR_CACHE: Operator(
        start=-0.5, bound="bytes", group="memory", shared_memory=True, follows_age=True, follows_attention=True,
    ),
}  # fmt: skip
