"""The work table, by hand."""

from programs import program_for, residual_network

from qsim.formats import Fixed, Msq
from qsim.network.graph import Network
from qsim.network.layers import Add, Conv, Flatten, Linear, Relu
from qsim.network.pools import MaxPool
from qsim.precision import Granularity, Precision
from qsim.rounded_tensors import rounded_tensors
from qsim.work import work_table

FOUR, EIGHT = Fixed(4), Fixed(8, signed=False)


def table_of(network, weights=FOUR, activations=EIGHT):
    names = [node.name for node in network.product_nodes]
    rounded = rounded_tensors(network)
    return work_table(
        network,
        Precision(
            dict.fromkeys(names, weights),
            dict.fromkeys(names, Granularity("per_channel")),
            dict.fromkeys(rounded, activations),
        ),
    )


def test_a_grouped_convolution_by_hand():
    conv = Conv(name="c", out_channels=6, kernel=(3, 2), stride=2, padding=(0, 1), groups=2)
    [work] = table_of(Network("n", (4, 9, 8), (conv,)), weights=Msq(4, "1:2"))
    assert (work.in_channels, work.out_channels, work.groups) == (4, 6, 2)
    assert (work.kernel_h, work.kernel_w) == (3, 2)
    assert (work.in_h, work.in_w, work.out_h, work.out_w) == (9, 8, 4, 5)
    assert (work.weight_bits, work.activation_bits, work.stored_bits) == (4, 8, 32)
    assert (work.rows_multiply, work.rows_shift_add) == (2, 4)
    assert work.weights == 6 * 2 * 3 * 2
    assert work.macs == work.weights * 20
    assert work.weight_bytes == 72 * 4 / 8
    assert work.input_bytes == 4 * 9 * 8
    assert work.output_bytes == 6 * 20 * 4
    assert not work.in_float


def test_a_linear_layer_is_a_convolution_of_one_pixel():
    layers = (Flatten(name="f"), Linear(name="l", out_features=5))
    [work] = table_of(Network("n", (2, 3, 3), layers))
    assert (work.kind, work.in_channels, work.out_channels) == ("linear", 18, 5)
    assert (work.kernel_h, work.kernel_w, work.out_h, work.out_w) == (1, 1, 1, 1)


def test_what_is_stored_is_pooled_and_what_is_added_is_read():
    layers = (
        Conv(name="stem", out_channels=4, kernel=1),
        Relu(name="relu"),
        MaxPool(name="pool", kernel=2),
        Conv(name="main", out_channels=4, kernel=1),
        Add(name="add", inputs=("main", "pool")),
        Relu(name="out"),
        Conv(name="left", out_channels=3, kernel=1),
        Conv(name="right", out_channels=3, kernel=1, inputs=("out",)),
        Add(name="sum", inputs=("left", "right")),
        Relu(name="last"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=2),
    )
    works = {work.name: work for work in table_of(Network("n", (1, 4, 4), layers))}
    stored = {name: (w.stored_values, w.stored_bits, w.added_values) for name, w in works.items()}
    assert stored == {
        "stem": (4 * 2 * 2, 8, 0),
        "main": (4 * 2 * 2, 8, 16),
        "left": (3 * 2 * 2, 8, 0),
        "right": (3 * 2 * 2, 8, 12),
        "fc": (2, 32, 0),
    }


def test_layers_in_floating_point_say_so():
    layers = {"conv1": {"weights": "float"}, "fc": {"activations": "float"}}
    program, _ = program_for(residual_network(), {"fixed": {"bits": 4}}, layers=layers)
    assert program.weights.keys() - program.biases.keys() == {"conv1", "fc"}
