import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.errors import InputError
from qsim.errors import NetworkError
from qsim.evaluate import evaluate
from qsim.network.graph import Network
from qsim.network.layers import Add, Concat, Conv, Flatten, Linear, Relu
from qsim.network.moves import Reshape, Slice
from qsim.network.pointwise import Embedding, Offset
from qsim.network.recurrent import Lstm
from qsim.network.widen import widen
from qsim.workload import load_workload
from qsim.zoo import find_network


def zoo(text):
    return find_network(text, where="network")


def conv(name, channels, **options):
    return Conv(name=name, out_channels=channels, kernel=3, padding=1, **options)


def weights(network):
    return {node.name: node.parameters["weight"] for node in network.product_nodes}


def growth(text, factor=2):
    network = zoo(text)
    return widen(network, factor).macs / network.macs


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("alexnet", "3.698"),
        ("alexnet-ungrouped", "3.807"),
        ("alexnet-dorefa", "3.871"),
        ("alexnet-wrpn", "3.918"),
        ("bn-inception", "3.883"),
        ("resnet34", "3.935"),
    ],
)
def test_macs_grow_as_layer_tables_of_the_papers_networks_do(text, published):
    assert f"{growth(text):.3f}" == published


# arXiv 1709.01134v1, Table 3: cost of AlexNet twice as wide against 32 x 32 bits, rows of weights
# and columns of activations of 32, 8, 4, 2 and 1 bits
BITS = (32, 8, 4, 2, 1)
TABLE_3 = (
    (3.9, 2.4, 2.2, 2.1, 2.0),
    (2.4, 1.0, 0.7, 0.6, 0.6),
    (2.2, 0.7, 0.5, 0.4, 0.3),
    (2.1, 0.6, 0.4, 0.2, 0.2),
    (2.0, 0.6, 0.3, 0.2, 0.1),
)


def test_all_costs_of_the_papers_alexnet_follow():
    """Its footnote 1: MACs times the sum of both operands' bits."""
    by_width = growth("alexnet-wrpn")
    ours = tuple(tuple(round(by_width * (w + a) / 64, 1) for a in BITS) for w in BITS)
    assert ours == TABLE_3


@pytest.mark.parametrize(("narrow", "wide"), [("d", "c"), ("c", "b"), ("b", "a")])
def test_dorefas_models_are_one_another_twice_as_wide(narrow, wide):
    """Models B, C and D have a half, a quarter and an eighth of model A's channels."""
    widened, other = widen(zoo(f"svhn-{narrow}"), 2), zoo(f"svhn-{wide}")
    assert weights(widened) == weights(other)
    assert (widened.macs, widened.parameter_count) == (other.macs, other.parameter_count)


def test_the_first_layer_reads_and_the_last_makes_what_it_did():
    layers = (conv("a", 4), Relu(name="r"), conv("b", 6), Flatten(name="f"), Linear(name="c", out_features=3))  # fmt: skip
    network = Network("n", (2, 4, 4), layers)
    wide = widen(network, 3)
    assert weights(wide) == {"a": (12, 2, 3, 3), "b": (18, 12, 3, 3), "c": (3, 18 * 16)}
    assert wide.name == "n 3x wide"
    assert wide.nodes["c"].output_shape == network.nodes["c"].output_shape


def test_all_layers_that_make_the_output_keep_their_channels():
    network = zoo("yolo-v3(size=32)")
    wide = widen(network, 2)
    for level in range(3):
        head = f"head{level}.conv7"
        assert wide.nodes[head].output_shape == network.nodes[head].output_shape
        assert wide.nodes[head].input_shapes[0][0] == 2 * network.nodes[head].input_shapes[0][0]
    assert wide.nodes["heads"].output_shape == network.nodes["heads"].output_shape


def test_branches_that_are_added_to_make_the_output_keep_their_channels():
    layers = (
        conv("a", 4),
        conv("b", 4),
        conv("c", 4),
        Add(name="sum", inputs=("c", "b")),
    )
    assert weights(widen(Network("n", (2, 4, 4), layers), 2)) == {
        "a": (8, 2, 3, 3),
        "b": (4, 8, 3, 3),
        "c": (4, 4, 3, 3),
    }


def test_groups_keep_their_number_and_depthwise_layers_stay_depthwise():
    layers = (
        conv("first", 8),
        conv("grouped", 8, groups=2),
        conv("depthwise", 16, groups=8),
        conv("last", 3),
    )
    wide = widen(Network("n", (3, 4, 4), layers), 2)
    assert [wide.nodes[name].layer.groups for name in ("grouped", "depthwise")] == [2, 16]
    assert weights(wide) == {
        "first": (16, 3, 3, 3),
        "grouped": (16, 8, 3, 3),
        "depthwise": (32, 1, 3, 3),
        "last": (3, 32, 3, 3),
    }


@pytest.mark.parametrize(
    ("factor", "channels"), [(1.1, 6), (1.3, 7), (1.5, 8), (0.5, 3), (0.01, 1), (1, 5)]
)
def test_channels_are_rounded_to_the_nearest_number_a_half_up(factor, channels):
    network = Network("n", (1, 4, 4), (conv("a", 5), conv("b", 2)))
    assert weights(widen(network, factor))["a"] == (channels, 1, 3, 3)


def test_channels_that_groups_divide_are_rounded_to_a_multiple_of_these():
    network = Network("n", (1, 4, 4), (conv("a", 10), conv("b", 4, groups=2), conv("c", 2)))
    assert weights(widen(network, 1.1))["a"][0] == 12  # 11 would not be two halves


def test_words_and_hidden_states_grow_too():
    layers = (
        Embedding(name="e", entries=9, features=4),
        Lstm(name="l", hidden=6),
        Linear(name="d", out_features=9),
    )
    wide = widen(Network("n", (5,), layers), 2)
    assert wide.nodes["e"].parameters == {"weight": (9, 8)}
    assert wide.nodes["l"].parameters["weight_ih"] == (4 * 12, 8)
    assert wide.nodes["d"].parameters["weight"] == (9, 12)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_macs_and_steps_of_widening_follow_from_the_channels(channels, read, by, again):
    network = Network("n", (read, 3, 3), tuple(conv(f"c{i}", c) for i, c in enumerate(channels)))
    wide = widen(network, by)
    made = [by * c for c in channels[:-1]] + channels[-1:]
    assert wide.macs == 9 * 9 * sum(a * b for a, b in zip([read, *made], made, strict=False))
    assert weights(widen(wide, again)) == weights(widen(network, by * again))


@pytest.mark.parametrize(
    ("layers", "factor", "problem"),
    [
        ((conv("a", 4), conv("b", 4)), 0, "must be more than 0 and at most 64, not 0"),
        ((conv("a", 4), conv("b", 4)), 65, "at most 64, not 65"),
        ((conv("a", 4), conv("b", 4)), float("nan"), "at most 64, not nan"),
        ((conv("a", 4), Reshape(name="r", shape=(2, 8, 4)), conv("b", 1)), 2, "reshape layer 'r' is made for 4x4x4 and cannot read 8x4x4"),
        ((conv("a", 4), Slice(name="s", stop=2), conv("b", 1)), 2, "slice layer 's' is made for"),
        ((conv("a", 4), Offset(name="o", shape=(4, 1, 1)), conv("b", 1)), 2, "offset layer 'o' is made for"),
        ((conv("a", 2), Add(name="s", inputs=("a", "input")), conv("b", 1)), 2, "network n cannot be widened by 2: layer 's': cannot add"),
        ((conv("a", 1), conv("b", 1), Concat(name="j", inputs=("a", "b")), conv("c", 2), Add(name="s", inputs=("c", "j")), conv("d", 1)), 1.5, "layer 's': cannot add tensors of different shapes: 3x4x4 and 4x4x4"),
    ],
)  # fmt: skip
def test_what_cannot_be_widened_is_one_sentence(layers, factor, problem):
    with pytest.raises(NetworkError) as caught:
        widen(Network("n", (2, 4, 4), layers), factor)
    assert problem in str(caught.value)


def workload(folder, **document):
    path = folder / "w.yaml"
    precision = {"default": {"weights": {"fixed": {"bits": 4}}, "activations": {"fixed": {"bits": 4, "signed": False}}}}  # fmt: skip
    execute = {"images": 1, "check_per_layer": 4}
    path.write_text(
        yaml.safe_dump(
            {"network": "digits-cnn", "precision": precision, "execute": execute} | document
        )
    )
    return load_workload(str(path))


def test_a_workload_of_another_width_is_executed_with_seeded_weights(tmp_path):
    evaluation = evaluate(workload(tmp_path, width=2))
    assert evaluation.network.name == "digits-cnn 2x wide"
    assert evaluation.execution.bit_exact
    assert evaluation.execution.program.weights["conv2"].levels.shape == (64, 32, 3, 3)


def test_trained_weights_of_another_width_are_refused(tmp_path):
    with pytest.raises(InputError, match="of network digits-cnn 2x wide"):
        evaluate(workload(tmp_path, width=2, weights="digits-cnn"))


def test_own_weights_of_the_width_are_taken(tmp_path):
    network = widen(zoo("digits-cnn"), 2)
    arrays = {k: np.ones(s, np.float32) for n in network.nodes.values() for k, s in n.arrays.items()}  # fmt: skip
    np.savez(tmp_path / "wide.npz", **arrays)
    assert evaluate(workload(tmp_path, width=2, weights="wide.npz")).execution.bit_exact


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"width": 0}, "w.yaml: width: expected float > 0"),
        ({"width": "2x"}, "w.yaml: width: expected float"),
        ({"network": "bert-base", "width": 2}, "w.yaml: width: reshape layer"),
    ],
)
def test_a_width_that_cannot_be_is_one_sentence(tmp_path, document, problem):
    with pytest.raises(InputError) as caught:
        workload(tmp_path, **document)
    assert problem in str(caught.value)


def test_an_onnx_model_with_its_weights_is_not_widened(tmp_path):
    onnx = pytest.importorskip("onnx")
    make, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    arrays = {"v": np.ones((3, 1, 1, 1), np.float32), "w": np.ones((2, 3, 1, 1), np.float32)}
    graph = onnx.helper.make_graph(
        [make("Conv", ["x", "v"], ["y"], name="c"), make("Conv", ["y", "w"], ["z"], name="d")],
        "g",
        [tensor("x", onnx.TensorProto.FLOAT, [1, 1, 4, 4])],
        [tensor("z", onnx.TensorProto.FLOAT, [1, 2, 4, 4])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"has shape \(3, 1, 1, 1\), and \(6, 1, 1, 1\) is needed"):
        workload(tmp_path, network="m.onnx", width=2)
