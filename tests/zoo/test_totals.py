"""MACs, weights and parameters of the zoo against figures that others measured or published."""

import csv
from collections import Counter
from math import prod
from pathlib import Path

import pytest

from qsim.network.layers import BatchNorm, border, pair
from qsim.zoo import find_network

MEASURED = Path(__file__).parent.parent / "data" / "layers_measured.csv"

# network: its rows in the file, whether the layers have the same names there
NETS = {
    "alexnet-torchvision": ("alexnet", True),
    "bert-base": ("bert_base_qa_seq384", True),
    "inception-v3": ("inception_v3_299", True),
    "mobilenet-v1": ("mobilenet_v1_1.0_224", False),
    "mobilenet-v1(width=0.25, size=128)": ("mobilenet_v1_0.25_128", True),
    "mobilenet-v2": ("mobilenet_v2_1.0_224", True),
    "mobilenet-v2(width=1.4)": ("mobilenet_v2_1.4_224", True),
    "nasnet-a-mobile": ("nasnet_a_mobile_224", True),
    "pspnet": ("pspnet_resnetd50b_voc_480", True),
    "resnet101-v1": ("resnet101_v1", False),
    "resnet101-v1.5": ("resnet101_v1_5", True),
    "resnet152-slim": ("slim_resnet_v1_152_224", True),
    "resnet152-v2-slim": ("slim_resnet_v2_152_299", True),
    "resnet18": ("resnet18", True),
    "resnet50-slim": ("slim_resnet_v1_50_224", True),
    "resnet50-v1": ("resnet50_v1", False),
    "resnet50-v1.5": ("resnet50_v1_5", True),
    "resnet50-v2-slim": ("slim_resnet_v2_50_299", True),
}

# network: trainable parameters, MACs of convolutions and linear layers
TOTALS = {
    # measured as the rows of the file
    "bert-base": (108_893_186, 32_615_497_728),
    "inception-v3": (23_834_568, 5_713_216_096),
    "mobilenet-v1": (4_231_976, 568_740_352),
    "mobilenet-v1(width=0.25, size=128)": (470_072, 13_570_048),
    "mobilenet-v2": (3_504_872, 300_774_272),
    "mobilenet-v2(width=1.4)": (6_108_776, 582_195_824),
    "nasnet-a-mobile": (5_289_978, 568_234_858),
    "pspnet": (46_716_373, 161_861_427_200),
    "resnet101-v1.5": (44_549_160, 7_801_405_440),
    "resnet152-slim": (60_192_808, 10_906_697_728),
    "resnet152-v2-slim": (60_236_904, 20_210_821_888),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet50-slim": (25_557_032, 3_482_255_360),
    "resnet50-v1": (25_557_032, 3_857_973_248),
    "resnet50-v1.5": (25_557_032, 4_089_184_256),
    "resnet50-v2-slim": (25_568_360, 6_536_211_200),
    # "Trainable params: 61,949,149" of Keras with darknet's weights
    "yolo-v3": (61_949_149, None),
    # pytorchcv 0.0.74, inceptionresnetv2: weight_count == 55843464
    "inception-resnet-v2": (55_843_464, None),
}

# network: num_params and _ops (thousand millions of MACs) of the weights that torchvision 0.28.0 has
TORCHVISION = {
    "alexnet-torchvision": (61_100_840, "0.714"),
    "mobilenet-v2": (3_504_872, "0.301"),
    "resnet18": (11_689_512, "1.814"),
    "resnet34": (21_797_672, "3.664"),
    "resnet50-v1.5": (25_557_032, "4.089"),
    "resnet101-v1.5": (44_549_160, "7.801"),
    "resnet152-v1.5": (60_192_808, "11.514"),
    "vgg16": (138_357_544, "15.47"),
}

# network: weights of convolutions and linear layers, their MACs; derived from tensorpack's files
TENSORPACK = {
    "alexnet-dorefa": (60_961_280, 1_937_082_368),
    "alexnet-wrpn": (62_374_400, 3_049_637_888),
    "bn-inception": (11_264_192, 2_032_600_064),
    "resnet34": (21_779_648, 3_663_761_408),
    "svhn-a": (2_080_272, 41_735_424),
    "svhn-b": (522_248, 11_601_536),
    "svhn-c": (131_652, 3_484_224),
    "svhn-d": (33_458, 1_162_976),
}

# Krizhevsky et al., NIPS 2012, section 3.5, on 227 pixels: the layers of the grouped network by
# hand, (positions, out-channels, weights of one output)
ALEXNET_2012 = (
    (55 * 55, 96, 3 * 11 * 11),
    (27 * 27, 256, 48 * 5 * 5),
    (13 * 13, 384, 256 * 3 * 3),
    (13 * 13, 384, 192 * 3 * 3),
    (13 * 13, 256, 192 * 3 * 3),
    (1, 4096, 256 * 6 * 6),
    (1, 4096, 4096),
    (1, 1000, 4096),
)


def zoo(text):
    return find_network(text, where="network")


def measured():
    lines = [line for line in MEASURED.read_text().splitlines() if not line.startswith("#")]
    rows = {}
    for row in csv.DictReader(lines):
        rows.setdefault(row["net"], {})[row["layer"]] = row
    return rows


ROWS = measured()


def signature_of_row(row):
    """Shapes and counts of a row, the side it reads with its padding where that is a number."""
    number = {key: int(row[key]) for key in row if row[key].isdigit()}
    padding = [2 * number.get(f"pad_{axis}", 0) for axis in "hw"]
    kernel = (number["kh"], number["kw"], number["stride"], number["groups"])
    made = tuple(number[f"out_{axis}"] for axis in "chw")
    sides = (number["in_h"] + padding[0], number["in_w"] + padding[1])
    return (number["in_c"], *sides, *made, *kernel, number["macs"], number["weights"])


def signature_of_node(node, *, padded):
    read, made = (whole(shape) for shape in (node.input_shapes[0], node.output_shape))
    top, left, bottom, right = border(getattr(node.layer, "padding", 0)) if padded else (0,) * 4
    sides = (read[1] + top + bottom, read[2] + left + right)
    stride = pair(getattr(node.layer, "stride", 1))
    assert stride[0] == stride[1]
    kernel = (*pair(getattr(node.layer, "kernel", 1)), stride[0], getattr(node.layer, "groups", 1))
    return (read[0], *sides, *made, *kernel, node.macs, prod(node.parameters["weight"]))


def whole(shape):
    """(features,) or (tokens, features) as (channels, height, width)."""
    return shape if len(shape) == 3 else (shape[-1], *shape[:-1], 1, 1)[:3]


def signatures(text):
    """Of the rows and of our layers, by name."""
    rows = ROWS[NETS[text][0]]
    padded = "same" not in {row["pad_h"] for row in rows.values()}
    nodes = {node.name: node for node in zoo(text).product_nodes}
    theirs = {name: signature_of_row(row) for name, row in rows.items()}
    return theirs, {n: signature_of_node(node, padded=padded) for n, node in nodes.items()}


def test_every_measured_network_is_in_the_zoo():
    assert {net for net, _ in NETS.values()} == set(ROWS)


@pytest.mark.parametrize("text", NETS)
def test_every_layer_has_the_measured_shapes_macs_and_weights(text):
    theirs, ours = signatures(text)
    if NETS[text][1]:
        assert ours == theirs
    else:
        assert Counter(ours.values()) == Counter(theirs.values())


# slim_ rows do not say it; NASNet has a relu for each reader there and one for all here
READ_ALIKE = [
    text
    for text, (net, same_names) in NETS.items()
    if same_names and not net.startswith(("slim_", "nasnet"))
]


@pytest.mark.parametrize("text", READ_ALIKE)
def test_layers_that_read_one_tensor_are_those_of_the_measurement(text):
    rows, nodes = ROWS[NETS[text][0]], zoo(text).nodes
    theirs, ours = {}, {}
    for name, row in rows.items():
        theirs.setdefault(row["input_tensor"], set()).add(name)
        ours.setdefault(nodes[name].inputs[0], set()).add(name)
    assert sorted(map(sorted, ours.values())) == sorted(map(sorted, theirs.values()))


@pytest.mark.parametrize("text", TOTALS)
def test_parameters_and_macs_are_the_published_ones(text):
    network, (parameters, macs) = zoo(text), TOTALS[text]
    assert network.parameter_count == parameters
    assert macs in (None, sum(node.macs for node in network.product_nodes))


@pytest.mark.parametrize("text", TORCHVISION)
def test_parameters_and_macs_are_those_that_torchvision_states(text):
    network, (parameters, gmacs) = zoo(text), TORCHVISION[text]
    assert network.parameter_count == parameters
    assert f"{network.macs / 1e9:.{len(gmacs.split('.')[1])}f}" == gmacs


@pytest.mark.parametrize("text", TENSORPACK)
def test_weights_and_macs_are_those_of_tensorpacks_networks(text):
    network = zoo(text)
    weights = sum(prod(node.parameters["weight"]) for node in network.product_nodes)
    assert (weights, network.macs) == TENSORPACK[text]


@pytest.mark.parametrize(("text", "in_groups"), [("alexnet", 1), ("alexnet-ungrouped", 2)])
def test_alexnet_of_2012_is_counted_by_hand(text, in_groups):
    network = zoo(text)
    layers = [
        (places, channels, depth * (in_groups if index in (1, 3, 4) else 1))
        for index, (places, channels, depth) in enumerate(ALEXNET_2012)
    ]
    assert network.macs == sum(map(prod, layers))
    assert network.parameter_count == sum(channels * (depth + 1) for _, channels, depth in layers)


def test_recurrent_models_are_counted_by_hand():
    """A gate has weights of the input and of the hidden state, and torch's two biases."""
    medium = zoo("lstm-ptb")  # Zaremba et al., arXiv 1409.2329, section 4.1: 650 units, 2 layers
    gates = 2 * 4 * 650 * (650 + 650)
    assert medium.macs == 35 * (gates + 650 * 10_000)
    assert medium.parameter_count == 10_000 * 650 + gates + 2 * 4 * 650 * 2 + 651 * 10_000
    speech = zoo("gru-timit(steps=7, features=5, hidden=6, layers=2, phones=4)")
    gates = 3 * 6 * (5 + 6) + 3 * 6 * (6 + 6)
    assert speech.macs == 7 * (gates + 6 * 4)
    assert speech.parameter_count == gates + 2 * 3 * 6 * 2 + 7 * 4
    judge = zoo("lstm-imdb(steps=7, hidden=6, layers=1, vocabulary=9)")
    assert judge.macs == 7 * 4 * 6 * (6 + 6) + 6
    assert judge.parameter_count == 9 * 6 + 4 * 6 * (6 + 6) + 2 * 4 * 6 + 7


def test_the_two_products_of_attention_are_counted():
    network = zoo("bert-base")
    attention = (
        12 * 2 * 384 * 384 * 768
    )  # layers, products, tokens by tokens, features of all heads
    assert network.macs == 32_615_497_728 + attention == 32_615_497_728 + 2_717_908_992


def test_yolo_v3_has_the_operations_that_darknet_prints():
    """ "Total BFLOPS 65.864" at 416 pixels, two operations for each MAC."""
    assert f"{2 * zoo('yolo-v3').macs / 1e9:.3f}" == "65.864"


@pytest.mark.parametrize("size", [320, 416, 608, 640])
def test_yolo_v3_makes_three_boxes_at_every_place_of_three_grids(size):
    places = sum((size // step) ** 2 for step in (32, 16, 8))
    network = zoo(f"yolo-v3(size={size})")
    assert network.nodes[network.output].output_shape == (3 * 85, places)


def test_yolo_v3_has_as_many_numbers_as_darknets_file_of_weights():
    """248,007,048 bytes: 20 of a head, and float32 gamma, beta, mean, variance, biases, weights."""
    network = zoo("yolo-v3")
    statistics = sum(
        prod(shape)
        for node in network.nodes.values()
        if isinstance(node.layer, BatchNorm)
        for shape in node.layer.statistics(node.input_shapes[0]).values()
    )
    assert 20 + 4 * (network.parameter_count + statistics) == 248_007_048


def test_inception_resnet_v2_has_as_many_numbers_as_keras_prints():
    """55,873,736, where batch norms have a mean, a variance and a beta, but no gamma."""
    network = zoo("inception-resnet-v2")
    norms = sum(
        node.output_shape[0] for node in network.nodes.values() if isinstance(node.layer, BatchNorm)
    )
    assert network.parameter_count + norms == 55_873_736


def test_inception_resnet_v2_of_the_paper_has_the_weights_of_its_figures():
    """By hand from the widths in figures 3 and 15 to 19: (3 x 3 convolutions, others)."""
    stem = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 96 + 2 * 64 * 96 + 192 * 192)
    stem += 2 * 160 * 64 + 2 * 7 * 64 * 64
    a = 9 * (32 * 32 + 32 * 48 + 48 * 64) + 3 * 384 * 32 + 128 * 384
    reduction_a = 9 * (384 * 384 + 256 * 256 + 256 * 384) + 384 * 256
    b = 7 * (128 * 160 + 160 * 192) + 1152 * (192 + 128) + 384 * 1152
    reduction_b = 9 * (256 * 384 + 256 * 288 + 256 * 288 + 288 * 320) + 3 * 1152 * 256
    c = 3 * (192 * 224 + 224 * 256) + 2 * 2144 * 192 + 448 * 2144
    expected = stem + 5 * a + reduction_a + 10 * b + reduction_b + 5 * c + 2144 * 1000
    network = zoo("inception-resnet-v2-paper")
    weights = [node.parameters["weight"] for node in network.product_nodes]
    assert sum(prod(shape) for shape in weights) == expected


@pytest.mark.parametrize(
    ("text", "rule", "printed"),
    [
        ("mobilenet-v1(width=0.25, size=128)", "trainable", "0.47"),
        ("mobilenet-v1(classes=1001)", "all", "4.25"),
        ("mobilenet-v2(classes=1001)", "all", "3.54"),
        ("mobilenet-v2(width=1.4)", "weights", "6.06"),
        ("nasnet-a-mobile", "trainable", "5.3"),
        ("inception-v3", "all", "23.9"),
        ("resnet50-slim", "trainable", "25.6"),
        ("resnet50-v2-slim", "trainable", "25.6"),
        ("resnet152-v2-slim", "all", "60.4"),
    ],
)
def test_millions_of_parameters_are_those_of_the_whitepaper(text, rule, printed):
    """arXiv 1806.08342, Table 1, whose rows do not all count the same: trainable parameters, these
    and the statistics of batch norms, or weights alone. Its row of ResNet v1 152 (60.4) follows
    from none of them: 60.2 or 60.3."""
    network = zoo(text)
    arrays = [
        shape
        for node in network.nodes.values()
        for shape in node.layer.statistics(node.input_shapes[0]).values()
    ]
    counts = {
        "trainable": network.parameter_count,
        "all": network.parameter_count + sum(map(prod, arrays)),
        "weights": sum(prod(node.parameters["weight"]) for node in network.product_nodes),
    }
    digits = len(printed.split(".")[1])
    assert f"{counts[rule] / 1e6:.{digits}f}" == printed
