"""The work table, by hand."""

import pytest
from programs import program_for, residual_network

from qsim import zoo
from qsim.formats import Fixed, Msq, parse
from qsim.network.fold import fold_network
from qsim.network.graph import Network
from qsim.network.layers import Add, Conv, Flatten, Linear, MatMul, Relu
from qsim.network.moves import Transpose
from qsim.network.pools import MaxPool
from qsim.network.recurrent import Lstm
from qsim.precision import Granularity, LayerPrecision, Precision, PrecisionDocument, resolve
from qsim.rounded_tensors import rounded_tensors
from qsim.work import training_steps, work_table

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


@pytest.mark.parametrize("name", zoo.names())
def test_every_product_and_parameter_of_a_network_is_in_its_work(name):
    network = zoo.find_network(name, where="network")
    eight = {"affine": {"bits": 8}}
    document = PrecisionDocument(LayerPrecision(weights=eight, activations=eight))
    folded = fold_network(network)
    precision = resolve(document, folded, where="precision")
    work = work_table(folded, precision)
    assert work.macs == network.macs == sum(step.macs for step in work.steps)
    trained = training_steps(network, precision)
    assert sum(step.parameters for step in trained) == network.parameter_count
    assert all(step.is_stored for step in trained)
    assert sum(layer.weights for layer in work) == sum(step.weights for step in trained)
    made = [step.name for step in work.steps]
    assert len(made) == len(set(made))
    for index, step in enumerate(work.steps):
        assert set(step.reads) <= set(made[:index])


def test_a_recurrent_layer_is_the_products_of_its_input_and_those_of_its_state():
    network = Network(
        "n", (6, 4), (Lstm(name="rnn", hidden=3, hidden_bits=5, hidden_fraction_bits=4),)
    )
    precision = Precision({"rnn": FOUR}, {"rnn": Granularity("per_channel")}, {"input": EIGHT})
    of_input, of_state = work_table(network, precision)
    assert (of_input.in_channels, of_input.out_channels, of_input.positions) == (4, 12, 6)
    assert (of_state.in_channels, of_state.out_channels, of_state.positions) == (3, 12, 6)
    assert (of_input.sequential, of_state.sequential) == (1, 6)
    assert (of_input.activation_bits, of_state.activation_bits) == (8, 5)
    assert (of_input.activation_scheme, of_state.activation_scheme) == ("unsigned", "signed")
    assert of_input.macs + of_state.macs == network.macs
    assert of_input.weights + of_state.weights == 12 * 7


def test_a_product_of_two_tensors_has_no_weights_and_reads_both():
    layers = (
        Transpose(name="t", order=(0, 2, 1)),
        MatMul(name="m", inputs=("input", "t")),
    )
    network = Network("n", (2, 5, 3), layers)
    [work] = work_table(network, Precision({}, {}, {"input": EIGHT, "t": FOUR}))
    assert (work.kind, work.groups, work.positions, work.depth) == ("matmul", 2, 5, 3)
    assert work.macs == network.macs == 2 * 5 * 5 * 3
    assert (work.weights, work.weight_bytes) == (0, 0)
    assert work.input_bytes == 2 * 5 * 3 * 8 / 8 + 2 * 3 * 5 * 4 / 8


@pytest.mark.parametrize(
    ("number", "scheme"),
    [
        ("fixed(bits=4)", "fixed"), ("fixed(bits=2)", "ternary"), ("sp2(bits=4)", "sp2"),
        ("power_of_two(bits=4)", "power_of_two"), ("twn", "ternary"), ("ttq", "ternary"),
        ("bwn", "binary"), ("wrpn_weights(bits=1)", "binary"), ("wrpn_weights(bits=2)", "ternary"),
        ("wrpn_weights(bits=3)", "fixed"), ("dorefa_weights(bits=1)", "binary"),
        ("dorefa_weights(bits=2)", "fixed"), ("affine(bits=8)", "fixed"), ("float", "float"),
        ("msq(bits=4, fixed_to_sp2=1:1)", "fixed"),
    ],
)  # fmt: skip
def test_what_weights_are_to_a_processing_element_follows_from_their_levels(number, scheme):
    assert parse(number).scheme == scheme


@pytest.mark.parametrize(
    ("weights", "activations", "expected"),
    [
        (parse("bwn"), parse("xnor_activations"), ("binary", "plus_minus_one")),
        (parse("bwn"), parse("dorefa_activations(bits=1)"), ("binary", "unsigned")),
        (parse("fixed(bits=4)"), parse("fixed(bits=4)"), ("fixed", "signed")),
        (parse("float"), parse("float"), ("float", "float")),
    ],
)
def test_the_operands_of_a_layer_are_named(weights, activations, expected):
    layers = (Flatten(name="f"), Linear(name="l", out_features=5))
    [work] = table_of(Network("n", (2, 3, 3), layers), weights, activations)
    assert (work.multiplied_as, work.activation_scheme) == expected
    assert work.in_float == ("float" in expected)
