"""How a model is tuned: the choices that decide what training allocates."""

from dataclasses import dataclass
from typing import Literal

Method = Literal["full", "lora", "qlora"]
Precision = Literal["bf16", "master", "amp"]
BaseType = Literal["bf16", "fp32", "fp8", "int8", "nf4", "nf4-dq"]
Kernels = Literal["transformers", "liger"]
AttentionKernel = Literal["flash", "eager"]
Sharding = Literal["none", "zero1", "zero2", "zero3", "fsdp"]
Offload = Literal["optimizer", "weights", "checkpoints"]

QUANTIZED = ("int8", "nf4", "nf4-dq")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSettings:
    """One way of fine-tuning. The defaults are those of a Hugging Face Trainer run on one GPU.

    `precision` speaks of weights that are trained whole: "bf16" keeps weights, gradients and optimizer state in
    16 bits; "master" adds FP32 master weights and an FP32 state (DeepSpeed's bf16 mode, Megatron, FSDP's mixed
    precision); "amp" holds FP32 weights and casts them for each step (torch.autocast).
    `keep_fp32` is what peft's prepare_model_for_kbit_training does to a quantized base: everything that was not
    quantized (embeddings, head, norms) becomes FP32, and with it the stream between the layers.
    """

    method: Method = "lora"
    n_sequences: int = 1  # per GPU and forward pass
    n_tokens: int = 2048  # per sequence, padding included
    rank: int = 16
    targets: tuple[str, ...] = ("all-linear",)
    expert_adapters: bool | None = (
        None  # of routed experts the targets take in; None: where peft does by name
    )
    base_type: BaseType = "bf16"  # of frozen weights
    keep_fp32: bool = False
    precision: Precision = "master"
    autocast: bool = True  # torch.autocast to 16 bits around the forward pass, as Trainer's bf16=True does
    adapter_bytes: int = 4  # peft makes adapters FP32 (autocast_adapter_dtype); torchtune keeps 16 bits
    optimizer: str = "adamw"
    checkpointing: bool = True
    attention: AttentionKernel = "flash"
    kernels: Kernels = "transformers"
    chunked_loss: bool = False  # logits made and used a slice at a time
    keeps_logits: bool = False  # the training loop holds the model's output during the backward pass
    n_accumulated: int = 1  # forward passes before the optimizer steps
    n_gpus: int = 1
    sharding: Sharding = "none"
    offload: tuple[Offload, ...] = ()

    def __post_init__(self) -> None:
        for name in ("n_sequences", "n_tokens", "rank", "n_accumulated", "n_gpus"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.method == "qlora" and self.base_type not in QUANTIZED:
            raise ValueError(f"QLoRA needs a quantized base, not {self.base_type}")
        if self.method == "full" and self.base_type in QUANTIZED:
            raise ValueError(f"{self.base_type} weights cannot be trained themselves")

    @property
    def n_step_tokens(self) -> int:
        """Tokens of one forward pass on one GPU."""
        return self.n_sequences * self.n_tokens

    @property
    def trains_base(self) -> bool:
        """Whether the model's own weights are trained."""
        return self.method == "full"

    @property
    def hidden_bytes(self) -> int:
        """Bytes per element of the stream between the layers."""
        if self.trains_base:
            return 4 if self.precision == "amp" else 2
        return 4 if self.keep_fp32 or self.base_type == "fp32" else 2

    @property
    def casts(self) -> bool:
        """Whether autocast changes the type of what enters a matrix product."""
        return self.precision == "amp" if self.trains_base else self.autocast

    @property
    def linear_bytes(self) -> int:
        """Bytes per element of what a matrix product returns."""
        return 2 if self.casts else self.hidden_bytes

    @property
    def shards_weights(self) -> bool:
        """Whether each GPU holds only its part of the weights."""
        return self.sharding in ("zero3", "fsdp") and self.n_gpus > 1
