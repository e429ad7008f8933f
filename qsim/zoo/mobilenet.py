"""MobileNets v1 and v2 with width multipliers."""

from qsim.network.graph import INPUT
from qsim.network.layers import Relu6
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side, Width

V1_STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
V2_BLOCKS = (  # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v1(*, width: Width = 1.0, size: Side = 224, classes: Count = 1000) -> Builder:
    """MobileNet v1; channels times ``width`` are rounded down, and 8 at least as in TF-Slim."""

    def wide(channels: int) -> int:
        return max(int(channels * width), 8)

    b = Builder((3, size, size))
    x = _normed(b, INPUT, "features.init_block", wide(32), 3, stride=2, padding=1)
    for stage, row in enumerate(V1_STAGES):
        for unit, channels in enumerate(row):
            name, stride = (
                f"features.stage{stage + 1}.unit{unit + 1}",
                2 if stage and not unit else 1,
            )
            options = {"stride": stride, "padding": 1, "groups": b.channels(x)}
            x = _normed(b, x, f"{name}.dw_conv", b.channels(x), 3, **options)
            x = _normed(b, x, f"{name}.pw_conv", wide(channels))
    b.classifier(x, "output", classes)
    return b


def mobilenet_v2(*, width: Width = 1.0, size: Side = 224, classes: Count = 1000) -> Builder:
    """MobileNet v2, layers named as in torchvision; channels are multiples of 8, the last
    convolution's are never fewer than 1,280."""
    b = Builder((3, size, size))
    stem = _multiple_of_8(32 * width)
    x = _clipped(b, INPUT, "features.0", stem, 3, stride=2, padding=1)
    index = 1
    for expansion, channels, blocks, stride in V2_BLOCKS:
        for block in range(blocks):
            step, wide = 1 if block else stride, _multiple_of_8(channels * width)
            x = _inverted_residual(b, x, f"features.{index}", wide, step, expansion)
            index += 1
    x = _clipped(b, x, f"features.{index}", _multiple_of_8(1280 * max(1.0, width)), 1)
    b.classifier(x, "classifier.1", classes)
    return b


def _inverted_residual(
    b: Builder, x: str, name: str, channels: int, stride: int, expansion: int
) -> str:
    y, inner, part = x, b.channels(x) * expansion, 0
    if expansion > 1:
        y, part = _clipped(b, y, f"{name}.conv.0", inner, 1), 1
    options = {"stride": stride, "padding": 1, "groups": inner}
    y = _clipped(b, y, f"{name}.conv.{part}", inner, 3, **options)
    y = b.conv(y, f"{name}.conv.{part + 1}", channels, bias=False)
    y = b.batch_norm(y, f"{name}.conv.{part + 2}")
    return b.plus(f"{name}.add", x, y) if b.shapes[x] == b.shapes[y] else y


def _clipped(b: Builder, x: str, name: str, channels: int, kernel: int, **options) -> str:
    """Convolution, batch norm and relu6, numbered as in torchvision."""
    x = b.conv(x, f"{name}.0", channels, kernel, bias=False, **options)
    return b.add(Relu6, f"{name}.2", b.batch_norm(x, f"{name}.1"))


def _normed(b: Builder, x: str, name: str, channels: int, kernel: int = 1, **options) -> str:
    x = b.conv(x, f"{name}.conv", channels, kernel, bias=False, **options)
    return b.relu(b.batch_norm(x, f"{name}.bn"), f"{name}.activ")


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, 8 at least, a half rounded up; the next one where that is less
    than nine tenths of ``channels``."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


NETWORKS = {
    "mobilenet-v1": Recipe(mobilenet_v1, "Howard et al., arXiv 1704.04861, Table 1"),
    "mobilenet-v2": Recipe(
        mobilenet_v2, "Sandler et al., arXiv 1801.04381, Table 2, as in torchvision"
    ),
}
