import numpy as np
import pytest

from qsim.errors import WeightsError
from qsim.network.fold import fold_network, fold_weights, normalisation
from qsim.network.graph import Network
from qsim.network.layers import Add, BatchNorm, Conv, Relu
from qsim.network.reference import run_float
from qsim.network.weights import seeded_weights

CONV = Conv(name="conv", out_channels=2, kernel=1)


@pytest.mark.parametrize(
    "layers",
    [
        (BatchNorm(name="bn"),),
        (CONV, Relu(name="relu"), BatchNorm(name="bn")),
        (CONV, BatchNorm(name="bn"), Add(name="add", inputs=("bn", "conv"))),
    ],
)
def test_a_batch_norm_that_cannot_be_folded_stays_a_layer(layers):
    network = Network("n", (2, 4, 4), layers)
    folded = fold_network(network)
    assert list(folded.nodes) == list(network.nodes)
    weights = seeded_weights(network, 0)
    assert fold_weights(network, weights).keys() == weights.keys()


def test_a_batch_norm_that_stands_alone_has_finite_factors():
    network = Network("n", (2, 4, 4), (BatchNorm(name="bn", epsilon=0.0),))
    weights = seeded_weights(network, 0)
    factor, offset = normalisation(network.nodes["bn"], weights)
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 4)).astype(np.float32)
    got = x * factor[:, None, None] + offset[:, None, None]
    np.testing.assert_allclose(got, run_float(network, weights, x)["bn"], atol=1e-6)
    weights["bn.running_var"] = np.zeros(2, np.float32)
    with pytest.raises(WeightsError, match="batch_norm 'bn': its factors are no finite float32"):
        normalisation(network.nodes["bn"], weights)


def test_weights_that_float32_cannot_hold_are_refused_by_name():
    network = Network("n", (2, 4, 4), (CONV, BatchNorm(name="bn", epsilon=0.0)))
    weights = seeded_weights(network, 0)
    weights["bn.running_var"] = np.zeros(2, np.float32)
    with pytest.raises(WeightsError, match="batch_norm 'bn': folded into 'conv'"):
        fold_weights(network, weights)


def test_what_reads_a_batch_norm_reads_the_folded_layer():
    layers = (CONV, BatchNorm(name="bn"), Relu(name="r"), Add(name="a", inputs=("r", "bn")))
    network = Network("n", (2, 4, 4), layers)
    folded = fold_network(network)
    assert folded.nodes["a"].inputs == ("r", "conv")
    assert folded.nodes["conv"].layer.bias
