"""Writing a network down: every method adds a layer and returns the name of the tensor it makes."""

from dataclasses import dataclass, field

from qsim.errors import NetworkError
from qsim.network.graph import INPUT
from qsim.network.layers import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    Layer,
    Linear,
    Relu,
    Shape,
    pair,
)
from qsim.network.pools import AveragePool, MaxPool


@dataclass
class Builder:
    """The layers of a network so far, and the shape of every tensor that they make.

    Each method takes the tensors that are read and the name of the layer first. Raises NetworkError
    naming the layer where its parameters or shapes do not fit.
    """

    input_shape: Shape
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self):
        self.shapes[INPUT] = tuple(self.input_shape)

    def add(self, kind: type[Layer], name: str, *reads: str, **options) -> str:
        """A layer of any kind."""
        try:
            layer = kind(name=name, inputs=reads, **options)
            self.shapes[name] = layer.output_shape(*(self.shapes[read] for read in reads))
        except (NetworkError, ValueError) as error:
            raise NetworkError(f"layer {name!r}: {error}") from None
        self.layers.append(layer)
        return name

    def conv(self, x: str, name: str, channels: int, kernel=1, **options) -> str:
        """A convolution."""
        return self.add(Conv, name, x, out_channels=channels, kernel=kernel, **options)

    def linear(self, x: str, name: str, features: int, **options) -> str:
        """A fully connected layer."""
        return self.add(Linear, name, x, out_features=features, **options)

    def batch_norm(self, x: str, name: str, epsilon: float = 1e-5) -> str:
        """A batch norm."""
        return self.add(BatchNorm, name, x, epsilon=epsilon)

    def relu(self, x: str, name: str) -> str:
        """A relu."""
        return self.add(Relu, name, x)

    def plus(self, name: str, *tensors: str) -> str:
        """The sum of tensors."""
        return self.add(Add, name, *tensors)

    def concat(self, name: str, *tensors: str, axis: int = 0) -> str:
        """Tensors one after another, by default channel after channel."""
        return self.add(Concat, name, *tensors, axis=axis)

    def max_pool(self, x: str, name: str, kernel=3, stride=2, **options) -> str:
        """A pool of maxima, 3 x 3 by steps of 2 where nothing else is said."""
        return self.add(MaxPool, name, x, kernel=kernel, stride=stride, **options)

    def average_pool(self, x: str, name: str, kernel=None, **options) -> str:
        """A pool of averages, over the whole image where no kernel is given."""
        return self.add(AveragePool, name, x, kernel=kernel, **options)

    def subsample(self, x: str, name: str, stride: int) -> str:
        """Every ``stride``-th value along height and width; the tensor itself for a stride of 1."""
        return x if stride == 1 else self.max_pool(x, name, kernel=1, stride=stride)

    def classifier(self, x: str, name: str, classes: int) -> str:
        """Average pool over the image, then a linear layer ``name``."""
        pooled = self.average_pool(x, "avgpool")
        return self.linear(self.add(Flatten, "flatten", pooled), name, classes)

    def channels(self, x: str) -> int:
        """How many channels (or features, of a row) a tensor has."""
        return self.shapes[x][0]

    def same(self, x: str, kernel, stride=1) -> tuple[int, int, int, int]:
        """TensorFlow's padding SAME of a window over ``x``: as many positions as there are steps
        in the image, the odd row and column of padding at the bottom and the right."""
        edges = []
        for side, span, step in zip(self.shapes[x][1:], pair(kernel), pair(stride), strict=True):
            total = max((-(-side // step) - 1) * step + span - side, 0)
            edges.append((total // 2, total - total // 2))
        (top, bottom), (left, right) = edges
        return top, left, bottom, right
