"""Layer tables: what is written is read as the same network."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_random_networks import networks, sequences

from qsim import zoo
from qsim.errors import NetworkError
from qsim.network.graph import Network
from qsim.network.layers import BatchNorm, Clip, Conv, Linear
from qsim.network.recurrent import Lstm
from qsim.network.table import read_network, table_text, write_network


def round_trip(network, folder):
    path = folder / f"{network.name}.yaml"
    write_network(network, path, source="a test: 'quoted' \"twice\"")
    return read_network(path)


def inputs_named(network):
    """Layers with the tensors that they read said, so that one way to leave them out is as another."""
    return [
        (node.inputs, node.layer.__class__, _fields(node.layer)) for node in network.nodes.values()
    ]


def _fields(layer):
    return {name: getattr(layer, name) for name in layer.__struct_fields__ if name != "inputs"}


@given(st.one_of(networks(), sequences()))
def test_any_network_is_read_as_it_was_written(tmp_path_factory, network):
    read = round_trip(network, tmp_path_factory.mktemp("tables"))
    assert (read.name, read.input_shape) == (network.name, network.input_shape)
    assert inputs_named(read) == inputs_named(network)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2", "lstm-ptb", "bert-base", "yolo-v3"])
def test_networks_of_the_zoo_are_read_as_they_were_written(tmp_path, name):
    network = zoo.find_network(name, where="test")
    assert inputs_named(round_trip(network, tmp_path)) == inputs_named(network)


@given(st.from_regex(r"[^\s\x00-\x1f\x7f\ud800-\udfff\x80-\xa0]{1,20}", fullmatch=True))
def test_any_name_survives(tmp_path_factory, name):
    if name == "input" or not name.isprintable():
        return
    network = Network("n", (2, 4, 4), (Conv(name=name, out_channels=2, kernel=1),))
    assert list(round_trip(network, tmp_path_factory.mktemp("tables")).nodes) == [name]


def test_numbers_keep_every_bit(tmp_path):
    layers = (
        Clip(name="c", low=-1e-7, high=0.1 + 0.2),
        BatchNorm(name="1e5", epsilon=1e-3),
        Conv(name="true", out_channels=2, kernel=(1, 2), padding=(0, 1, 2, 3), bias=False),
    )
    network = Network("n", (2, 4, 4), layers)
    assert inputs_named(round_trip(network, tmp_path)) == inputs_named(network)


def test_what_is_as_by_default_is_left_out():
    layers = (Lstm(name="l", hidden=3), Linear(name="fc", out_features=2))
    text = table_text(Network("n", (4, 5), layers))
    assert (
        "  - {name: l, type: lstm, hidden: 3}\n  - {name: fc, type: linear, out_features: 2}"
        in text
    )
    assert json.loads(text.splitlines()[0].removeprefix("source: ")) == ""


def test_a_table_that_cannot_be_written_is_one_sentence(tmp_path):
    network = Network("n", (4,), (Linear(name="fc", out_features=2),))
    with pytest.raises(NetworkError, match="cannot be written"):
        write_network(network, tmp_path / "missing" / "n.yaml")
