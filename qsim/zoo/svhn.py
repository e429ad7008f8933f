"""DoReFa-Net's networks for house numbers, models A to D, as tensorpack has model A,
examples/DoReFa-Net/svhn-digit-dorefa.py; relu stands where the format of the activations clips."""

from qsim.network.graph import INPUT
from qsim.network.layers import Flatten
from qsim.zoo.builder import Builder
from qsim.zoo.recipe import Count, Recipe

CONVOLUTIONS = (  # channels, kernel, padding, pool after it
    (64, 3, 1, False),
    (64, 3, 1, True),
    (128, 3, 0, False),
    (128, 3, 1, False),
    (128, 3, 0, False),
    (512, 5, 0, False),
)


def svhn(*, share: int, classes: Count = 10) -> Builder:
    """A network for images of 3 x 40 x 40, with one ``share``-th of model A's channels."""
    b = Builder((3, 40, 40))
    x = b.conv(INPUT, "conv0", 48 // share, 5)
    x = b.relu(b.max_pool(x, "pool0", kernel=2), "relu0")
    for index, (channels, kernel, padding, pool) in enumerate(CONVOLUTIONS, start=1):
        options = {"padding": padding, "bias": False}
        x = b.conv(x, f"conv{index}", channels // share, kernel, **options)
        x = b.batch_norm(x, f"bn{index}", 1e-4)
        if pool:
            x = b.max_pool(x, "pool1", kernel=2)
        x = b.relu(x, f"relu{index}")
    b.linear(b.add(Flatten, "flatten", x), "fc1", classes)
    return b


NETWORKS = {
    f"svhn-{letter}": Recipe(
        svhn,
        f"Zhou et al., arXiv 1606.06160, section 3.1, model {letter.upper()}, as in tensorpack",
        {"share": share},
    )
    for letter, share in zip("abcd", (1, 2, 4, 8), strict=True)
}
