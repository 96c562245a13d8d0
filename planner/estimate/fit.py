"""Does it fit, how fast, with which flags: one row per model, quantization and context."""

from dataclasses import dataclass, replace

from hardware.spec import Machine
from planner.engines.ik_llama_cpp.command_line import arguments
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.engines.llama_cpp.server_command import as_served, server_line
from planner.estimate.beside_memory import NOTHING, Beside
from planner.estimate.described_model import DescribedModel
from planner.estimate.energy import NOT_ASKED, Energy, energy
from planner.estimate.given_devices import engine_device
from planner.estimate.placement import Placement, largest_context, place
from planner.estimate.speculation import Drafting, SpeculativeSpeed, speculative_speed
from planner.estimate.speed import SpeedEstimate, SpeedFacts, decode_speed, prefill_speed
from planner.estimate.together_speed import TogetherSpeed, together_speeds

RPC_PORT = 50052  # of rpc-server by itself
PROMPT_TOKENS = 512  # the prompt length that prompt speed is quoted for, as llama-bench does


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow:
    """One model at one quantization and context on one machine."""

    model: DescribedModel
    placement: Placement
    decode: SpeedEstimate  # from an empty context, as llama-bench's tg tests
    decode_full: SpeedEstimate  # with the context full
    prefill: SpeedEstimate  # a prompt of PROMPT_TOKENS
    largest_context_tokens: int | None  # None where none fits, or where nobody asked for it
    command: tuple[str, ...]
    together: tuple[TogetherSpeed, ...] = ()  # several sequences at once, where the flags ask for them
    speculative: SpeculativeSpeed | None = None  # where tokens are to be drafted
    energy: Energy = NOT_ASKED


def fit_row(
    model: DescribedModel,
    machine: Machine,
    flags: LlamaCppFlags,
    facts: SpeedFacts,
    given: GivenSplit = FREE,
    *,
    beside: Beside = NOTHING,
    drafting: Drafting | None = None,
    with_largest_context: bool = True,
) -> FitRow:
    """Places the model where it decodes fastest, a person's own flags respected, then times it there.

    The largest context takes longest to find; a long list of models does not show it, nor energy, nor several at once.
    """
    flags = as_served(flags)

    def decode_s(placement: Placement) -> float | None:
        found = decode_speed(model, placement, machine, facts).tokens_per_s
        return None if found is None else 1 / found.expected

    placement = place(model, machine, flags, given, beside=beside, decode_s=decode_s)
    speculative = None if drafting is None else speculative_speed(model, placement, machine, facts, drafting)
    command = server_command(model, placement, beside, speculative)
    row = placed_row(
        model, placement, machine, facts, command, beside=beside, with_largest_context=with_largest_context
    )
    return replace(row, speculative=speculative)


def placed_row(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    command: tuple[str, ...],
    *,
    beside: Beside = NOTHING,
    with_largest_context: bool = True,
) -> FitRow:
    """Times a model where it lies."""
    flags = placement.flags
    n_prompt = min(PROMPT_TOKENS, flags.n_context_tokens)
    decode = decode_speed(model, placement, machine, facts)
    prefill = prefill_speed(model, placement, machine, facts, n_prompt)
    return FitRow(
        model=model,
        placement=placement,
        decode=decode,
        decode_full=decode_speed(model, placement, machine, facts, flags.n_context_tokens),
        prefill=prefill,
        largest_context_tokens=(
            largest_context(model, machine, flags, placement.split, beside) if with_largest_context else None
        ),
        command=command,
        together=together_speeds(model, placement, machine, facts) if with_largest_context else (),
        energy=(
            energy(model, placement, machine, facts.power, decode, prefill, n_prompt)
            if with_largest_context
            else NOT_ASKED
        ),
    )


def server_command(
    model: DescribedModel,
    placement: Placement,
    beside: Beside = NOTHING,
    speculative: SpeculativeSpeed | None = None,
) -> tuple[str, ...]:
    """The `llama-server` arguments that give this placement."""
    file_name = model.file_name
    if file_name is None:  # the usual form, for a file that is not here yet
        file_name = f"{'-'.join(model.name.rpartition('/')[2].split())}-{model.storage.label}.gguf"
    gpus = [load.device for load in placement.loads if load.device.is_gpu]
    split = replace(
        placement.split,
        overrides=tuple(
            replace(override, device=engine_device(override.device, gpus))
            for override in placement.split.overrides
        ),
    )
    line = server_line(placement.flags, split, placement.n_layers, model_file=file_name, has_gpu=bool(gpus))
    draft = None if beside.draft is None else beside.draft.file_name
    servers = sum(1 for device in gpus if device.gpu is not None and device.gpu.network is not None)
    rpc = ",".join(f"HOST{number}:{RPC_PORT}" for number in range(1, servers + 1)) or None
    line = replace(line, mmproj=beside.projector_file, draft_model=draft, rpc=rpc)
    if speculative is not None:
        spec_type = "draft-mtp" if speculative.kind == "mtp" else None
        line = replace(line, spec_type=spec_type, n_draft_tokens=speculative.n_draft_tokens)
    return arguments(line)
