"""Products of single bits, and products of M by K bits composed of M x K passes of them.

A pass is the bitwise AND of a plane of weights with one of activations, or their XOR where both are
+1 or -1, and the count of the ones, weighed by 2**(m + k).
Source: DoReFa-Net (arXiv 1606.06160), section 2.1, Eqs. 1 to 3.
"""

from hwmodels.explain import formula, read
from hwmodels.gpu.constants import constant
from hwmodels.gpu.device import Gpu
from hwmodels.gpu.precision import clock_hz, fma_per_sm_s, integer_bits
from hwmodels.work import LayerWork

WORD_BITS = 32


def planes(layer: LayerWork) -> tuple[int, int] | None:
    """Binary planes of the weights and of the activations; None of a layer in floating point."""
    if layer.in_float:
        return None
    shifted = layer.rows_shift_add > 0
    return (integer_bits(layer) if shifted else layer.weight_bits), layer.activation_bits


def has_binary_tensor(device: Gpu) -> bool:
    """Whether its tensor cores count bits, at a rate that is known."""
    rate = device.fma_per_sm_cycle.get("b1_tensor")
    return rate is not None and rate.value is not None


@formula
def bits_per_sm_s(device: Gpu):
    """Products of single bits per SM and second, of the tensor cores where their rate is known,
    else of plain instructions at the share of their issue rate that was calibrated."""
    if has_binary_tensor(device):
        return fma_per_sm_s(device, "b1_tensor")
    return issued_bits_per_sm_s(device) * constant("binary_issue_fraction")


@formula
def issued_bits_per_sm_s(device: Gpu):
    """32 bits x clock / (cycles of a count + 2 x cycles of a bitwise operation or addition), one
    issued after the other."""
    cycles = 1 / read(device, "popc32_per_sm_cycle") + 2 / read(device, "int32_per_sm_cycle")
    return WORD_BITS * clock_hz(device, "int32") / cycles


@formula
def counted_bits_per_sm_s(device: Gpu):
    """32 bits x population counts per SM and clock x clock: what binds if only counting does."""
    return WORD_BITS * read(device, "popc32_per_sm_cycle") * clock_hz(device, "int32")


@formula
def peak_bits_per_s(device: Gpu):
    """SMs x products of single bits per SM and second, of the tensor cores where their rate is
    known, else what population counts allow."""
    own = (
        fma_per_sm_s(device, "b1_tensor")
        if has_binary_tensor(device)
        else counted_bits_per_sm_s(device)
    )
    return read(device, "sms") * own


@formula
def calibrated_binary_tops(device: Gpu):
    """2 x SMs x products of single bits per SM and second, in 1e12 per second: with the calibrated
    share, which is no prediction of what it was fitted to."""
    return 2 * read(device, "sms") * bits_per_sm_s(device) / 1e12
