"""The digits network as torch exports it: the same network, and quantized as the shipped one is."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from conformance.peers import ONNX, TORCH, load

from qsim import shipped, trends
from qsim.errors import QsimError
from qsim.network.reference import run_float
from qsim.trends import SCHEMES, quantized_accuracy


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An ONNX file of the shipped weights; batch norms are folded by the exporter."""
    torch = load(TORCH)
    load(ONNX)
    from qsim.train.digits_cnn import DigitsCnn

    module = DigitsCnn().eval()
    arrays = np.load(shipped.DATA / "digits-cnn.npz")
    state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    module.load_state_dict(state, strict=False)
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    axes = {"images": {0: "count"}, "logits": {0: "count"}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # this exporter is on its way out
        torch.onnx.export(
            module, (torch.zeros(1, 1, 8, 8),), path, dynamo=False, input_names=["images"],
            output_names=["logits"], dynamic_axes=axes,
        )  # fmt: skip
    return trends.of_onnx(path)


@pytest.fixture(scope="module")
def ours():
    return trends.digits_cnn()


def test_it_is_the_network_that_is_shipped(exported, ours):
    assert exported.network.macs == ours.network.macs
    logits = [
        run_float(each.network, each.weights, each.images.images)[each.network.output]
        for each in (exported, ours)
    ]
    np.testing.assert_allclose(*logits, rtol=1e-4, atol=1e-4)
    assert trends.float_accuracy(exported) == trends.float_accuracy(ours) > 0.99


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("bits", [8, 3])
def test_its_weights_cost_what_those_of_the_shipped_one_do(exported, ours, scheme, bits):
    """Folded by another program, weights differ in their last bits, which a level may follow."""
    got, expected = (quantized_accuracy(each, scheme, bits, 8) for each in (exported, ours))
    assert abs(got - expected) <= 2 / 450


def test_a_layer_table_is_no_network_with_weights():
    with pytest.raises(QsimError, match="expected a float network with its weights"):
        trends.of_onnx(shipped.WORKLOADS / "networks" / "digits-cnn.yaml")
