"""Batch-normalised Inception (Ioffe and Szegedy, arXiv 1502.03167, Figure 5) as tensorpack has it,
examples/Inception/inception-bn.py: its main branch, without the two heads that serve training."""

from qsim.network.graph import INPUT
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

BLOCKS = (  # name, 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool, projection
    ("incep3a", 64, 64, 64, 64, 96, "average", 32),
    ("incep3b", 64, 64, 96, 64, 96, "average", 64),
    ("incep3c", 0, 128, 160, 64, 96, "max", 0),
    ("incep4a", 224, 64, 96, 96, 128, "average", 128),
    ("incep4b", 192, 96, 128, 96, 128, "average", 128),
    ("incep4c", 160, 128, 160, 128, 160, "average", 128),
    ("incep4d", 96, 128, 192, 160, 192, "average", 128),
    ("incep4e", 0, 128, 192, 192, 256, "max", 0),
    ("incep5a", 352, 192, 320, 160, 224, "average", 128),
    ("incep5b", 352, 192, 320, 192, 224, "max", 128),
)


def bn_inception(*, size: Side = 224, classes: Count = 1000) -> Builder:
    """BN-Inception for images of 3 x size x size; all padding is TensorFlow's SAME."""
    b = Builder((3, size, size))
    x = _normed(b, INPUT, "conv0", 64, 7, 2)
    x = b.max_pool(x, "pool0", padding=b.same(x, 3, 2))
    x = _normed(b, _normed(b, x, "conv1", 64, 1), "conv2", 192, 3)
    x = b.max_pool(x, "pool2", padding=b.same(x, 3, 2))
    for name, single, *rest in BLOCKS:
        x = _block(b, x, name, single, *rest)
    b.classifier(x, "linear", classes)
    return b


def _block(
    b: Builder, x: str, name: str, single: int, reduce3: int, three: int, reduce33: int,
    double: int, pool: str, projection: int,
) -> str:  # fmt: skip
    """Four branches side by side; without a 1x1 branch the block halves the image."""
    stride = 1 if single else 2
    ends = [_normed(b, x, f"{name}/conv1x1", single, 1)] if single else []
    y = _normed(b, x, f"{name}/conv3x3r", reduce3, 1)
    ends.append(_normed(b, y, f"{name}/conv3x3", three, 3, stride))
    y = _normed(b, x, f"{name}/conv233r", reduce33, 1)
    y = _normed(b, y, f"{name}/conv233a", double, 3)
    ends.append(_normed(b, y, f"{name}/conv233b", double, 3, stride))
    pools, options = {"max": b.max_pool, "average": b.average_pool}, {}
    if pool == "average":
        options["count_padding"] = False
    padding = b.same(x, 3, stride)
    y = pools[pool](x, f"{name}/pool", kernel=3, stride=stride, padding=padding, **options)
    ends.append(_normed(b, y, f"{name}/poolproj", projection, 1) if projection else y)
    return b.concat(f"{name}/concat", *ends)


def _normed(b: Builder, x: str, name: str, channels: int, kernel: int, stride: int = 1) -> str:
    options = {"stride": stride, "padding": b.same(x, kernel, stride), "bias": False}
    x = b.conv(x, name, channels, kernel, **options)
    return b.relu(b.batch_norm(x, f"{name}/bn"), f"{name}/relu")


NETWORKS = {
    "bn-inception": Recipe(
        bn_inception,
        "Ioffe and Szegedy, arXiv 1502.03167, as in tensorpack, examples/Inception/inception-bn.py",
    )
}
