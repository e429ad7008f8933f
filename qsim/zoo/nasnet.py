"""NASNet-A mobile, 4 @ 1056 (Zoph et al., arXiv 1707.07012), layers named as in pytorchcv's
nasnet_4a1056, whose weights therefore fit.

A cell reads the tensors of the two cells before it: ``x`` of the last and ``previous`` of the one
before. Where a cell halves an even image, TensorFlow's padding is had by one more row and column
of zeros at the top and the left, whose result is cut off again.
"""

from qsim.network.graph import INPUT
from qsim.network.moves import Slice
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

EPSILON = 1e-3
CHUNK = 44  # channels of a branch in the first stage: 1056 / 24


def nasnet_mobile(*, size: Side = 224, classes: Count = 1000) -> Builder:
    """NASNet-A mobile for images of 3 x size x size."""
    b = Builder((3, size, size))
    x = b.conv(INPUT, "features.init_block.conv", 32, 3, stride=2, bias=False)
    previous = b.batch_norm(x, "features.init_block.bn", EPSILON)
    x = _reduction(b, previous, previous, "features.stem1_unit", CHUNK // 4)
    x, previous = _reduction(b, x, previous, "features.stem2_unit", CHUNK // 2), x
    for stage in range(3):
        channels = CHUNK * 2**stage
        if stage:
            name = f"features.stage{stage + 1}.unit1"
            x, previous = _reduction(b, x, previous, name, channels), x
        first = 2 if stage else 1
        for unit in range(first, first + 4):
            name = f"features.stage{stage + 1}.unit{unit}"
            x, previous = _normal(b, x, previous, name, channels), x
    b.classifier(b.relu(x, "features.activ"), "output.fc", classes)
    return b


def _normal(b: Builder, x: str, previous: str, name: str, channels: int) -> str:
    left = _fitted(b, x, f"{name}.conv1x1", channels)
    right = _joined(b, x, previous, name, channels)

    def separable(y: str, branch: str, kernel: int) -> str:
        return _separable_twice(b, y, f"{name}.{branch}", kernel, channels)

    def pooled(y: str, branch: str) -> str:
        return _average(b, y, f"{name}.{branch}")

    sums = [
        (separable(left, "comb0_left", 5), separable(right, "comb0_right", 3)),
        (separable(right, "comb1_left", 5), separable(right, "comb1_right", 3)),
        (pooled(left, "comb2_left"), right),
        (pooled(right, "comb3_left"), pooled(right, "comb3_right")),
        (separable(left, "comb4_left", 3), left),
    ]
    ends = [b.plus(f"{name}.comb{index}", *pair) for index, pair in enumerate(sums)]
    return b.concat(name, right, *ends)


def _reduction(b: Builder, x: str, previous: str, name: str, channels: int) -> str:
    """A cell that halves the image. In the first stem both inputs are the same tensor, the right
    one as it is."""
    left = _fitted(b, x, f"{name}.conv1x1", channels)
    right = x if x == previous else _joined(b, x, previous, name, channels)

    def halved(y: str, branch: str, kernel: int) -> str:
        return _separable_twice(b, y, f"{name}.{branch}", kernel, channels, stride=2)

    def maxima(branch: str) -> str:
        return b.max_pool(left, f"{name}.{branch}", padding=_pool_border(b, left))

    means = b.average_pool(
        left, f"{name}.comb2_left", kernel=3, stride=2, padding=_pool_border(b, left),
        count_padding=False,
    )  # fmt: skip
    zero = b.plus(f"{name}.comb0", halved(left, "comb0_left", 5), halved(right, "comb0_right", 7))
    one = b.plus(f"{name}.comb1", maxima("comb1_left"), halved(right, "comb1_right", 7))
    two = b.plus(f"{name}.comb2", means, halved(right, "comb2_right", 5))
    three = b.plus(f"{name}.comb3", one, _average(b, zero, f"{name}.comb3_right"))
    extra = _is_even(b, left)
    kept = _separable_twice(b, zero, f"{name}.comb4_left", 3, channels, extra=extra)
    four = b.plus(f"{name}.comb4", kept, maxima("comb4_right"))
    return b.concat(name, one, two, three, four)


def _joined(b: Builder, x: str, previous: str, name: str, channels: int) -> str:
    """The tensor of the cell before the last, at the size of the last one's."""
    if b.shapes[x][1:] == b.shapes[previous][1:]:
        return _fitted(b, previous, f"{name}.conv1x1_prev", channels)
    active = _active(b, previous)
    first = b.subsample(active, f"{name}.path.path1.avgpool", 2)
    first = b.conv(first, f"{name}.path.path1.conv", channels // 2, bias=False)
    second = active
    for axis, side in enumerate(b.shapes[active][1:], start=1):
        options = {"axis": axis, "start": 1, "stop": side, "step": 2}
        second = b.add(Slice, f"{name}.path.path2.crop{axis}", second, **options)
    height, width = (side % 2 for side in b.shapes[active][1:])  # what is missing is zeros
    padding = (0, 0, height, width)
    second = b.conv(
        second, f"{name}.path.path2.conv", channels - channels // 2, padding=padding, bias=False
    )
    return b.batch_norm(b.concat(f"{name}.path", first, second), f"{name}.path.bn", EPSILON)


def _fitted(b: Builder, x: str, name: str, channels: int) -> str:
    x = b.conv(_active(b, x), f"{name}.conv", channels, bias=False)
    return b.batch_norm(x, f"{name}.bn", EPSILON)


def _separable_twice(
    b: Builder, x: str, name: str, kernel: int, channels: int, stride: int = 1, extra: bool = False
) -> str:
    extra = extra or (stride == 2 and _is_even(b, x))
    x = _separable(b, x, f"{name}.conv1", kernel, channels, stride, extra)
    return _separable(b, x, f"{name}.conv2", kernel, channels, 1, False)


def _separable(
    b: Builder, x: str, name: str, kernel: int, channels: int, stride: int, extra: bool
) -> str:
    """Relu, a convolution in each channel, one across channels, batch norm; with ``extra`` zeros at
    the top and left."""
    half = kernel // 2
    padding = (half + extra, half + extra, half, half)
    options = {"stride": stride, "padding": padding, "groups": b.channels(x), "bias": False}
    x = b.conv(_active(b, x), f"{name}.conv.dw_conv", b.channels(x), kernel, **options)
    x = b.conv(x, f"{name}.conv.pw_conv", channels, bias=False)
    x = b.batch_norm(x, f"{name}.bn", EPSILON)
    for axis, side in enumerate(b.shapes[x][1:] if extra else (), start=1):
        x = b.add(Slice, f"{name}.crop{axis}", x, axis=axis, start=1, stop=side)
    return x


def _active(b: Builder, x: str) -> str:
    """The relu of a tensor, which all that read it share."""
    name = f"{x}.activ"
    return name if name in b.shapes else b.relu(x, name)


def _average(b: Builder, x: str, name: str) -> str:
    return b.average_pool(x, name, kernel=3, stride=1, padding=1, count_padding=False)


def _pool_border(b: Builder, x: str) -> tuple[int, int, int, int]:
    """The padding of a pool that halves an image: none at the top and left of an even one."""
    edge = 0 if _is_even(b, x) else 1
    return (edge, edge, 1, 1)


def _is_even(b: Builder, x: str) -> bool:
    return b.shapes[x][1] % 2 == 0


NETWORKS = {
    "nasnet-a-mobile": Recipe(
        nasnet_mobile, "Zoph et al., arXiv 1707.07012, as in pytorchcv, nasnet_4a1056"
    )
}
