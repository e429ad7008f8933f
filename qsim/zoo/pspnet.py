"""PSPNet (Zhao et al., arXiv 1612.01105) on a dilated ResNet-50 that begins with three 3 x 3
convolutions, layers named as in pytorchcv's pspnet_resnetd50b_voc."""

from qsim.errors import NetworkError
from qsim.network.graph import INPUT
from qsim.network.pointwise import Resize
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side
from qsim.zoo.resnet import UNITS

BINS = (1, 2, 3, 6)  # sides of what the pyramid's pools make


def pspnet(*, size: Side = 480, classes: Count = 21) -> Builder:
    """PSPNet for images of 3 x size x size, a multiple of 48, and as large a map of classes.

    Raises NetworkError on another size: 1, 2, 3 and 6 must divide the side of the backbone's
    result, which is an eighth.
    """
    if size % 48:
        raise NetworkError(f"size must be a multiple of 48, not {size}")
    b = Builder((3, size, size))
    x = INPUT
    for index, (channels, stride) in enumerate(((64, 2), (64, 1), (128, 1)), start=1):
        x = _active(b, x, f"backbone.0.conv{index}", channels, 3, stride=stride, padding=1)
    x = b.max_pool(x, "backbone.0.pool", padding=1)
    for stage, units in enumerate(UNITS[50]):
        for unit in range(units):
            dilation = 2 ** max(0, stage - 1 - (unit == 0))
            stride = 2 if stage == 1 and unit == 0 else 1
            name = f"backbone.{stage + 1}.unit{unit + 1}"
            x = _unit(b, x, name, 64 * 2**stage, stride, dilation)
    pyramid = [_branch(b, x, index, bins) for index, bins in enumerate(BINS, start=2)]
    x = b.concat("pool", x, *pyramid)
    x = _active(b, x, "final_block.conv1", b.channels(x) // 8, 3, padding=1)
    x = b.conv(x, "final_block.conv2", classes)
    b.add(Resize, "final_block.resize", x, size=size, align_corners=True)
    return b


def _unit(b: Builder, x: str, name: str, channels: int, stride: int, dilation: int) -> str:
    options = {"stride": stride, "padding": dilation, "dilation": dilation}
    y = _active(b, x, f"{name}.body.conv1", channels, 1)
    y = _active(b, y, f"{name}.body.conv2", channels, 3, **options)
    y = _normed(b, y, f"{name}.body.conv3", 4 * channels, 1)
    if b.shapes[x] != b.shapes[y]:
        x = _normed(b, x, f"{name}.identity_conv", 4 * channels, 1, stride=stride)
    return b.relu(b.plus(f"{name}.add", y, x), f"{name}.activ")


def _branch(b: Builder, x: str, index: int, bins: int) -> str:
    """Means over ``bins`` x ``bins`` parts of the image, convolved and brought back to its size."""
    name, side = f"pool.branches.branch{index}", b.shapes[x][1]
    y = b.average_pool(x, f"{name}.pool", kernel=side // bins)
    y = _active(b, y, f"{name}.conv", b.channels(x) // 4, 1)
    return b.add(Resize, f"{name}.resize", y, size=side, align_corners=True)


def _active(b: Builder, x: str, name: str, channels: int, kernel: int, **options) -> str:
    return b.relu(_normed(b, x, name, channels, kernel, **options), f"{name}.activ")


def _normed(b: Builder, x: str, name: str, channels: int, kernel: int, **options) -> str:
    x = b.conv(x, f"{name}.conv", channels, kernel, bias=False, **options)
    return b.batch_norm(x, f"{name}.bn")


NETWORKS = {
    "pspnet": Recipe(
        pspnet, "Zhao et al., arXiv 1612.01105, as in pytorchcv, pspnet_resnetd50b_voc"
    )
}
