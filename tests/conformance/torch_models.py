"""ResNet-18 and MobileNet-v2 in plain torch, exported to ONNX and quantized by ONNX Runtime.

Weights and data are seeded. Run as

    python -m conformance.torch_models resnet18 qdq model.onnx --side 224

from the folder ``tests`` to write a model for another program to read.
"""

import argparse
import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
from conformance.peers import ONNX, TORCH, load
from conformance.quantized_networks import quantize_statically

FORMS = {"qdq": "QDQ", "qoperator": "QOperator"}
SETTINGS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))  # MobileNet-v2, table 2: t, c, n, s  # fmt: skip


def resnet18(classes=1000):
    """ResNet-18, batch norms folded into the convolutions."""
    nn = load(TORCH).nn

    def conv(inside, outside, kernel, stride=1):
        return nn.Conv2d(inside, outside, kernel, stride, kernel // 2)

    class BasicBlock(nn.Module):
        def __init__(self, inside, outside, stride):
            super().__init__()
            self.conv1, self.conv2 = conv(inside, outside, 3, stride), conv(outside, outside, 3)
            self.relu = nn.ReLU()
            same = stride == 1 and inside == outside
            self.downsample = nn.Identity() if same else conv(inside, outside, 1, stride)

        def forward(self, x):
            y = self.conv2(self.relu(self.conv1(x)))
            return self.relu(y + self.downsample(x))

    stages, inside = [], 64
    for stage, outside in enumerate((64, 128, 256, 512)):
        stages += [BasicBlock(inside, outside, 1 if stage == 0 else 2)]
        stages += [BasicBlock(outside, outside, 1)]
        inside = outside
    return nn.Sequential(
        conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *stages,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes),
    )  # fmt: skip


def mobilenet_v2(classes=1000, width=1.0):
    """MobileNet-v2, channels times ``width`` in whole eights, batch norms folded."""
    nn = load(TORCH).nn

    def channels(count):
        rounded = max(8, int(count * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * count * width else rounded

    def conv(inside, outside, kernel, stride=1, groups=1):
        return nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups)

    class InvertedResidual(nn.Module):
        def __init__(self, inside, outside, stride, expansion):
            super().__init__()
            inner = inside * expansion
            expand = [] if expansion == 1 else [conv(inside, inner, 1), nn.ReLU6()]
            depthwise = [conv(inner, inner, 3, stride, inner), nn.ReLU6()]
            self.conv = nn.Sequential(*expand, *depthwise, conv(inner, outside, 1))
            self.adds = stride == 1 and inside == outside

        def forward(self, x):
            return x + self.conv(x) if self.adds else self.conv(x)

    inside = channels(32)
    blocks = [conv(3, inside, 3, 2), nn.ReLU6()]
    for expansion, outside, count, stride in SETTINGS:
        for index in range(count):
            stride = stride if index == 0 else 1
            blocks.append(InvertedResidual(inside, channels(outside), stride, expansion))
            inside = channels(outside)
    last = channels(1280) if width > 1 else 1280
    return nn.Sequential(
        *blocks, conv(inside, last, 1), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes),
    )  # fmt: skip


NETWORKS = {"resnet18": resnet18, "mobilenet_v2": mobilenet_v2}


def exported(name, side, seed=0, **options):
    """The float ONNX model of a network with seeded weights."""
    torch, onnx = load(TORCH), load(ONNX)
    torch.manual_seed(seed)
    model = NETWORKS[name](**options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.normal_(module.bias, std=0.05)
    written = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        torch.onnx.export(
            model, (torch.zeros(1, 3, side, side),), written, input_names=["image"],
            output_names=["logits"], opset_version=17, dynamic_axes={"image": {0: "N"}},
            dynamo=False,
        )  # fmt: skip
    return onnx.load_from_string(written.getvalue())


def images(count, side, seed=1):
    """Seeded images about 0, float32 (count, 3, side, side)."""
    return np.random.default_rng(seed).standard_normal((count, 3, side, side)).astype(np.float32)


def quantized(model, form, side, seed=2):
    """The model quantized by ONNX Runtime's static quantizer, per channel, uint8 by int8, its ranges
    from four seeded images; ``form`` is qdq or qoperator."""
    return quantize_statically(model, images(4, side, seed), FORMS[form])


def main(argv=None):
    parser = argparse.ArgumentParser(description="Write a quantized network.")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--side", type=int, default=224)
    arguments = parser.parse_args(argv)
    model = quantized(exported(arguments.network, arguments.side), arguments.form, arguments.side)
    load(ONNX).save(model, arguments.path)


if __name__ == "__main__":
    main()
