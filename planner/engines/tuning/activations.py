"""What the forward and backward pass hold at the moments that can be the largest of a training step."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.engines.tuning.adapters import Adapter
from planner.engines.tuning.head_loss import chunked_loss_bytes, loss_bytes_per_token
from planner.engines.tuning.saved_tensors import BLOCK_PARTS, Saved, kept_score_bytes, saved_tensors
from planner.engines.tuning.settings import TuningSettings
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.mamba2 import Mamba2
from planner.model.network import LayerGroup, Network
from planner.model.short_conv import ShortConvolution


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerActivations:
    """One layer: what it saves whole, what it leaves of itself when checkpointed, what its backward pass adds."""

    n_layers: int
    saved: tuple[Saved, ...]
    saved_bytes: float
    checkpoint_bytes: float
    transient_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepActivations:
    """The largest moments of one step, parameters and their gradients apart."""

    layers: tuple[LayerActivations, ...]
    kept_bytes: float  # of all layers, after the forward pass: checkpoints, or everything saved
    head_bytes: float  # final norm, and the head's input where the head is trained
    loss_peak_bytes: float
    logits_bytes: float  # that the training loop still holds while the layers are differentiated
    layer_bytes: float  # of the largest layer during its backward pass, beyond what was kept

    @property
    def loss_moment_bytes(self) -> float:
        """At the loss: everything kept, and the logits with their gradients."""
        return self.kept_bytes + self.head_bytes + self.loss_peak_bytes

    @property
    def layer_moment_bytes(self) -> float:
        """In the backward pass of the last layer, the first to be differentiated."""
        return self.kept_bytes + self.logits_bytes + self.layer_bytes


def layer_activations(
    network: Network, group: LayerGroup, adapters: Sequence[Adapter], settings: TuningSettings
) -> LayerActivations:
    """One layer's saved bytes for the step's tokens, with the working room of its backward pass.

    Backward, gradients of the widest part stand beside what was saved: 2·b·W for trained weights, 3·b·W with
    adapters, and 4·b·H of the stream's own; against PyTorch's live tensors in tiny models the peak is -5 to +15 %.
    Without flash attention every score takes 12 + b bytes while the softmax is differentiated: three FP32
    tensors and one of the type of the products, as a GPU's own count shows; the block after it is done by then.
    """
    n_tokens = settings.n_step_tokens
    saved = saved_tensors(network.architecture, group, network.hidden_size, adapters, settings)
    whole = sum(part.total_bytes(n_tokens) for part in saved)
    wide = (2 if settings.trains_base else 3) * settings.linear_bytes * _widest(group, network.hidden_size)
    stream = settings.hidden_bytes * network.hidden_size
    transient = float((wide + 4 * stream) * n_tokens)
    if settings.attention == "eager" and isinstance(group.mixer, Attention | LatentAttention):
        n_scores = group.mixer.n_heads * settings.n_tokens * n_tokens
        block = sum(part.total_bytes(n_tokens) for part in saved if part.part in BLOCK_PARTS)
        kept = kept_score_bytes(settings.linear_bytes)
        transient = max(transient, (12 + settings.linear_bytes - kept) * n_scores - block)
    return LayerActivations(
        n_layers=len(group.layers),
        saved=saved,
        saved_bytes=whole,
        checkpoint_bytes=float(stream * n_tokens),
        transient_bytes=transient,
    )


def _widest(group: LayerGroup, hidden_size: int) -> int:
    """The widest tensor inside a layer, experts' inner tensors counted once for each pick."""
    block, mixer = group.block, group.mixer
    widths = [hidden_size]
    if isinstance(block, FeedForward):
        widths.append(block.intermediate_size)
    if isinstance(block, Experts):
        widths.append(block.n_active * max(block.intermediate_size, hidden_size))
    if isinstance(mixer, Attention):
        widths.append(mixer.n_heads * mixer.key_head_dim)
    if isinstance(mixer, LatentAttention):
        widths.append(mixer.n_heads * (mixer.qk_nope_head_dim + mixer.qk_rope_head_dim))
    if isinstance(mixer, GatedDeltaNet):
        # Backward, states of every 64 tokens and their gradients, and about eight tensors as wide as the values.
        value = mixer.n_value_heads * mixer.value_head_dim
        states = 2 * value * mixer.key_head_dim // 64
        widths.append((states + 8 * value) // 3)
    if isinstance(mixer, Mamba2):
        widths.append(2 * mixer.inner_size + 2 * mixer.n_groups * mixer.state_size + mixer.n_heads)
    if isinstance(mixer, ShortConvolution):
        widths.append(3 * mixer.width)
    return max(widths)


def step_activations(
    network: Network,
    adapted: Sequence[tuple[LayerGroup, Sequence[Adapter]]],
    settings: TuningSettings,
) -> StepActivations:
    """The moments of one step over all layers, for the tokens of one GPU.

    With checkpointing a layer leaves its input, b·H per token, and saves the rest again when its turn comes.
    """
    layers = tuple(layer_activations(network, group, own, settings) for group, own in adapted)
    n_tokens = settings.n_step_tokens
    stream = settings.hidden_bytes * network.hidden_size
    if settings.checkpointing:
        kept = sum(layer.n_layers * layer.checkpoint_bytes for layer in layers)
        in_layer = max((layer.saved_bytes + layer.transient_bytes for layer in layers), default=0.0)
    else:
        kept = sum(layer.n_layers * layer.saved_bytes for layer in layers)
        in_layer = max((layer.transient_bytes for layer in layers), default=0.0)
    if settings.chunked_loss:
        loss_peak = chunked_loss_bytes(network.vocab_size, network.hidden_size, settings)
    else:
        loss_peak = loss_bytes_per_token(network.vocab_size, settings) * n_tokens
    keeps = settings.keeps_logits and not settings.chunked_loss
    logits = settings.linear_bytes * network.vocab_size * n_tokens if keeps else 0
    head = 4 * network.hidden_size + 4 + (2 * stream if settings.trains_base else 0)
    return StepActivations(
        layers=layers,
        kept_bytes=kept,
        head_bytes=float(head * n_tokens),
        loss_peak_bytes=float(loss_peak),
        logits_bytes=float(logits),
        layer_bytes=in_layer,
    )
