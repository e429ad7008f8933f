"""How a schedule is laid out in memory, once a design's rule is resolved."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What decides which tensors are alive when.

    framework        tensors and derivatives as PyTorch holds them, not as they need be held
    in_place         layers value by value overwrite what they read where nobody needs it any more
    relu_mask        a relu keeps one bit of each value, not its output
    compute_bits     of a framework's products: 32, or 16 in mixed precision
    gradient_bits    of the gradients of tensors; a framework's have the bits of their tensor
    weight_gradient_bits of the gradients of parameters
    weight_gradients whether they are held: "none", from the "backward" pass on, or "always"
    """

    framework: bool = False
    in_place: bool = False
    relu_mask: bool = False
    compute_bits: int = 32
    gradient_bits: int = 32
    weight_gradient_bits: int = 32
    weight_gradients: str = "backward"
