"""What a step keeps of the forward pass for its backward pass, by its kind.

Sources: the derivative of each kind of layer; for ``framework``, what PyTorch's derivatives name
(tools/autograd/derivatives.yaml, PyTorch 2): relu its result, batch_norm its input and two
statistics per channel, max_pool2d its input and 64-bit indices, average pools their input (but one
over the whole image may be taken as a mean, which keeps nothing), local_response_norm a chain of
elementary operations that keep three more tensors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwmodels.errors import InputError
from hwmodels.memory.settings import Settings
from hwmodels.memory.sharing import BOUNDS
from hwmodels.work import Step


@dataclass(frozen=True)
class Keeps:
    """What is kept.

    inputs, output     whether the tensors it reads, the one it makes
    values             further values for each of its tensor, of that tensor's bits
    bits               further bits for each value of its tensor
    row_bits           further bits for each row that it normalizes, of as many values as it has
                       pairs of parameters
    parameter_bits     further bits for each of its parameters, once for any number of images
    """

    inputs: bool = False
    output: bool = False
    values: int = 0
    bits: int = 0
    row_bits: int = 0
    parameter_bits: int = 0

    def image_bits(self, step: Step) -> int:
        """Bits that are kept for each image besides whole tensors."""
        rows = 2 * step.values // step.parameters if self.row_bits and step.parameters else 0
        return step.values * (self.values * step.bits + self.bits) + rows * self.row_bits


INPUTS, OUTPUT, NOTHING = Keeps(inputs=True), Keeps(output=True), Keeps()
INDEX_BITS = 8  # a place in a window of up to 256
BY_KIND: dict[str, Keeps] = {
    **dict.fromkeys(("conv", "linear", "matmul", "multiply", "embedding"), INPUTS),
    **dict.fromkeys(("gelu", "silu", "hard_swish", "multi_threshold"), INPUTS),
    "layer_norm": Keeps(inputs=True, row_bits=64),  # mean and deviation of each row
    **dict.fromkeys((*BOUNDS, "sigmoid", "tanh", "softmax"), OUTPUT),
    **dict.fromkeys(("input", "add", "concat", "scale", "offset", "average_pool"), NOTHING),
    **dict.fromkeys(("flatten", "reshape", "transpose", "slice", "identity"), NOTHING),
    **dict.fromkeys(("upsample", "resize", "truncate"), NOTHING),
    "batch_norm": Keeps(inputs=True, parameter_bits=32),  # mean and deviation of each channel
    "max_pool": Keeps(bits=INDEX_BITS),
    "local_response_norm": Keeps(inputs=True, output=True),
    "lstm": Keeps(inputs=True, output=True, values=5),  # four gates and the cell
    "gru": Keeps(inputs=True, output=True, values=4),  # three gates and the state's new part
}
OF_FRAMEWORK = BY_KIND | {
    "max_pool": Keeps(inputs=True, bits=64),
    "average_pool": INPUTS,
    "local_response_norm": Keeps(inputs=True, values=3),
    **dict.fromkeys(("relu6", "hard_tanh", "clip", "leaky_relu"), INPUTS),
}
IN_PLACE_OF_FRAMEWORK = {
    **dict.fromkeys(("relu", "leaky_relu"), OUTPUT),
    **dict.fromkeys(("relu6", "hard_tanh", "clip"), Keeps(values=1)),  # a copy of what they read
}


def keeps(step: Step, settings: Settings, *, in_place: bool) -> Keeps:
    """What ``step`` keeps; ``in_place`` says that it overwrites what it reads.

    Raises InputError on a kind of layer that is not known.
    """
    table = OF_FRAMEWORK if settings.framework else BY_KIND
    if step.kind not in table:
        raise InputError(
            f"layer {step.name!r} is a {step.kind}, of which it is not known what it keeps for its"
            " backward pass; memory of training has no such layer"
        )
    kept = table[step.kind]
    if step.kind in BOUNDS and settings.relu_mask:
        return Keeps(bits=1)
    if in_place and settings.framework:
        return IN_PLACE_OF_FRAMEWORK.get(step.kind, kept)
    return kept


def requires_gradient(steps: Sequence[Step]) -> dict[str, bool]:
    """Whether a tensor's gradient is needed: it has parameters behind it."""
    needed: dict[str, bool] = {}
    for step in steps:
        needed[step.name] = step.parameters > 0 or any(needed[name] for name in step.reads)
    return needed


def working_bits(steps: Sequence[Step], settings: Settings) -> list[Step]:
    """The steps with the bits that their tensors have, and whether they go to memory.

    A framework computes products at ``compute_bits`` and softmax and layer norms at 32 bits;
    others go on with the widest of what they read (PyTorch's autocast); formats of fewer bits are
    held in floating point, and every tensor goes to memory. Else it is as the formats have it.
    """
    if not settings.framework:
        return list(steps)
    bits: dict[str, int] = {}
    for step in steps:
        if step.kind in PRODUCTS:
            bits[step.name] = settings.compute_bits
        elif step.kind in ("input", "embedding", *WIDE):
            bits[step.name] = 32
        else:
            bits[step.name] = max(bits[name] for name in step.reads)
    return [replace(step, bits=bits[step.name], is_stored=True) for step in steps]


PRODUCTS = ("conv", "linear", "matmul", "lstm", "gru")
WIDE = ("softmax", "layer_norm", "local_response_norm")


def cast_bits(step: Step, settings: Settings) -> int | None:
    """The bits to which a framework casts what ``step`` reads, so that it keeps copies; None of a
    step that takes it as it is."""
    if not settings.framework:
        return None
    if step.kind in PRODUCTS:
        return settings.compute_bits
    return 32 if step.kind in WIDE else None
