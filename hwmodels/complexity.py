"""What a network costs on no hardware in particular: multiply-accumulates, bit operations, bytes of
weights, and the measures by which DoReFa-Net and WRPN compare precisions.

Every formula takes scalars or numpy arrays that broadcast; what is of layers has them as its last
axis.

Sources: bit operations as HAWQ-V3, arXiv 2011.10680, counts them; DoReFa-Net, arXiv 1606.06160v3,
section 3.1; WRPN, arXiv 1709.01134v1, footnote 1 of section 3; XNOR-Net, arXiv 1603.05279,
section 4.1.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from hwmodels.explain import formula, read, reshaped
from hwmodels.outputs import Output
from hwmodels.work import WorkTable

FP32_BITS = 32
FP32_OPERANDS_BITS = 2 * FP32_BITS  # of the two operands of a multiplication in fp32


class Precisions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which widths are counted, in bits; each may be an array, all broadcasting together.

    weight_bits, activation_bits   of every layer; None: as the work table has it
    gradient_bits                  of what is propagated back in training
    include_weight_gradient        count the product of gradients and activations too, which makes
                                   the gradient of the weights
    first_layer_in_fp32            count the first layer at 32 bits
    """

    weight_bits: float | None = None
    activation_bits: float | None = None
    gradient_bits: float = FP32_BITS
    include_weight_gradient: bool = False
    first_layer_in_fp32: bool = False

    def __post_init__(self):
        for name in ("weight_bits", "activation_bits", "gradient_bits"):
            held = getattr(self, name)
            values = np.asarray(FP32_BITS if held is None else held, np.float64)
            if not ((values >= 1) & (values <= 64)).all():
                raise ValueError(f"{name} must be from 1 to 64")


@dataclass(frozen=True)
class ComplexityCost:
    """What is counted of a work table: arrays of the precisions' shape, or with a last axis of
    layers where a name begins with ``layer_``."""

    layer_bops: np.ndarray
    layer_training_bops: np.ndarray
    macs: np.ndarray
    bops: np.ndarray
    training_bops: np.ndarray
    compute_cost: np.ndarray
    weight_bytes: np.ndarray


OUTPUTS = {
    "macs": Output("multiply-accumulates", "MAC", "count"),
    "bops": Output(
        "bit operations", "BOP", "count", ignores="additions, pools and whatever has no products"
    ),
    "training_bops": Output(
        "bit operations of training", "BOP", "count",
        ignores="the products that make weight gradients, unless they are asked for; the update",
    ),
    "compute_cost": Output(
        "operand widths over fp32", "", "count", ignores="that a multiplier grows as a product"
    ),
    "weight_bytes": Output("weights", "B", "count", ignores="scales, zero points and biases"),
}  # fmt: skip


def evaluate(work: WorkTable, precisions: Precisions = Precisions()) -> ComplexityCost:  # noqa: B008
    """The counts of ``work`` for one image."""
    weight_bits = layer_bits(work, precisions, "weight_bits")
    activation_bits = layer_bits(work, precisions, "activation_bits")
    macs = np.asarray(work.column("macs"), np.float64)
    gradient_bits = read(precisions, "gradient_bits")[..., None]
    of_inference = layer_bops(macs, weight_bits, activation_bits)
    of_training = macs * training_complexity(
        weight_bits,
        activation_bits,
        gradient_bits,
        include_weight_gradient=precisions.include_weight_gradient,
    )
    by_layer = {"layer_bops": of_inference, "layer_training_bops": of_training}
    totals = {
        "macs": macs.sum(),
        "bops": bops(of_inference),
        "training_bops": bops(of_training),
        "compute_cost": compute_cost(macs, weight_bits, activation_bits, macs.sum()),
        "weight_bytes": weight_bytes(work.column("weights"), weight_bits),
    }
    given = (precisions.weight_bits, precisions.activation_bits, precisions.gradient_bits)
    shape = np.broadcast_shapes(*(np.shape(each) for each in given if each is not None))
    return ComplexityCost(
        **{name: reshaped(value, (*shape, len(macs))) for name, value in by_layer.items()},
        **{name: reshaped(value, shape) for name, value in totals.items()},
    )


@formula
def layer_bits(work: WorkTable, precisions: Precisions, name: str):
    """The width at which each layer is counted, in bits."""
    if getattr(precisions, name) is None:
        bits = work.column(name)
    else:
        bits = np.repeat(read(precisions, name)[..., None], len(work.layers), axis=-1)
    bits = np.asarray(bits, np.float64)
    if not precisions.first_layer_in_fp32:
        return bits
    is_first = np.arange(len(work.layers)) == 0
    return np.where(is_first, FP32_BITS, bits)


@formula
def layer_bops(macs, weight_bits, activation_bits):
    """MACs x weight bits x activation bits of each layer; a MAC in fp32 counts 1024."""
    return np.asarray(macs, np.float64) * inference_complexity(weight_bits, activation_bits)


@formula
def bops(by_layer):
    """Sum over the layers."""
    return np.sum(by_layer, axis=-1)


@formula
def weight_bytes(weights, weight_bits):
    """Sum over the layers of weights x bits / 8, without scales and biases."""
    return np.sum(np.asarray(weights, np.float64) * weight_bits, axis=-1) / 8


@formula
def scale_bytes(rows, bytes_per_row):
    """Sum over the layers of their rows x bytes of a row's scale (and zero point)."""
    return np.sum(np.asarray(rows, np.float64) * bytes_per_row, axis=-1)


@formula
def inference_complexity(weight_bits, activation_bits):
    """W x A: products of single bits in one product of a weight and an activation.

    Source: DoReFa-Net, Eq. 3 and the column "inference complexity" of its Tables 1 and 2.
    """
    return np.asarray(weight_bits, np.float64) * activation_bits


@formula
def training_complexity(
    weight_bits, activation_bits, gradient_bits, *, include_weight_gradient=False
):
    """W x (A + G), and A x G where the gradient of the weights is counted.

    The forward product of weights and activations, and the backward one of weights and gradients.
    The column "training complexity" of DoReFa-Net's Tables 1 and 2 leaves out the third, of
    activations and gradients, which makes the gradient of the weights.
    """
    weights = np.asarray(weight_bits, np.float64)
    counted = weights * (np.asarray(activation_bits, np.float64) + gradient_bits)
    if include_weight_gradient:
        counted = counted + np.asarray(activation_bits, np.float64) * gradient_bits
    return counted


@formula
def relative_storage(weight_bits):
    """W: stored bits of a weight, in units of one bit. Source: DoReFa-Net, Tables 1 and 2."""
    return np.asarray(weight_bits, np.float64)


@formula
def growth(macs, plain_macs):
    """MACs of the widened network / MACs of the plain one."""
    return np.sum(macs, axis=-1) / np.sum(plain_macs, axis=-1)


@formula
def compute_cost(macs, weight_bits, activation_bits, plain_macs):
    """Sum over the layers of MACs x (weight + activation bits) / (64 x MACs of the plain network).

    ``macs`` and the widths have a last axis of layers; ``plain_macs`` is that of all layers of the
    network that is not widened. Widths of 32 for the first layer charge it in fp32.

    Source: WRPN, footnote 1: the cost is the number of multiply-accumulates times the sum of the
    widths of their operands, relative to the plain network in fp32.
    """
    widths = np.asarray(weight_bits, np.float64) + activation_bits
    total = np.sum(np.asarray(macs, np.float64) * widths, axis=-1)
    return total / (FP32_OPERANDS_BITS * np.asarray(plain_macs, np.float64))


@formula
def compute_cost_of_growth(grown, weight_bits, activation_bits):
    """Growth x (weight + activation bits) / 64: WRPN's cost where every layer has these widths."""
    widths = np.asarray(weight_bits, np.float64) + activation_bits
    return grown * widths / FP32_OPERANDS_BITS


@formula
def first_order_speedup(weight_bits, activation_bits):
    """64 / (weight + activation bits): WRPN's first-order estimate, Figure 3(b)."""
    return FP32_OPERANDS_BITS / (np.asarray(weight_bits, np.float64) + activation_bits)


@formula
def binary_convolution_speedup(in_channels, kernel_area, word_bits=64):
    """Word x c x N / (c x N + word): of a convolution by words of binary operands, on one CPU.

    Counts one multiplication in floating point as long as one operation on a word of bits, and the
    scale that is left in floating point once for each output.

    Source: XNOR-Net, arXiv 1603.05279, section 4.1, for a word of 64 bits.
    """
    depth = np.asarray(in_channels, np.float64) * kernel_area
    return word_bits * depth / (depth + word_bits)
