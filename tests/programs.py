"""Small networks and their integer programs, for the tests of execution."""

import numpy as np

from hwmodels.documents import convert
from qsim.build import build
from qsim.network.graph import Network
from qsim.network.layers import (
    Add,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    MatMul,
    Relu,
    Relu6,
    Sigmoid,
    Softmax,
    Tanh,
)
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.weights import seeded_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic

EVERYTHING = 10**6  # checks every output of these small networks


def residual_network(kernel=3, stride=1, groups=1):
    """A stem, a block with a projected shortcut, a pooled head: every kind of layer and value."""
    layers = (
        Conv(name="stem", out_channels=4, kernel=3, padding=1),
        Relu(name="relu"),
        MaxPool(name="pool", kernel=2, padding=1, stride=2),
        Conv(name="conv1", out_channels=4, kernel=kernel, stride=stride, padding=kernel // 2,
             groups=groups),
        Relu(name="relu1"),
        Conv(name="conv2", out_channels=6, kernel=1, bias=False),
        Conv(name="short", out_channels=6, kernel=1, stride=stride, inputs=("pool",)),
        Add(name="add", inputs=("conv2", "short")),
        Relu(name="relu2"),
        AveragePool(name="mean"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=3),
    )  # fmt: skip
    return Network("residual", (2, 7, 7), layers)


def odd_network():
    """Windows that are not square, strides that are not the window, four-sided padding, dilation,
    sums that are flattened, and a relu of a sum as the result."""
    layers = (
        Conv(name="first", out_channels=3, kernel=(2, 3), stride=(1, 2), padding=(0, 1, 2, 3)),
        MaxPool(name="pool", kernel=(3, 2), stride=(2, 1), padding=(1, 0)),
        Conv(name="second", out_channels=4, kernel=2, dilation=(1, 2)),
        Relu(name="relu"),
        AveragePool(name="mean", kernel=(1, 2), stride=(2, 1)),
        Conv(name="third", out_channels=2, kernel=1),
        Flatten(name="flat"),
        Linear(name="left", out_features=4),
        Linear(name="right", out_features=4, inputs=("flat",)),
        Add(name="sum", inputs=("left", "right")),
        Relu(name="result"),
    )
    return Network("odd", (2, 6, 7), layers)


def varied_network():
    """Layers that bound values, tables, a product of two activations, and a concatenation."""
    layers = (
        Conv(name="stem", out_channels=4, kernel=3, padding=1),
        Relu6(name="six"),
        MaxPool(name="pool", kernel=2),
        Conv(name="left", out_channels=3, kernel=1),
        HardTanh(name="hard"),
        Conv(name="right", out_channels=2, kernel=1, inputs=("pool",)),
        Tanh(name="soft"),
        Concat(name="both", inputs=("hard", "soft", "pool")),
        Conv(name="query", out_channels=2, kernel=1),
        Conv(name="key", out_channels=2, kernel=1, inputs=("both",)),
        MatMul(name="scores", inputs=("query", "key"), transposed=True),
        Softmax(name="weights"),
        Conv(name="value", out_channels=2, kernel=1, inputs=("both",)),
        MatMul(name="mixed", inputs=("weights", "value")),
        Add(name="sum", inputs=("mixed", "value")),
        Clip(name="bounded", low=-0.75, high=1.5),
        Sigmoid(name="gate"),
        AveragePool(name="mean"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=3),
        Clip(name="result", low=-0.1, high=0.1),
    )
    return Network("varied", (2, 6, 6), layers)


def program_for(
    network,
    weights,
    *,
    activations=4,
    signed=False,
    weight_scale=None,
    seed=0,
    layers=None,
    values=None,
    **arithmetic,
):
    """The program of a network with seeded weights (or ``values``), and two random images;
    ``activations`` is a format or the bits of fixed point."""
    if isinstance(activations, int):
        activations = {"fixed": {"bits": activations, "signed": signed}}
    data = {
        "default": {
            "weights": weights,
            "activations": activations,
        }
        | ({} if weight_scale is None else {"weight_scale": weight_scale}),
        "layers": layers or {},
    }
    wanted = Arithmetic(**arithmetic)
    document, at_once = convert(data, PrecisionDocument, where="w"), wanted.requantizer.at_once
    precision = resolve(document, network, where="w", at_once=at_once)
    images = np.random.default_rng(seed).random((2, *network.input_shape), np.float32)
    values = values or seeded_weights(network, seed)
    return build(network, values, precision, images, wanted), images
