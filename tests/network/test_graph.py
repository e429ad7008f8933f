from dataclasses import replace

import pytest

from qsim.errors import NetworkError
from qsim.network.graph import Network
from qsim.network.layers import Add, BatchNorm, Conv, Flatten, Linear, MatMul, Relu
from qsim.network.pools import AveragePool, MaxPool
from qsim.zoo import find_network


def zoo(name):
    return find_network(name, where="network")


def shape_after(input_shape, *layers):
    network = Network("n", input_shape, layers)
    return network.nodes[network.output].output_shape


def test_resnet18_has_the_macs_and_parameters_of_the_paper():
    network = zoo("resnet18")
    assert network.macs == 1_814_073_344
    assert network.parameter_count == 11_689_512
    assert network.nodes["fc"].output_shape == (1000,)


def test_resnet18_is_counted_for_the_image_it_is_given():
    smaller = replace(zoo("resnet18"), input_shape=(3, 64, 64))
    assert smaller.parameter_count == 11_689_512
    assert smaller.nodes["avgpool"].input_shapes[0] == (512, 2, 2)


def test_a_layer_counts_a_mac_for_every_weight_at_every_position():
    conv = Conv(name="c", out_channels=6, kernel=(3, 2), stride=2, padding=1, groups=2)
    node = Network("n", (4, 8, 9), (conv,)).nodes["c"]
    assert node.output_shape == (6, 4, 5)
    assert node.parameters == {"weight": (6, 2, 3, 2), "bias": (6,)}
    assert node.macs == 6 * 2 * 3 * 2 * 4 * 5


def test_shapes_follow_the_windows():
    assert shape_after((3, 11, 11), Conv(name="c", out_channels=2, kernel=3, dilation=2)) == (
        2,
        7,
        7,
    )
    assert shape_after((3, 7, 7), MaxPool(name="p", kernel=3, stride=2, padding=1)) == (3, 4, 4)
    assert shape_after((3, 7, 7), MaxPool(name="p", kernel=2)) == (3, 3, 3)
    assert shape_after((3, 7, 5), AveragePool(name="p")) == (3, 1, 1)
    assert shape_after((3, 7, 5), Flatten(name="f")) == (105,)
    padded = Conv(name="c", out_channels=1, kernel=3, padding=(0, 1, 2, 3))
    assert shape_after((1, 3, 3), padded) == (1, 3, 5)


RELU = Relu(name="relu")


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ((), "has no layers"),
        ((RELU, RELU), "the name is used twice"),
        ((Relu(name="input"),), "the name is used twice"),
        ((Relu(name="a", inputs=("b",)), Relu(name="b")), "it is made later"),
        ((Relu(name="relu1"), Relu(name="b", inputs=("relu",))), "did you mean 'relu1'"),
        ((Relu(name="a", inputs=("a",)),), "it is made later"),
        ((RELU, Relu(name="b", inputs=("input",))), "nothing reads tensor 'relu'"),
        ((Linear(name="fc", out_features=3),), "put a flatten layer before it"),
        ((Flatten(name="f"), MaxPool(name="p", kernel=2)), "reads an image"),
        ((Conv(name="c", out_channels=4, kernel=9),), "window of 9 does not fit"),
        ((Conv(name="c", out_channels=4, kernel=1, groups=2),), "2 groups do not divide"),
        ((Conv(name="c", out_channels=2**20, kernel=1, padding=99),), "more than 4,294,967,296"),
        ((Add(name="a"),), "adds two tensors or more"),
        ((Relu(name="r", inputs=("input", "input")),), "reads 1 tensor, not 2"),
        (
            (Flatten(name="f"), MatMul(name="m", inputs=("f", "f"), transposed=True)),
            "cannot multiply 192 by the transpose of 192",
        ),
        (
            (MaxPool(name="p", kernel=2), Add(name="a", inputs=("p", "input"))),
            "cannot add tensors of different shapes: 3x4x4 and 3x8x8",
        ),
    ],
)
def test_what_is_no_network_is_refused_by_name(layers, problem):
    with pytest.raises(NetworkError, match=problem):
        Network("n", (3, 8, 8), layers)


@pytest.mark.parametrize("sides", [(), (0, 8, 8), (3, -1, 8), (3, 2**40, 8)])
def test_images_without_sides_are_refused(sides):
    with pytest.raises(NetworkError, match="input sides must be 1 to 1,048,576"):
        Network("n", sides, (RELU,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv(name="c", out_channels=0, kernel=1),
        lambda: Conv(name="c", out_channels=1, kernel=(1, 0)),
        lambda: Conv(name="c", out_channels=1, kernel=1, padding=-1),
        lambda: Conv(name="c", out_channels=1, kernel=1, padding=(1, 2, 3)),
        lambda: MaxPool(name="p", kernel=2, padding=2),
        lambda: AveragePool(name="p", stride=2),
        lambda: Linear(name="l", out_features=0),
        lambda: Linear(name="l", out_features=2**20 + 1),
        lambda: Conv(name="c", out_channels=1, kernel=1, padding=2**21),
        lambda: BatchNorm(name="b", epsilon=-1.0),
        lambda: BatchNorm(name="b", epsilon=float("nan")),
    ],
)
def test_impossible_layers_are_refused(make):
    with pytest.raises(ValueError, match=r"must|needs|has one, two or four"):
        make()
