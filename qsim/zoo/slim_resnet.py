"""TF-Slim's ResNets v1 and v2, which put the stride of a block in its last unit.

Names are short forms of TF-Slim's scopes: b2u3/conv1 is block2/unit_3/bottleneck/conv1. Source:
tensorflow/models, research/slim/nets/resnet_v1.py, resnet_v2.py and resnet_utils.py.
"""

from qsim.network.graph import INPUT
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side
from qsim.zoo.resnet import UNITS


def slim_resnet_v1(*, depth: int, size: Side = 224, classes: Count = 1000) -> Builder:
    """ResNet v1: batch norm after each convolution, relu after each addition."""
    b = Builder((3, size, size))
    x = b.conv(INPUT, "conv1", 64, 7, stride=2, padding=3, bias=False)
    x = _normed(b, x, "conv1")
    x = b.max_pool(x, "pool1", padding=b.same(x, 3, 2))
    for name, channels, stride in _units(depth):
        shortcut = _shortcut_v1(b, x, name, 4 * channels, stride)
        y = _body(b, x, name, channels, stride)
        y = b.conv(y, f"{name}/conv3", 4 * channels, bias=False)
        y = b.batch_norm(y, f"{name}/conv3/BatchNorm")
        x = b.relu(b.plus(f"{name}/add", shortcut, y), f"{name}/relu")
    b.classifier(x, "logits", classes)
    return b


def slim_resnet_v2(*, depth: int, size: Side = 299, classes: Count = 1000) -> Builder:
    """ResNet v2 (He et al., arXiv 1603.05027): batch norm and relu before each convolution; the
    first one, the shortcuts and the last one of a unit have biases and no batch norm."""
    b = Builder((3, size, size))
    x = b.conv(INPUT, "conv1", 64, 7, stride=2, padding=3)
    x = b.max_pool(x, "pool1", padding=b.same(x, 3, 2))
    for name, channels, stride in _units(depth):
        active = _normed(b, x, f"{name}/preact")
        if b.channels(x) == 4 * channels:
            shortcut = b.subsample(x, f"{name}/shortcut", stride)
        else:
            shortcut = b.conv(active, f"{name}/shortcut", 4 * channels, stride=stride)
        y = _body(b, active, name, channels, stride)
        y = b.conv(y, f"{name}/conv3", 4 * channels)
        x = b.plus(f"{name}/add", shortcut, y)
    b.classifier(_normed(b, x, "postnorm"), "logits", classes)
    return b


def _units(depth: int) -> list[tuple[str, int, int]]:
    """(name, inner channels, stride) of every unit: the last of a block, but the last block's,
    has a stride of 2."""
    rows = []
    for block, count in enumerate(UNITS[depth]):
        for unit in range(count):
            stride = 2 if unit == count - 1 and block < 3 else 1
            rows.append((f"b{block + 1}u{unit + 1}", 64 * 2**block, stride))
    return rows


def _body(b: Builder, x: str, name: str, channels: int, stride: int) -> str:
    x = _normed(b, b.conv(x, f"{name}/conv1", channels, bias=False), f"{name}/conv1")
    x = b.conv(x, f"{name}/conv2", channels, 3, stride=stride, padding=1, bias=False)
    return _normed(b, x, f"{name}/conv2")


def _shortcut_v1(b: Builder, x: str, name: str, channels: int, stride: int) -> str:
    if b.channels(x) == channels:
        return b.subsample(x, f"{name}/shortcut", stride)
    x = b.conv(x, f"{name}/shortcut", channels, stride=stride, bias=False)
    return b.batch_norm(x, f"{name}/shortcut/BatchNorm")


def _normed(b: Builder, x: str, name: str) -> str:
    return b.relu(b.batch_norm(x, f"{name}/BatchNorm"), f"{name}/Relu")


_SOURCE = "tensorflow/models, research/slim/nets/resnet_v{}.py, {}-layer"
NETWORKS = {
    "resnet50-slim": Recipe(slim_resnet_v1, _SOURCE.format(1, 50), {"depth": 50}),
    "resnet152-slim": Recipe(slim_resnet_v1, _SOURCE.format(1, 152), {"depth": 152}),
    "resnet50-v2-slim": Recipe(slim_resnet_v2, _SOURCE.format(2, 50), {"depth": 50}),
    "resnet152-v2-slim": Recipe(slim_resnet_v2, _SOURCE.format(2, 152), {"depth": 152}),
}
