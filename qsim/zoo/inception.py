"""Inception v3 (Szegedy et al., arXiv 1512.00567), layers named as in torchvision, without the
auxiliary classifier that only serves training."""

from qsim.network.graph import INPUT
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

ROW, COLUMN = (1, 7), (7, 1)
Part = tuple[str, int, int | tuple[int, int]]  # the end of its name, channels, kernel


def inception_v3(*, size: Side = 299, classes: Count = 1000) -> Builder:
    """Inception v3 for images of 3 x size x size."""
    b = Builder((3, size, size))
    x = _normed(b, INPUT, "Conv2d_1a_3x3", 32, 3, stride=2)
    x = _normed(b, x, "Conv2d_2a_3x3", 32, 3)
    x = _normed(b, x, "Conv2d_2b_3x3", 64, 3, padding=1)
    x = b.max_pool(x, "maxpool1")
    x = _normed(b, x, "Conv2d_3b_1x1", 80, 1)
    x = _normed(b, x, "Conv2d_4a_3x3", 192, 3)
    x = b.max_pool(x, "maxpool2")
    for letter, pooled in (("b", 32), ("c", 64), ("d", 64)):
        x = _block_a(b, x, f"Mixed_5{letter}", pooled)
    x = _block_b(b, x, "Mixed_6a")
    for letter, channels in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        x = _block_c(b, x, f"Mixed_6{letter}", channels)
    x = _block_d(b, x, "Mixed_7a")
    x = _block_e(b, x, "Mixed_7b")
    x = _block_e(b, x, "Mixed_7c")
    b.classifier(x, "fc", classes)
    return b


def _block_a(b: Builder, x: str, name: str, pooled: int) -> str:
    ends = [
        _tower(b, x, f"{name}.branch", ("1x1", 64, 1)),
        _tower(b, x, f"{name}.branch5x5_", ("1", 48, 1), ("2", 64, 5)),
        _tower(b, x, f"{name}.branch3x3dbl_", ("1", 64, 1), ("2", 96, 3), ("3", 96, 3)),
        _pooled(b, x, name, pooled),
    ]
    return b.concat(name, *ends)


def _block_b(b: Builder, x: str, name: str) -> str:
    double = _tower(b, x, f"{name}.branch3x3dbl_", ("1", 64, 1), ("2", 96, 3))
    ends = [
        _halved(b, x, f"{name}.branch3x3", 384),
        _halved(b, double, f"{name}.branch3x3dbl_3", 96),
        b.max_pool(x, f"{name}.pool"),
    ]
    return b.concat(name, *ends)


def _block_c(b: Builder, x: str, name: str, inner: int) -> str:
    single = (("1", inner, 1), ("2", inner, ROW), ("3", 192, COLUMN))
    double = (("1", inner, 1), ("2", inner, COLUMN), ("3", inner, ROW), ("4", inner, COLUMN))
    ends = [
        _tower(b, x, f"{name}.branch", ("1x1", 192, 1)),
        _tower(b, x, f"{name}.branch7x7_", *single),
        _tower(b, x, f"{name}.branch7x7dbl_", *double, ("5", 192, ROW)),
        _pooled(b, x, name, 192),
    ]
    return b.concat(name, *ends)


def _block_d(b: Builder, x: str, name: str) -> str:
    single = _tower(b, x, f"{name}.branch3x3_", ("1", 192, 1))
    long = _tower(b, x, f"{name}.branch7x7x3_", ("1", 192, 1), ("2", 192, ROW), ("3", 192, COLUMN))
    ends = [
        _halved(b, single, f"{name}.branch3x3_2", 320),
        _halved(b, long, f"{name}.branch7x7x3_4", 192),
        b.max_pool(x, f"{name}.pool"),
    ]
    return b.concat(name, *ends)


def _block_e(b: Builder, x: str, name: str) -> str:
    single = _tower(b, x, f"{name}.branch3x3_", ("1", 384, 1))
    double = _tower(b, x, f"{name}.branch3x3dbl_", ("1", 448, 1), ("2", 384, 3))
    ends = [_tower(b, x, f"{name}.branch", ("1x1", 320, 1))]
    for y, fork in ((single, "branch3x3_2"), (double, "branch3x3dbl_3")):
        ends.append(_tower(b, y, f"{name}.{fork}", ("a", 384, (1, 3))))
        ends.append(_tower(b, y, f"{name}.{fork}", ("b", 384, (3, 1))))
    return b.concat(name, *ends, _pooled(b, x, name, 192))


def _tower(b: Builder, x: str, name: str, *parts: Part) -> str:
    """Convolutions one after another, padded so that the image keeps its size."""
    for end, channels, kernel in parts:
        x = _normed(b, x, f"{name}{end}", channels, kernel, padding=b.same(x, kernel))
    return x


def _halved(b: Builder, x: str, name: str, channels: int) -> str:
    return _normed(b, x, name, channels, 3, stride=2)


def _pooled(b: Builder, x: str, name: str, channels: int) -> str:
    pooled = b.average_pool(x, f"{name}.pool", kernel=3, stride=1, padding=1)
    return _tower(b, pooled, f"{name}.branch", ("_pool", channels, 1))


def _normed(b: Builder, x: str, name: str, channels: int, kernel, **options) -> str:
    x = b.conv(x, f"{name}.conv", channels, kernel, bias=False, **options)
    return b.relu(b.batch_norm(x, f"{name}.bn", 1e-3), f"{name}.relu")


NETWORKS = {
    "inception-v3": Recipe(inception_v3, "Szegedy et al., arXiv 1512.00567, as in torchvision")
}
