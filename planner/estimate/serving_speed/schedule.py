"""How requests are kept in flight, and what an engine was told that changes when it takes them in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hardware.units import GB


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A closed loop: every slot asks the next question when the last one is answered; all slots start at once."""

    n_rounds: float = 10.0  # questions that follow one another in one slot
    has_like_lengths: bool = False  # every prompt and every answer as long as the others
    is_cold: bool = False  # nothing ran before, so kernels are compiled while the first requests wait
    draft_tokens: int = (
        0  # guessed ahead of each step, by the model's own prediction layers or a smaller model
    )
    held_steps: float = 0.0  # decode steps for which a new request is held back, in the mean
    collect_steps: float = (
        0.0  # decode steps for which the first of new requests is held back, for more of them to come
    )
    most_running: int | None = None  # requests that one replica of the attention takes at once
    pads_experts: bool = False  # every expert gets rows, of padding if no token picked it, and so is read
    step_tokens: int | None = None  # of prompts in one step, beside what decodes; None: the engine's default
    has_known_settings: bool = True  # False: of a measured run that nobody told more about than its row says
    is_reported: bool = False  # of such a run, what its own load generator wrote down: lengths, load, rounds

    def __post_init__(self) -> None:
        if self.n_rounds < 1 or self.draft_tokens < 0 or min(self.held_steps, self.collect_steps) < 0:
            raise ValueError("a slot asks at least once, and neither drafts nor holds back less than nothing")


USUAL_SCHEDULE: Final = Schedule()
# Tokens in one step: the engines' defaults on data-centre GPUs.
_STEP_TOKENS: Final[Mapping[str, int]] = {"vllm": 8192, "sglang": 8192, "trtllm": 8192}
_SGLANG_STEP_TOKENS_OF_LARGE_GPUS: Final = 16384
_LARGE_GPU_BYTES: Final = 160 * GB
PROMPTS_FIRST: Final = frozenset(("sglang",))  # engines with steps of prompts alone, before all decoding


def step_tokens(engine: str, memory_bytes: float) -> int:
    """Tokens of prompts that an engine reads in one step if it is not told: `--max-num-batched-tokens` of vLLM,
    `--chunked-prefill-size` of SGLang, which is larger on GPUs with more memory, `--max_num_tokens` of TensorRT-LLM.
    """
    if engine == "sglang" and memory_bytes > _LARGE_GPU_BYTES:
        return _SGLANG_STEP_TOKENS_OF_LARGE_GPUS
    return _STEP_TOKENS.get(engine, 8192)
