import pytest

from hwmodels.documents import convert
from hwmodels.errors import InputError
from qsim import shipped
from qsim.formats import Fixed, Float, Msq
from qsim.network.fold import fold_network
from qsim.network.graph import Network
from qsim.network.layers import Add, Conv, Flatten, Linear, Relu
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.table import read_network
from qsim.precision import PrecisionDocument, resolve
from qsim.rounded_tensors import rounded_tensors

WEIGHTS, ACTIVATIONS = {"fixed": {"bits": 4}}, {"fixed": {"bits": 4, "signed": False}}


def digits():
    network = read_network(shipped.WORKLOADS / "networks" / "digits-cnn.yaml")
    return fold_network(network)


def resolved(network, layers=None, ends=None, **default):
    default = {"weights": WEIGHTS, "activations": ACTIVATIONS} | default
    data = {"default": default, "layers": layers or {}, "ends": ends or {}}
    return resolve(convert(data, PrecisionDocument, where="w"), network, where="w")


def test_the_default_holds_everywhere():
    precision = resolved(digits())
    assert set(precision.weights) == {"conv1", "conv2", "conv3", "fc"}
    assert set(precision.weights.values()) == {Fixed(4)}
    assert set(precision.activations.values()) == {Fixed(4, signed=False)}


def test_the_last_glob_that_matches_wins():
    layers = {
        "conv*": {"weights": {"fixed": {"bits": 3}}},
        "conv2": {"weights": {"msq": {"bits": 4, "fixed_to_sp2": "1:1"}}},
        "*3": {"weight_scale": "per_tensor"},
    }
    precision = resolved(digits(), layers)
    assert precision.weights == {
        "conv1": Fixed(3), "conv2": Msq(4, "1:1"), "conv3": Fixed(3), "fc": Fixed(4),
    }  # fmt: skip
    assert [n for n, g in precision.granularity.items() if g.kind == "per_tensor"] == ["conv3"]


def test_a_tensor_has_the_format_of_the_layer_that_reads_it():
    eight = {"activations": {"fixed": {"bits": 8, "signed": False}}}
    precision = resolved(digits(), {"conv2": eight, "conv1": {"activations": "float"}})
    assert precision.activations["relu1"] == Fixed(8, signed=False)
    assert precision.activations["input"] == Float()


def test_a_pool_passes_its_readers_format_back():
    layers = (
        Conv(name="c", out_channels=2, kernel=1),
        Relu(name="r"),
        Conv(name="d", out_channels=2, kernel=1),
        MaxPool(name="p", kernel=2, inputs=("r",)),
        Flatten(name="f"),
        Linear(name="l", out_features=2),
        Flatten(name="g", inputs=("d",)),
        Linear(name="m", out_features=2),
        Add(name="a", inputs=("l", "m")),
    )
    network = Network("n", (2, 4, 4), layers)
    eight = {"activations": {"fixed": {"bits": 8, "signed": False}}}
    both = resolved(network, {"d": eight, "l": eight}).activations
    assert both["r"] == both["p"] == both["f"] == Fixed(8, signed=False)
    with pytest.raises(InputError, match="'d' and 'l' read the same tensor 'r'"):
        resolved(network, {"l": eight})
    three = {"activations": {"fixed": {"bits": 3, "signed": False}}}
    with pytest.raises(InputError, match="'d' and 'l' read the same tensor 'r'"):
        resolved(network, {"d": eight, "p": eight, "l": three})
    with pytest.raises(InputError, match="'d' and 'p' read the same tensor 'r'"):
        resolved(network, {"d": eight, "p": three, "l": eight})


def test_a_default_scale_holds_where_the_format_has_it():
    layers = {"conv1": {"weights": "ttq"}, "conv2": {"weights": "bwn"}}
    kinds = {n: g.kind for n, g in resolved(digits(), layers).granularity.items()}
    assert kinds == {
        "conv1": "per_tensor", "conv2": "per_channel", "conv3": "per_channel", "fc": "per_channel",
    }  # fmt: skip
    precision = resolved(digits(), layers, weight_scale="per_group", group_size=1)
    assert {n: g.kind for n, g in precision.granularity.items()} == {
        "conv1": "per_tensor", "conv2": "per_channel", "conv3": "per_group", "fc": "per_group",
    }  # fmt: skip


def test_what_an_addition_alone_reads_can_be_singled_out():
    layers = (
        Conv(name="a", out_channels=2, kernel=1),
        Conv(name="b", out_channels=2, kernel=1),
        Relu(name="r", inputs=("a",)),
        Add(name="s", inputs=("b", "r")),
    )
    network = Network("n", (2, 4, 4), layers)
    signed = {"activations": {"fixed": {"bits": 5}}}
    formats = resolved(network, {"b": signed, "r": signed}).activations
    assert formats["a"] == Fixed(5)
    with pytest.raises(InputError, match="'b' and 'r' read the same tensor 'a'"):
        resolved(network, {"b": signed, "r": {"activations": {"fixed": {"bits": 6}}}})


def test_only_what_must_be_is_rounded():
    assert rounded_tensors(digits()) == {"input", "relu1", "pool1", "relu3", "pool2", "flatten"}


def test_sums_are_rounded_once_after_their_relu():
    layers = (
        Conv(name="c", out_channels=2, kernel=1),
        Conv(name="d", out_channels=2, kernel=1, inputs=("input",)),
        Add(name="a", inputs=("c", "d")),
        Relu(name="r"),
        AveragePool(name="p"),
        Flatten(name="f"),
        Linear(name="l", out_features=2),
    )
    assert rounded_tensors(Network("n", (2, 4, 4), layers)) == {"input", "r", "f"}


def test_the_ends_are_the_first_and_the_last_layer_with_weights():
    eight = {"weights": {"fixed": {"bits": 8}}}
    ends = {"first": eight, "last": eight | {"weight_scale": "per_tensor"}}
    precision = resolved(digits(), {"*": {"weights": {"fixed": {"bits": 3}}}}, ends=ends)
    assert precision.weights == {
        "conv1": Fixed(8), "conv2": Fixed(3), "conv3": Fixed(3), "fc": Fixed(8),
    }  # fmt: skip
    assert [n for n, g in precision.granularity.items() if g.kind == "per_tensor"] == ["fc"]


def test_the_activations_of_an_end_are_those_it_reads():
    signed = {"activations": {"fixed": {"bits": 8}}}
    precision = resolved(digits(), ends={"first": signed})
    assert precision.activations["input"] == Fixed(8)
    assert precision.activations["relu1"] == Fixed(4, signed=False)
    assert resolved(digits(), ends={"last": signed}).activations["flatten"] == Fixed(8)


def test_an_end_and_a_name_may_say_different_things_of_a_layer():
    ends = {"first": {"weights": {"fixed": {"bits": 8}}}}
    precision = resolved(digits(), {"conv1": {"weight_scale": "per_tensor"}}, ends=ends)
    assert precision.weights["conv1"] == Fixed(8)
    assert precision.granularity["conv1"].kind == "per_tensor"


def test_the_first_may_be_the_last():
    eight = {"weights": {"fixed": {"bits": 8}}}
    network = Network("n", (4,), (Linear(name="l", out_features=2),))
    both = {"first": eight, "last": eight}
    assert resolved(network, ends=both).weights == {"l": Fixed(8)}
    with pytest.raises(InputError, match=r"w\.ends.last: layer 'l' is the first and the last one"):
        resolved(network, ends=both | {"last": {"weight_scale": "per_tensor"}})


def test_ends_that_cannot_hold_are_refused():
    eight = {"weights": {"fixed": {"bits": 8}}}
    with pytest.raises(InputError, match=r"w\.ends.first: network n has no layer with weights"):
        resolved(Network("n", (4,), (Relu(name="r"),)), ends={"first": eight})
    with pytest.raises(
        InputError, match=r"w\.ends.last.weights: .* w.layers.fc.weights says it too"
    ):
        resolved(digits(), {"fc": eight}, ends={"last": eight})
    with pytest.raises(InputError, match=r"w\.ends.first.weights: unknown format 'sp3'"):
        resolved(digits(), ends={"first": {"weights": "sp3"}})
    with pytest.raises(InputError, match="w: ends: unknown key 'frist'; did you mean 'first'"):
        resolved(digits(), ends={"frist": eight})


@pytest.mark.parametrize(
    ("layers", "default", "problem"),
    [
        ({"convx": {}}, {}, "w.layers: 'convx' matches no layer"),
        ({"bn1": {}}, {}, "w.layers: 'bn1' matches no layer of network digits-cnn .batch norms"),
        ({"relu1": {"weights": WEIGHTS}}, {}, "w.layers.relu1.weights: layer 'relu1' has no weights"),
        ({"relu1": {"weight_scale": "per_tensor"}}, {}, "layer 'relu1' has no weights"),
        ({"relu1": {"activations": ACTIVATIONS}}, {}, "'relu1' reads sums that are not rounded"),
        ({}, {"weights": None}, "w.default.weights: is missing"),
        ({}, {"activations": None}, "w.default.activations: is missing"),
        ({}, {"weights": "sp3"}, "w.default.weights: unknown format 'sp3'; did you mean 'sp2'"),
        ({"fc": {"weights": {"fixed": {"bits": 0}}}}, {}, "w.layers.fc.weights.fixed: signed"),
        ({}, {"weights": {"fixed": {"bit": 4}}}, "unknown key 'bit'; did you mean 'bits'"),
        ({}, {"weights": {"fixed": {"bits": "four"}}}, "bits: expected int, got text"),
        ({}, {"weights": {"fixed": 4}}, "expected a mapping of parameters"),
        ({}, {"weights": {"fixed": {}, "sp2": {}}}, "expected one format"),
        ({}, {"activations": {"sp2": {"bits": 4}}}, "sp2 is no format of activations; those are affine, dorefa_activations"),
        ({"fc": {"weight_scale": "per_channel", "weights": "ttq"}}, {}, "ttq weights cannot have a scale per channel; theirs is per_tensor"),
        ({"fc": {"weight_scale": "per_group"}}, {}, "w.layers.fc.group_size: is missing; say how many in-channels share a scale"),
        ({}, {"weights": "xnor_activations"}, "xnor_activations is no format of weights; those are affine, binary_connect, bwn"),
        ({}, {"activations": {"dorefa_gradients": {"bits": 2}}}, "dorefa_gradients is no format of activations"),
        ({}, {"weights": {"lsq": {"bits": 4, "signed": False}}}, "w.default.weights: weights are signed; leave out signed: false"),
        ({}, {"weights": {"ttq": {"treshold": 0.1}}}, "w.default.weights.ttq: unknown key 'treshold'; did you mean 'threshold'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_key(layers, default, problem):
    with pytest.raises(InputError, match=problem):
        resolved(digits(), layers, **default)


def test_a_default_scale_per_group_holds_where_no_layer_has_weights():
    network = Network("n", (4,), (Relu(name="r"),))
    default = {
        "weights": {"fixed": {"bits": 4}},
        "activations": {"fixed": {"bits": 4}},
        "weight_scale": "per_group",
        "group_size": 2,
    }
    document = convert({"default": default}, PrecisionDocument, where="w")
    assert resolve(document, network, where="w").weights == {}
