"""What the output head and the loss hold at their largest: the logits and their gradients."""

from planner.engines.tuning.settings import TuningSettings


def loss_bytes_per_token(vocab_size: int, settings: TuningSettings) -> int:
    """Bytes per token at the peak of the loss: max((b + 8)·V forward, 12·V backward), b·V more if output is kept.

    ForCausalLMLoss makes FP32 logits, and log_softmax an FP32 result that stays. Backward, its gradient and that
    of the loss are FP32 as well. Source: transformers 5.24 loss/loss_utils.py, torch cross_entropy; a GPU's own
    count agrees within 1 % (docs/tuning.md).
    """
    logits = settings.linear_bytes * vocab_size
    forward, backward = logits + 8 * vocab_size, 12 * vocab_size
    return max(forward, backward + (logits if settings.keeps_logits else 0))


def chunk_tokens(vocab_size: int, hidden_size: int, n_tokens: int) -> int:
    """Tokens whose logits exist at once: the next power of two of T / ⌈V/H⌉, at most T.

    Source: Liger-Kernel 0.8.5, ops/fused_linear_cross_entropy.py, with its chunk constant of 1.
    """
    n_chunks = -(-vocab_size // hidden_size)
    wanted = -(-n_tokens // n_chunks)
    return min(n_tokens, 1 << (wanted - 1).bit_length())


def chunked_loss_bytes(vocab_size: int, hidden_size: int, settings: TuningSettings) -> int:
    """Bytes at the peak with logits made a slice at a time.

    The gradient of the head's input is made in the forward pass, b·H per token, and that of a trained head, b·V·H;
    a slice of logits turns into its own gradient in place.
    """
    kept = settings.hidden_bytes * hidden_size * settings.n_step_tokens
    if settings.trains_base:
        kept += settings.linear_bytes * vocab_size * hidden_size
    chunk = chunk_tokens(vocab_size, hidden_size, settings.n_step_tokens)
    return kept + chunk * vocab_size * settings.linear_bytes
