"""Networks as torch exports them compute what ONNX Runtime computes of them."""

import numpy as np
import pytest
from conformance.export_torch_models import NETWORKS, exported
from conformance.peers import ONNX, ONNX_RUNTIME, TORCH, load
from conformance.test_float_models import results

from qsim.errors import QsimError
from qsim.network.graph import INPUT
from qsim.network.reference import run_float
from qsim.onnx_reader import OnnxOptions, read_onnx

# of a result of about 1, float32 sums in another order through some tens of layers
TOLERANCE = 1e-4
WAYS = {
    "opset 11": (11, {}),
    "opset 13, shapes computed": (13, {"fold": False, "dynamic": (0,)}),
    "opset 17, batch norms apart": (17, {"trained": True}),
    "opset 20, dynamic batch": (20, {"dynamic": (0,)}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_is_read(name, way, tmp_path):
    onnx, _, _ = load(ONNX), load(ONNX_RUNTIME), load(TORCH)
    opset, options = WAYS[way]
    path = tmp_path / f"{name}.onnx"
    feeds, constants = exported(name, path, opset, **options)
    [expected] = results(onnx.load(path), feeds)
    read = read_onnx(path, OnnxOptions(constants=constants))
    fed = next(iter(feeds.values()))
    made = run_float(read.network, read.weights, fed)[read.network.output]
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(
        made.reshape(expected.shape) / scale, expected / scale, atol=TOLERANCE
    )
    assert read.network.name == name
    assert read.network.rows_read is None or read.network.readers[INPUT]


def test_sides_left_open_are_said_by_name(tmp_path):
    onnx, _, _ = load(ONNX), load(ONNX_RUNTIME), load(TORCH)
    path = tmp_path / "bert.onnx"
    feeds, constants = exported("bert", path, dynamic=(0, 1))
    with pytest.raises(
        QsimError, match="a network has one input, this has 'input_ids', 'attention_mask'"
    ):
        read_onnx(path)
    with pytest.raises(
        QsimError, match=r"leaves a side 'sequence' open; .* --set 'dims=\{sequence: 128\}'"
    ):
        read_onnx(path, OnnxOptions(constants=constants))
    for length in (1, 3, 6):
        read = read_onnx(path, OnnxOptions(constants=constants, dims={"sequence": length}))
        cut = {name: array[:, :length] for name, array in feeds.items()}
        [expected] = results(onnx.load(path), cut)
        made = run_float(read.network, read.weights, cut["input_ids"])[read.network.output]
        np.testing.assert_allclose(made, expected, atol=TOLERANCE)


def test_layers_are_named_as_in_torch(tmp_path):
    load(ONNX), load(TORCH)
    path = tmp_path / "resnet.onnx"
    exported("resnet", path, trained=True)
    names = list(read_onnx(path).network.nodes)
    assert names[:3] == ["conv1", "bn1", "relu"]
    assert {"layer2.0.downsample.0", "layer2.0.downsample.1", "fc"} <= set(names)
    assert list(read_onnx(path).network.nodes) == names


@pytest.mark.parametrize("name", ["resnet", "yolo_v3"])
def test_several_images_are_read_one_by_one(name, tmp_path):
    """A file whose batch is open, or is another than what is fed."""
    onnx, _, _ = load(ONNX), load(ONNX_RUNTIME), load(TORCH)
    path = tmp_path / "model.onnx"
    feeds, _ = exported(name, path, dynamic=(0,))
    read = read_onnx(path)
    x = np.concatenate([feeds["input"], -feeds["input"], 0.5 * feeds["input"]])
    [expected] = results(onnx.load(path), {"input": x})
    made = run_float(read.network, read.weights, x)[read.network.output]
    np.testing.assert_allclose(made, expected, atol=TOLERANCE * max(1, np.abs(expected).max()))
