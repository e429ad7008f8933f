"""What is asked of the memory model: phase, batch, rule, optimizer, checkpointing and formats."""

from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np

from hwmodels.memory.checkpointing import Checkpointing
from hwmodels.memory.maps import FIGURE_1, TEXT, Account, Blocks, Gradients, Maps, Weights
from hwmodels.memory.settings import Settings

Phase = Literal["inference", "training"]
Rule = Literal["text", "wrpn_fig1", "schedule", "framework"]
Optimizer = Literal["none", "sgd", "momentum", "adam"]
Granularity = Literal["per_channel", "per_tensor"]
WeightGradients = Literal["backward", "always"]
ACCOUNTS = {"text": TEXT, "wrpn_fig1": FIGURE_1}
LIMITS = {  # lowest, highest, whether whole
    "batch": (1, 2**31, True),
    "weight_bits": (1, 64, True),
    "activation_bits": (1, 64, True),
    "gradient_bits": (1, 64, True),
    "weight_gradient_bits": (1, 64, True),
    "scale_bytes": (0, 64, False),
    "zero_point_bytes": (0, 64, False),
}
SINGLE = ("gradient_bits", "weight_gradient_bits")
CHOICES = {
    "phase": Phase,
    "rule": Rule,
    "optimizer": Optimizer,
    "scale_granularity": Granularity,
    "checkpointing": Checkpointing,
    "weight_gradients": WeightGradients,
    "compute_bits": Literal[16, 32],
    "weights": Weights,
    "activations": Maps,
    "gradients": Gradients,
    "blocks": Blocks,
}
OF_ACCOUNT = ("weights", "activations", "gradients", "blocks")


class MemoryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be asked of either phase.

    rule               what is counted: "text", WRPN's sum of maps and maxima; "wrpn_fig1", as its
                       Figure 1 was drawn; "schedule", what is alive at the peak of a schedule that
                       holds what it needs; "framework", the same as PyTorch holds it
    optimizer          of training: "none" counts nothing of it; "sgd" the gradients of parameters;
                       "momentum" one further value for each parameter; "adam" two
    master_weights     training holds weights in 32 bits as well
    weight_bits, activation_bits   of all weights and tensors; absent: those of their formats. A
                       framework holds weights in 32 bits where nothing is said
    gradient_bits      of the gradients of tensors; a framework's have the bits of their tensor
    weight_gradient_bits   of the gradients of parameters
    scale_bytes, zero_point_bytes   of each channel of quantized weights (of fewer than 32 bits), or
                       of each tensor: ``scale_granularity``
    checkpointing      "none", "sqrt" or "per_block": see ``checkpointing.cuts``
    in_place           layers value by value overwrite what they read, where that is free
    relu_mask          a relu keeps one bit of each value for its backward pass, not its output
    weight_gradients   gradients of parameters are held from the "backward" pass on, or "always"
    compute_bits       of a framework's products: 32, or 16 in mixed precision
    weights, activations, gradients, blocks   what WRPN's rules count: see ``maps.Account``; absent:
                       as the rule has it

    Raises ValueError on impossible values, and on those that would have no effect.
    """

    rule: Rule = "text"
    optimizer: Optimizer = "none"
    master_weights: bool = False
    weight_bits: int | None = None
    activation_bits: int | None = None
    gradient_bits: int = 32
    weight_gradient_bits: int = 32
    scale_bytes: float = 4
    zero_point_bytes: float = 0
    scale_granularity: Granularity = "per_channel"
    checkpointing: Checkpointing = "none"
    in_place: bool = False
    relu_mask: bool = False
    weight_gradients: WeightGradients = "backward"
    compute_bits: Literal[16, 32] = 32
    weights: Weights | None = None
    activations: Maps | None = None
    gradients: Gradients | None = None
    blocks: Blocks | None = None

    def __post_init__(self):
        for name, choices in CHOICES.items():
            value = getattr(self, name, None)
            known = get_args(choices)
            if value is not None and value not in known:
                raise ValueError(f"{name} must be {_any_of(known)}, not {value!r}")
        for name, (low, high, whole) in LIMITS.items():
            value = getattr(self, name, None)
            if value is not None and not _within(value, low, high, whole):
                kind = "a whole number from " if whole else ""
                raise ValueError(f"{name} must be {kind}{low} to {high:,}")
            if name in SINGLE and np.ndim(value):
                raise ValueError(f"{name} must be one number, not an array")
        self._check_effect()

    def _check_effect(self) -> None:
        """Refuse what the rule makes meaningless."""
        framework = self.rule == "framework"
        unused = {
            "activation_bits": framework and self.activation_bits is not None,
            "relu_mask": framework and self.relu_mask,
            "compute_bits": not framework and self.compute_bits != 32,
            **{
                name: self.rule not in ACCOUNTS and getattr(self, name) is not None
                for name in OF_ACCOUNT
            },
        }
        for name, has_no_effect in unused.items():
            if has_no_effect:
                raise ValueError(f"{name} has no effect with the rule {self.rule!r}; leave it out")

    @property
    def account(self) -> Account | None:
        """What WRPN's rule counts; None of another rule."""
        if self.rule not in ACCOUNTS:
            return None
        given = {name: getattr(self, name) for name in OF_ACCOUNT}
        told = {name: value for name, value in given.items() if value is not None}
        return replace(ACCOUNTS[self.rule], **told)

    @property
    def settings(self) -> Settings:
        """How its schedule is laid out."""
        return Settings(
            framework=self.rule == "framework",
            in_place=self.in_place,
            relu_mask=self.relu_mask,
            compute_bits=self.compute_bits,
            gradient_bits=self.gradient_bits,
            weight_gradient_bits=self.weight_gradient_bits,
            weight_gradients="none" if self.optimizer == "none" else self.weight_gradients,
        )


class MemoryDesign(MemoryOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One phase, for one batch or an array of them. ``batch``, ``weight_bits``,
    ``activation_bits``, ``scale_bytes`` and ``zero_point_bytes`` may be arrays that broadcast
    together."""

    phase: Phase = "inference"
    batch: int = 1


Batch = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Batches = Annotated[tuple[Batch, ...], msgspec.Meta(min_length=1)]
Phases = Annotated[tuple[Phase, ...], msgspec.Meta(min_length=1)]


class MemoryDocument(MemoryOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section ``memory`` of a workload: phases, and one batch or a list of them, besides the
    options."""

    phases: Phase | Phases = ("inference", "training")
    batch: Batch | Batches = 1

    @property
    def batches(self) -> tuple[int, ...]:
        """Its batches."""
        return (self.batch,) if isinstance(self.batch, int) else self.batch

    def design(self, phase: Phase) -> MemoryDesign:
        """What it asks of one phase, with an array of its batches."""
        options = {name: getattr(self, name) for name in MemoryOptions.__struct_fields__}
        return MemoryDesign(phase=phase, batch=np.array(self.batches), **options)


def _within(value: Any, low: float, high: float, whole: bool) -> bool:
    try:
        values = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return False
    inside = (values >= low) & (values <= high)
    return bool((inside & (np.floor(values) == values if whole else True)).all())


def _any_of(known: tuple) -> str:
    words = [str(each) for each in known]
    return " or ".join([", ".join(words[:-1]), words[-1]])
