"""VGG-16 (Simonyan and Zisserman, arXiv 1409.1556, Table 1, column D), named as in torchvision."""

from qsim.network.graph import INPUT
from qsim.network.layers import Flatten
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe, Side

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions


def vgg16(*, size: Side = 224, classes: Count = 1000) -> Builder:
    """VGG-16 without batch norms, for images of 3 x size x size."""
    b, x, index = Builder((3, size, size)), INPUT, 0
    for channels, convolutions in STAGES:
        for _ in range(convolutions):
            x = b.conv(x, f"features.{index}", channels, 3, padding=1)
            x = b.relu(x, f"features.{index + 1}")
            index += 2
        x = b.max_pool(x, f"features.{index}", kernel=2)
        index += 1
    x = b.add(Flatten, "flatten", x)
    x = b.relu(b.linear(x, "classifier.0", 4096), "classifier.1")
    x = b.relu(b.linear(x, "classifier.3", 4096), "classifier.4")
    b.linear(x, "classifier.6", classes)
    return b


NETWORKS = {"vgg16": Recipe(vgg16, "Simonyan and Zisserman, arXiv 1409.1556, Table 1, column D")}
