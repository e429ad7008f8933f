"""Inception-ResNet v2 (Szegedy et al., arXiv 1602.07261): as TF-Slim and Keras have it, which begin
as Inception v3 does, and as the paper's figures have it, with the stem of Inception v4."""

from qsim.network.graph import INPUT
from qsim.network.pointwise import Scale
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

Part = tuple[int, int | tuple[int, int]]  # channels, kernel
RESIDUAL = {  # by stage: scale of the residual, how many units, the towers of one
    "block35": (0.17, 10, (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))),
    "block17": (0.1, 20, (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))),
    "block8": (0.2, 9, (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))),
}


def inception_resnet_v2(*, size: Side = 299, classes: Count = 1000) -> Builder:
    """Inception-ResNet v2 for images of 3 x size x size."""
    b = Builder((3, size, size))
    x = _stem(b)
    x = _residuals(b, x, "block35")
    x = _reduction(b, x, "mixed_6a", ((384, 3),), ((256, 1), (256, 3), (384, 3)))
    x = _residuals(b, x, "block17")
    towers = (((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3)))
    x = _reduction(b, x, "mixed_7a", *towers)
    x = _residuals(b, x, "block8")
    x = _residual(b, x, "block8_10", 1.0, RESIDUAL["block8"][2])  # the last: no scale, no relu
    b.classifier(_normed(b, x, "conv_7b", 1536, 1), "predictions", classes)
    return b


def inception_resnet_v2_paper(*, size: Side = 299, classes: Count = 1000) -> Builder:
    """The paper's Inception-ResNet v2 (Figure 15) for images of 3 x size x size.

    The widths that do not add up in print are those that do: 1,152 channels in Figure 17 and 2,144
    in Figure 19. Residuals are not scaled: section 3.3 names no factor for this network.
    """
    b = Builder((3, size, size))
    x = _paper_stem(b)
    x = _paper_residuals(b, x, "a", 5, RESIDUAL["block35"][2])
    x = _reduction(b, x, "reduction_a", ((384, 3),), ((256, 1), (256, 3), (384, 3)))
    x = _paper_residuals(b, x, "b", 10, RESIDUAL["block17"][2])
    towers = (((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3)))
    x = _reduction(b, x, "reduction_b", *towers)
    x = _paper_residuals(b, x, "c", 5, RESIDUAL["block8"][2])
    b.classifier(x, "predictions", classes)
    return b


def _paper_stem(b: Builder) -> str:
    """The stem of Figure 3: three times two ways beside each other."""
    x = _normed(b, INPUT, "stem/conv0", 32, 3, stride=2)
    x = _normed(b, _normed(b, x, "stem/conv1", 32, 3), "stem/conv2", 64, 3, padding=1)
    halved = _normed(b, x, "stem/conv3", 96, 3, stride=2)
    x = b.concat("stem/mixed0", b.max_pool(x, "stem/pool0"), halved)
    left, right = ((64, 1),), ((64, 1), (64, (7, 1)), (64, (1, 7)))
    ends = []
    for index, parts in enumerate((left, right)):
        way = f"stem/branch{index}"
        y = _tower(b, x, way, parts)
        ends.append(_normed(b, y, f"{way}/conv{len(parts)}", 96, 3))
    x = b.concat("stem/mixed1", *ends)
    halved = _normed(b, x, "stem/conv4", 192, 3, stride=2)
    return b.concat("stem/mixed2", halved, b.max_pool(x, "stem/pool1"))


def _paper_residuals(b: Builder, x: str, stage: str, units: int, towers: tuple) -> str:
    for unit in range(1, units + 1):
        name = f"{stage}{unit}"
        x = b.relu(_residual(b, x, name, 1.0, towers), f"{name}/relu")
    return x


def _stem(b: Builder) -> str:
    x = _normed(b, INPUT, "conv_1a", 32, 3, stride=2)
    x = _normed(b, x, "conv_2a", 32, 3)
    x = _normed(b, x, "conv_2b", 64, 3, padding=1)
    x = b.max_pool(x, "pool_3a")
    x = _normed(b, x, "conv_3b", 80, 1)
    x = b.max_pool(_normed(b, x, "conv_4a", 192, 3), "pool_5a")
    pooled = b.average_pool(x, "mixed_5b/pool", kernel=3, stride=1, padding=1, count_padding=False)
    ends = [
        _tower(b, x, "mixed_5b/branch0", ((96, 1),)),
        _tower(b, x, "mixed_5b/branch1", ((48, 1), (64, 5))),
        _tower(b, x, "mixed_5b/branch2", ((64, 1), (96, 3), (96, 3))),
        _tower(b, pooled, "mixed_5b/branch3", ((64, 1),)),
    ]
    return b.concat("mixed_5b", *ends)


def _residuals(b: Builder, x: str, stage: str) -> str:
    scale, units, towers = RESIDUAL[stage]
    for unit in range(1, units + 1):
        name = f"{stage}_{unit}"
        x = b.relu(_residual(b, x, name, scale, towers), f"{name}/relu")
    return x


def _residual(b: Builder, x: str, name: str, scale: float, towers: tuple) -> str:
    ends = [_tower(b, x, f"{name}/branch{index}", parts) for index, parts in enumerate(towers)]
    y = b.conv(b.concat(f"{name}/mixed", *ends), f"{name}/conv", b.channels(x))
    if scale != 1:
        y = b.add(Scale, f"{name}/scale", y, factor=scale)
    return b.plus(f"{name}/add", x, y)


def _reduction(b: Builder, x: str, name: str, *towers: tuple[Part, ...]) -> str:
    """Towers whose last convolution halves the image without padding, beside a pool of maxima."""
    ends = []
    for index, parts in enumerate(towers):
        tower, (channels, kernel) = f"{name}/branch{index}", parts[-1]
        y = _tower(b, x, tower, parts[:-1])
        ends.append(_normed(b, y, f"{tower}/conv{len(parts) - 1}", channels, kernel, stride=2))
    return b.concat(name, *ends, b.max_pool(x, f"{name}/pool"))


def _tower(b: Builder, x: str, name: str, parts: tuple[Part, ...]) -> str:
    for index, (channels, kernel) in enumerate(parts):
        x = _normed(b, x, f"{name}/conv{index}", channels, kernel, padding=b.same(x, kernel))
    return x


def _normed(b: Builder, x: str, name: str, channels: int, kernel, **options) -> str:
    x = b.conv(x, name, channels, kernel, bias=False, **options)
    return b.relu(b.batch_norm(x, f"{name}/bn", 1e-3), f"{name}/relu")


NETWORKS = {
    "inception-resnet-v2": Recipe(
        inception_resnet_v2,
        "Szegedy et al., arXiv 1602.07261, as in TF-Slim, nets/inception_resnet_v2.py",
    ),
    "inception-resnet-v2-paper": Recipe(
        inception_resnet_v2_paper, "Szegedy et al., arXiv 1602.07261, figures 3 and 15 to 19"
    ),
}
