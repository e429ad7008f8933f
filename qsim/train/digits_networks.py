"""The digits networks whose weights and activations are quantized as they train.

Convolutions, batch norms and the linear layer are named as in the layer tables digits-cnn and
digits-xnor. A quantizer is a module, so that those with trained scalars and those without look
alike to a network.
"""

from collections.abc import Callable

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise SystemExit("This module needs torch: pip install torch") from error

from qsim.train import straight_through as quantizers

Quantizer = Callable[[torch.Tensor], torch.Tensor]


class Plain(nn.Module):
    """A quantizer that trains nothing: the function it is made with."""

    def __init__(self, function: Quantizer) -> None:
        super().__init__()
        self.forward = function


class Pact(nn.Module):
    """PACT activations with a trained alpha, at first ``alpha``."""

    def __init__(self, bits: int, alpha: float) -> None:
        super().__init__()
        self.bits = bits
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Levels times alpha / (2**bits - 1)."""
        return quantizers.pact_activations(x, self.alpha, self.bits)


class Ttq(nn.Module):
    """TTQ weights with trained magnitudes of the positive and the negative level."""

    def __init__(self) -> None:
        super().__init__()
        self.positive = nn.Parameter(torch.tensor(1.0))
        self.negative = nn.Parameter(torch.tensor(1.0))

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The positive magnitude, zero, or minus the negative one."""
        return quantizers.ttq_weights(w, self.positive, self.negative)


class Lsq(nn.Module):
    """Levels ``low`` to ``high`` of a trained step, which starts at 2 mean |v| / sqrt(high) of the
    first values seen, as in LSQ; ``per_image`` for activations."""

    def __init__(self, low: int, high: int, *, per_image: bool) -> None:
        super().__init__()
        self.low, self.high, self.per_image = low, high, per_image
        self.step = nn.Parameter(torch.tensor(0.0))

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        """Levels times the step."""
        if self.step == 0:
            self.step.data = 2 * v.detach().abs().mean() / self.high**0.5
        group = v[0].numel() if self.per_image else v.numel()
        return quantizers.lsq(v, self.step, self.low, self.high, group=group)


class QuantizedConv(nn.Conv2d):
    """A 3x3 convolution by quantized weights; it keeps the real ones."""

    def __init__(self, in_channels: int, out_channels: int, quantize: nn.Module) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        self.quantize = quantize

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The convolution by the quantized weights."""
        return functional.conv2d(x, self.quantize(self.weight), padding=self.padding)


class XnorConv(QuantizedConv):
    """A convolution of signs by signs, scaled per filter and, with ``has_map``, by XNOR-Net's map
    of the input's magnitude. The padding is 0, which adds nothing."""

    def __init__(self, in_channels: int, out_channels: int, *, has_map: bool) -> None:
        super().__init__(in_channels, out_channels, Plain(quantizers.bwn_weights))
        self.has_map = has_map

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The scaled convolution of the signs of ``x``."""
        product = super().forward(quantizers.sign_activations(x))
        if not self.has_map:
            return product
        return product * quantizers.activation_map(x, self.kernel_size, stride=1, padding=1)


class SchemeCnn(nn.Module):
    """DigitsCnn with quantized weights in conv2 and conv3 and an activation quantizer in the place
    of each relu; logits (N, 10) of images (N, 1, 8, 8) in [0, 1]."""

    def __init__(self, weights: Callable[[], nn.Module], acts: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(16), acts()
        self.conv2 = QuantizedConv(16, 32, weights())
        self.bn2, self.relu2 = nn.BatchNorm2d(32), acts()
        self.conv3 = QuantizedConv(32, 32, weights())
        self.bn3, self.relu3 = nn.BatchNorm2d(32), acts()
        self.fc = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10)."""
        hidden = self.relu1(self.bn1(self.conv1(images)))
        hidden = self.relu2(self.bn2(self.conv2(hidden)))
        pooled = functional.max_pool2d(hidden, 2)
        hidden = self.relu3(self.bn3(self.conv3(pooled)) + pooled)
        return self.fc(functional.max_pool2d(hidden, 2).flatten(1))


class XnorCnn(nn.Module):
    """Three convolutions without relu, the second and third of signs by signs; logits (N, 10)."""

    def __init__(self, *, has_map: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = XnorConv(32, 32, has_map=has_map)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = XnorConv(32, 64, has_map=has_map)
        self.bn3 = nn.BatchNorm2d(64)
        self.fc = nn.Linear(256, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10)."""
        hidden = self.conv2(self.bn1(self.conv1(images)))
        hidden = self.conv3(functional.max_pool2d(self.bn2(hidden), 2))
        return self.fc(functional.max_pool2d(self.bn3(hidden), 2).flatten(1))
