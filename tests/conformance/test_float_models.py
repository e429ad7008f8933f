"""Float models read from ONNX files compute what ONNX Runtime computes of them."""

import numpy as np
import pytest
from conformance.float_graphs import CASES, cases, webs
from conformance.peers import ONNX, ONNX_RUNTIME, load
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.network.reference import run_float
from qsim.onnx_reader import OnnxOptions, read_onnx

# both are float32 with sums in another order: a few units in the last place of what is summed
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def results(model, feeds):
    runtime = load(ONNX_RUNTIME)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def ours(folder, model, x, options=None):
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    read = read_onnx(path, options or OnnxOptions())
    for node in read.network.nodes.values():
        for key, shape in node.arrays.items():
            assert read.weights[key].shape == shape
            assert read.weights[key].dtype == np.float32
    return run_float(read.network, read.weights, x)[read.network.output]


@pytest.mark.parametrize("name", CASES)
def test_every_operator_computes_what_onnx_runtime_does(name, tmp_path_factory):
    load(ONNX)
    folder = tmp_path_factory.mktemp(name)

    @settings(max_examples=30)
    @given(st.data())
    def holds(data):
        model, x = data.draw(cases(name))
        [expected] = results(model, {"x": x})
        got = ours(folder, model, x)
        np.testing.assert_allclose(got.reshape(expected.shape), expected, **CLOSE)

    holds()


@settings(max_examples=200)
@given(st.data())
def test_tensors_that_several_operators_read_stay_what_they_are(tmp_path_factory, data):
    load(ONNX)
    model, x = data.draw(webs())
    [expected] = results(model, {"x": x})
    got = ours(tmp_path_factory.mktemp("web"), model, x)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(got / scale, expected / scale, rtol=1e-4, atol=1e-4)
