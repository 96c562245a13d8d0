"""Parameters of the layers that towers are made of: linear, convolution, norm, attention, MLP."""

from math import prod


def linear(n_in: int, n_out: int, *, bias: bool = True) -> int:
    """A matrix, with its bias unless told otherwise: n_in · n_out + n_out."""
    return n_in * n_out + (n_out if bias else 0)


def convolution(n_in: int, n_out: int, *kernel: int, bias: bool = True) -> int:
    """A convolution over all channels: n_in · n_out · kernel sides, and a bias for each output."""
    return n_in * n_out * prod(kernel) + (n_out if bias else 0)


def depthwise(channels: int, *kernel: int, bias: bool = True) -> int:
    """A convolution of each channel by itself: channels · kernel sides, and a bias for each."""
    return channels * prod(kernel) + (channels if bias else 0)


def layer_norm(width: int) -> int:
    """A LayerNorm: scale and bias. An RMSNorm is its width alone."""
    return 2 * width


def attention(
    hidden: int,
    *,
    width: int | None = None,
    kv_width: int | None = None,
    bias: bool = True,
    key_bias: bool | None = None,
    output_bias: bool | None = None,
) -> int:
    """Query, key, value and output matrices; `bias` decides for all of them that are not named."""
    width = hidden if width is None else width
    kv_width = width if kv_width is None else kv_width
    total = linear(hidden, width, bias=bias) + linear(hidden, kv_width, bias=bias)
    total += linear(hidden, kv_width, bias=bias if key_bias is None else key_bias)
    return total + linear(width, hidden, bias=bias if output_bias is None else output_bias)


def mlp(hidden: int, inner: int, *, bias: bool = True, gated: bool = False) -> int:
    """Up and down again; a gated one has a second matrix up."""
    return (2 if gated else 1) * linear(hidden, inner, bias=bias) + linear(inner, hidden, bias=bias)


def encoder_layer(hidden: int, inner: int) -> int:
    """The layer of most vision transformers: two LayerNorms, attention and a plain MLP, all with biases."""
    return 2 * layer_norm(hidden) + attention(hidden) + mlp(hidden, inner)


def two_layer_projector(n_in: int, n_out: int, *, bias: bool = True) -> int:
    """What most projectors are: into the text width, an activation, and once more at that width."""
    return linear(n_in, n_out, bias=bias) + linear(n_out, n_out, bias=bias)
