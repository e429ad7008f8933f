"""AlexNets. The networks that papers call so differ by four times in their MACs."""

from qsim.network.graph import INPUT
from qsim.network.layers import Flatten
from qsim.network.pointwise import LocalResponseNorm
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side


def alexnet_2012(*, groups: int, size: Side = 227, classes: Count = 1000) -> Builder:
    """The network of 2012 with local response norms, its convolutions 2, 4 and 5 in groups (that
    of two GPUs) or not; norms with the constants of Caffe's model."""
    b = Builder((3, size, size))
    x = b.relu(b.conv(INPUT, "conv1", 96, 11, stride=4), "relu1")
    x = b.max_pool(_response_norm(b, x, "norm1"), "pool1")
    x = b.relu(b.conv(x, "conv2", 256, 5, padding=2, groups=groups), "relu2")
    x = b.max_pool(_response_norm(b, x, "norm2"), "pool2")
    x = b.relu(b.conv(x, "conv3", 384, 3, padding=1), "relu3")
    x = b.relu(b.conv(x, "conv4", 384, 3, padding=1, groups=groups), "relu4")
    x = b.relu(b.conv(x, "conv5", 256, 3, padding=1, groups=groups), "relu5")
    x = b.add(Flatten, "flatten", b.max_pool(x, "pool5"))
    x = b.relu(b.linear(x, "fc6", 4096), "relu6")
    x = b.relu(b.linear(x, "fc7", 4096), "relu7")
    b.linear(x, "fc8", classes)
    return b


def alexnet_torchvision(*, size: Side = 224, classes: Count = 1000) -> Builder:
    """The single tower of Krizhevsky's arXiv 1404.5997, layers named as in torchvision."""
    b = Builder((3, size, size))
    x = b.relu(b.conv(INPUT, "features.0", 64, 11, stride=4, padding=2), "features.1")
    x = b.max_pool(x, "features.2")
    x = b.relu(b.conv(x, "features.3", 192, 5, padding=2), "features.4")
    x = b.max_pool(x, "features.5")
    for index, channels in ((6, 384), (8, 256), (10, 256)):
        x = b.conv(x, f"features.{index}", channels, 3, padding=1)
        x = b.relu(x, f"features.{index + 1}")
    x = b.add(Flatten, "flatten", b.max_pool(x, "features.12"))
    x = b.relu(b.linear(x, "classifier.1", 4096), "classifier.2")
    x = b.relu(b.linear(x, "classifier.4", 4096), "classifier.5")
    b.linear(x, "classifier.6", classes)
    return b


def alexnet_tensorpack(*, split: int, size: Side = 224, classes: Count = 1000) -> Builder:
    """The network of tensorpack's alexnet-dorefa.py, with batch norms, its convolutions 1, 3 and 4
    in ``split`` groups; relu stands where the format of the activations clips."""
    b = Builder((3, size, size))
    x = b.relu(b.conv(INPUT, "conv0", 96, 12, stride=4), "relu0")
    rows = (
        (256, 5, split, "same"),
        (384, 3, 1, "same"),
        (384, 3, split, ""),
        (256, 3, split, "valid"),
    )
    for index, (channels, kernel, groups, pool) in enumerate(rows, start=1):
        options = {"padding": kernel // 2, "groups": groups, "bias": False}
        x = b.conv(x, f"conv{index}", channels, kernel, **options)
        x = b.batch_norm(x, f"bn{index}", 1e-4)
        if pool:
            x = b.max_pool(x, f"pool{index}", padding=b.same(x, 3, 2) if pool == "same" else 0)
        x = b.relu(x, f"relu{index}")
    x = b.linear(b.add(Flatten, "flatten", x), "fc0", 4096)
    x = b.relu(b.batch_norm(x, "bnfc0", 1e-4), "relufc0")
    x = b.linear(x, "fc1", 4096, bias=False)
    x = b.relu(b.batch_norm(x, "bnfc1", 1e-4), "relufc1")
    b.linear(x, "fct", classes)
    return b


def _response_norm(b: Builder, x: str, name: str) -> str:
    return b.add(LocalResponseNorm, name, x, size=5, alpha=1e-4, beta=0.75, bias=1.0)


_PAPER = "Krizhevsky et al., NIPS 2012; norms, pools and 227 pixels as in Caffe's bvlc_alexnet"
_TENSORPACK = "tensorpack, examples/DoReFa-Net/alexnet-dorefa.py"
NETWORKS = {
    "alexnet": Recipe(alexnet_2012, _PAPER, {"groups": 2}),
    "alexnet-ungrouped": Recipe(alexnet_2012, f"{_PAPER}; without groups", {"groups": 1}),
    "alexnet-dorefa": Recipe(alexnet_tensorpack, f"{_TENSORPACK}, split=2", {"split": 2}),
    "alexnet-wrpn": Recipe(
        alexnet_tensorpack, f"{_TENSORPACK} without groups, as WRPN's tables count", {"split": 1}
    ),
    "alexnet-torchvision": Recipe(
        alexnet_torchvision, "Krizhevsky, arXiv 1404.5997, as in torchvision"
    ),
}
