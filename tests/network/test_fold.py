import numpy as np
import pytest

from qsim.errors import NetworkError, WeightsError
from qsim.network.fold import fold_network, fold_weights
from qsim.network.graph import Network
from qsim.network.layers import Add, BatchNorm, Conv, Relu
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
def test_a_batch_norm_that_cannot_be_folded_is_refused_by_name(layers):
    network = Network("n", (2, 4, 4), layers)
    with pytest.raises(NetworkError, match="batch_norm 'bn' cannot be folded"):
        fold_network(network)


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
