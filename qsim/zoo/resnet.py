"""ResNets with the layers of torchvision (He et al., arXiv 1512.03385).

Two networks of bottlenecks are called ResNet-50, 101 and 152: with the stride of a stage in its
first 1 x 1 convolution (v1, the paper), or in its first 3 x 3 convolution (v1.5, torchvision).
"""

from qsim.network.graph import INPUT
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def resnet(
    *, depth: int, bottleneck: str | None = None, size: Side = 224, classes: Count = 1000
) -> Builder:
    """A ResNet for images of 3 x size x size.

    bottleneck   where a stage has its stride: 1x1 or 3x3; None: units of two 3 x 3 convolutions
    """
    b = Builder((3, size, size))
    x = b.conv(INPUT, "conv1", 64, 7, stride=2, padding=3, bias=False)
    x = b.relu(b.batch_norm(x, "bn1"), "relu")
    x = b.max_pool(x, "maxpool", padding=1)
    for stage, units in enumerate(UNITS[depth]):
        for index in range(units):
            name, stride = f"layer{stage + 1}.{index}", 2 if stage and not index else 1
            convs = _convs(64 * 2**stage, stride, bottleneck)
            x = _unit(b, x, name, convs, stride)
    b.classifier(x, "fc", classes)
    return b


def _convs(channels: int, stride: int, bottleneck: str | None) -> list[tuple[int, int, int]]:
    """(channels, kernel, stride) of a unit's convolutions."""
    if bottleneck is None:
        return [(channels, 3, stride), (channels, 3, 1)]
    first, second = (stride, 1) if bottleneck == "1x1" else (1, stride)
    return [(channels, 1, first), (channels, 3, second), (4 * channels, 1, 1)]


def _unit(b: Builder, x: str, name: str, convs: list[tuple[int, int, int]], stride: int) -> str:
    y, last = x, len(convs)
    for index, (channels, kernel, step) in enumerate(convs, start=1):
        options = {"stride": step, "padding": kernel // 2, "bias": False}
        y = b.conv(y, f"{name}.conv{index}", channels, kernel, **options)
        y = b.batch_norm(y, f"{name}.bn{index}")
        if index < last:
            y = b.relu(y, f"{name}.relu{index}")
    if b.shapes[y] != b.shapes[x]:
        x = b.conv(x, f"{name}.downsample.0", b.channels(y), stride=stride, bias=False)
        x = b.batch_norm(x, f"{name}.downsample.1")
    return b.relu(b.plus(f"{name}.add", y, x), f"{name}.relu{last}")


def _recipe(depth: int, bottleneck: str | None, remark: str) -> Recipe:
    source = f"He et al., arXiv 1512.03385, Table 1 ({depth}-layer){remark}"
    return Recipe(resnet, source, {"depth": depth, "bottleneck": bottleneck})


NETWORKS = {
    "resnet18": _recipe(18, None, ""),
    "resnet34": _recipe(34, None, ""),
    "resnet50-v1": _recipe(50, "1x1", ", stride in 1x1"),
    "resnet50-v1.5": _recipe(50, "3x3", ", stride in 3x3 as in torchvision"),
    "resnet101-v1": _recipe(101, "1x1", ", stride in 1x1"),
    "resnet101-v1.5": _recipe(101, "3x3", ", stride in 3x3 as in torchvision"),
    "resnet152-v1.5": _recipe(152, "3x3", ", stride in 3x3 as in torchvision"),
}
