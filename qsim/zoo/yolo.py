"""YOLO v3 (Redmon and Farhadi, arXiv 1804.02767) as in darknet's cfg/yolov3.cfg.

Its three heads, at a 32nd, a 16th and an 8th of the image, are one tensor here: their places one
after another, (3 * (5 + classes), places).
"""

from qsim.errors import NetworkError
from qsim.network.graph import INPUT
from qsim.network.moves import Reshape, Upsample
from qsim.network.pointwise import LeakyRelu
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

UNITS = (1, 2, 8, 8, 4)  # residual units of Darknet-53, by stage


def yolo_v3(*, size: Side = 416, classes: Count = 80) -> Builder:
    """YOLO v3 for images of 3 x size x size, a multiple of 32.

    Raises NetworkError on another size.
    """
    if size % 32:
        raise NetworkError(f"size must be a multiple of 32, not {size}")
    b = Builder((3, size, size))
    x, stages = _normed(b, INPUT, "darknet.0", 32, 3), []
    for stage, units in enumerate(UNITS, start=1):
        channels = 32 * 2**stage
        x = _normed(b, x, f"darknet.{stage}.down", channels, 3, stride=2)
        for unit in range(units):
            name = f"darknet.{stage}.{unit}"
            y = _normed(b, x, f"{name}.conv1", channels // 2, 1)
            x = b.plus(f"{name}.add", x, _normed(b, y, f"{name}.conv2", channels, 3))
        stages.append(x)
    heads, x = [], stages.pop()
    for level, channels in enumerate((512, 256, 128)):
        if level:
            x = _normed(b, x, f"head{level}.up.conv", channels, 1)
            x = b.add(Upsample, f"head{level}.up", x, factor=2)
            x = b.concat(f"head{level}.concat", x, stages.pop())
        for index in range(1, 6):
            wide = index % 2 == 0
            size_of_it = (2 * channels, 3) if wide else (channels, 1)
            x = _normed(b, x, f"head{level}.conv{index}", *size_of_it)
        heads.append(_head(b, x, f"head{level}", 2 * channels, 3 * (5 + classes)))
    b.concat("heads", *heads, axis=1)
    return b


def _head(b: Builder, x: str, name: str, channels: int, values: int) -> str:
    x = b.conv(_normed(b, x, f"{name}.conv6", channels, 3), f"{name}.conv7", values)
    return b.add(Reshape, f"{name}.places", x, shape=(values, -1))


def _normed(b: Builder, x: str, name: str, channels: int, kernel: int, stride: int = 1) -> str:
    options = {"stride": stride, "padding": kernel // 2, "bias": False}
    x = b.batch_norm(b.conv(x, name, channels, kernel, **options), f"{name}.bn")
    return b.add(LeakyRelu, f"{name}.leaky", x, slope=0.1)


NETWORKS = {
    "yolo-v3": Recipe(
        yolo_v3,
        "Redmon and Farhadi, arXiv 1804.02767, darknet's cfg/yolov3.cfg; its heads one tensor",
    )
}
