"""The papers' quantizers for training on torch: float32 values with straight-through gradients.

Every function returns the quantized real values in the shape and dtype of its first argument. Its
gradient is the paper's, which treats rounding as the identity. Rounding takes a half to the even
integer, and the sign of zero is +1.
"""

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    raise SystemExit("This module needs torch: pip install torch") from error

HWGQ_STEP = 0.5388  # of 2 bits: least squared error on the positive half of a unit normal
TTQ_THRESHOLD = 0.05
TWN_THRESHOLD = 0.7

Tensor = torch.Tensor


def straight_through(value: Tensor, x: Tensor) -> Tensor:
    """``value`` to the last bit, with the gradient of ``x`` (finite, of the same shape)."""
    return value.detach() + (x - x.detach())


def sign(x: Tensor) -> Tensor:
    """-1 or +1, with no gradient."""
    return torch.where(x >= 0, 1.0, -1.0)


def unit_codes(x: Tensor, bits: int) -> Tensor:
    """``round(n * x) / n`` with n = 2**bits - 1, for x in [0, 1].

    Source: DoReFa-Net, Eq. 5 and 6 (quantize_k).
    """
    n = 2**bits - 1
    return straight_through(torch.round(n * x) / n, x)


def unit_activations(x: Tensor, bits: int) -> Tensor:
    """``x`` clipped to [0, 1] and rounded to multiples of 1 / (2**bits - 1); no gradient outside.

    Source: DoReFa-Net, Eq. 11; WRPN, Eq. 2, has the same activations.
    """
    return unit_codes(x.clamp(0, 1), bits)


def dorefa_weights(w: Tensor, bits: int) -> Tensor:
    """With 1 bit, ``sign(w) * mean |w|`` with one mean for the layer and the gradient of ``w``;
    with more, ``2 * quantize_k(tanh w / (2 max |tanh w|) + 1/2) - 1``.

    Source: DoReFa-Net, Eq. 7 (1 bit), Eq. 9 and 10. Not all weights may be zero.
    """
    if bits == 1:
        return straight_through(sign(w) * w.abs().mean(), w)
    squashed = torch.tanh(w)
    return 2 * unit_codes(squashed / (2 * squashed.abs().max()) + 0.5, bits) - 1


def wrpn_weights(w: Tensor, bits: int) -> Tensor:
    """``round(n * w) / n`` with w clipped to [-1, 1] and n = 2**(bits - 1) - 1; 2 bits are ternary.

    Source: WRPN, Eq. 2. It does not say what the gradient is outside [-1, 1]; here it is that
    inside.
    """
    n = 2 ** (bits - 1) - 1
    return straight_through(torch.round(n * w.clamp(-1, 1)) / n, w)


def twn_weights(w: Tensor) -> Tensor:
    """-s, 0 or s: 0 where |w| is at most 0.7 mean |w|, s the mean of the larger |w| of the layer.

    Source: ternary weight networks, as restated in TTQ, Eq. 4 and 5.
    """
    magnitude = w.abs()
    large = magnitude > TWN_THRESHOLD * magnitude.mean()
    return straight_through(sign(w) * large * magnitude[large].mean(), w)


def ttq_weights(w: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """``positive`` where w > D, ``-negative`` where w < -D, else 0, with D = 0.05 max |w|.

    The gradient of ``w`` is scaled by the magnitude that it takes (1 at zero). That of ``negative``
    has the minus sign that the formula implies and the paper's print lacks.

    Source: TTQ, Eq. 6 to 9.
    """
    threshold = TTQ_THRESHOLD * w.abs().max()
    above, below = w > threshold, w < -threshold
    value = torch.where(above, positive, torch.where(below, -negative, 0.0))
    factor = torch.where(above, positive, torch.where(below, negative, 1.0)).detach()
    return value + factor * (w - w.detach())


def bwn_weights(w: Tensor) -> Tensor:
    """``sign(w)`` times the mean |w| of each filter (row of the first axis).

    The gradient is ``g * (1 / n + mean * [|w| <= 1])`` with n weights in a filter.

    Source: XNOR-Net, Eq. 1 to 6, with the usual gradient of the sign (the text prints an
    extra factor w).
    """
    filter_axes = tuple(range(1, w.ndim))
    mean = w.abs().mean(filter_axes, keepdim=True)
    factor = 1 / w[0].numel() + mean * (w.abs() <= 1)
    return (sign(w) * mean).detach() + factor.detach() * (w - w.detach())


def binary_connect_weights(w: Tensor) -> Tensor:
    """-1 or +1 without a scale, with the gradient of ``w``; the update keeps w in [-1, 1].

    Source: BinaryConnect, Eq. 1 and Algorithm 1.
    """
    return straight_through(sign(w), w)


def sign_activations(x: Tensor) -> Tensor:
    """-1 or +1; the gradient passes where |x| <= 1.

    Source: XNOR-Net, Eq. 7, with the gradient of BNN.
    """
    return straight_through(sign(x), x.clamp(-1, 1))


def activation_map(x: Tensor, kernel: tuple[int, int], *, stride: int, padding: int) -> Tensor:
    """XNOR-Net's K (N, 1, OH, OW): the mean |x| over channels, averaged over each window of a
    convolution that reads ``x`` (N, C, H, W); the padding counts as zeros.

    Source: XNOR-Net, Section 3.2, Eq. 11.
    """
    mean = x.abs().mean(1, keepdim=True)
    return functional.avg_pool2d(mean, kernel, stride, padding, count_include_pad=True)


def hwgq_activations(x: Tensor) -> Tensor:
    """0 for x <= 0, else q D with q = 1, 2, 3 the level nearest to x / D but not 0 (a half to the
    lower), D = 0.5388; the gradient passes on (0, 3 D].

    Source: HWGQ, Eq. 7 to 14, uniform 2-bit variant with the clipped gradient. It takes x to be
    unit normal.
    """
    codes = torch.ceil(x / HWGQ_STEP - 0.5).clamp(1, 3)
    value = torch.where(x > 0, codes * HWGQ_STEP, 0.0)
    return straight_through(value, x.clamp(0, 3 * HWGQ_STEP))


def pact_activations(x: Tensor, alpha: Tensor, bits: int) -> Tensor:
    """``round(y n / alpha) alpha / n`` with y = clip(x, 0, alpha) and n = 2**bits - 1.

    The gradient of ``alpha`` is 1 where x >= alpha, else 0.

    Source: PACT, Eq. 1 to 3.
    """
    n = 2**bits - 1
    clipped = torch.where(x >= alpha, alpha, x.clamp(min=0))
    return straight_through(torch.round(clipped * n / alpha) * alpha / n, clipped)


def lsq(v: Tensor, step: Tensor, low: int, high: int, *, group: int) -> Tensor:
    """``s * round(clip(v / s, low, high))`` with the step s > 0.

    The gradient of ``step`` is LSQ's, times 1 / sqrt(group * high); ``group`` is the number of
    weights, or of activations of one image.

    Source: LSQ, Eq. 1 to 5, Section 2.2.
    """
    factor = (group * high) ** -0.5
    s = straight_through(step, factor * step)
    inside = (v / s).clamp(low, high)
    return straight_through(torch.round(inside), inside) * s
