"""Every network of the zoo is a graph that runs: in floating point, and bit for bit in integers."""

import numpy as np
import pytest
import yaml
from zoo_networks import small

from qsim import zoo
from qsim.evaluate import evaluate
from qsim.network.reference import run_float
from qsim.network.weights import seeded_weights
from qsim.network.widen import widen
from qsim.workload import load_workload
from qsim.zoo import find_network


def workload(folder, name):
    eight = {"weights": {"affine": {"bits": 8, "mode": "symmetric"}}, "activations": {"affine": {"bits": 8}}}  # fmt: skip
    execute = {"images": 1, "check_per_layer": 2}
    document = {**small(name), "precision": {"default": eight}, "execute": execute}
    path = folder / "w.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_workload(str(path))


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_runs_bit_for_bit(tmp_path, name):
    evaluation = evaluate(workload(tmp_path, name))
    execution = evaluation.execution
    assert execution.bit_exact, execution.differences[:1]
    in_float = {evaluation.network.nodes[each].layer.__class__.__name__ for each in execution.float_layers}  # fmt: skip
    assert in_float <= {"Embedding", "LayerNorm", "LocalResponseNorm", "Resize"}


@pytest.mark.parametrize("name", ["bert-base", "lstm-ptb", "pspnet", "yolo-v3", "svhn-d"])
def test_every_tensor_of_a_float_run_has_its_shape_and_is_finite(tmp_path, name):
    network = workload(tmp_path, name).network
    rng = np.random.default_rng(0)
    rows = network.rows_read
    shape = (2, *network.input_shape)
    images = rng.integers(0, rows, shape) if rows else rng.random(shape)
    tensors = run_float(network, seeded_weights(network, 0), images.astype(np.float32))
    for key, node in network.nodes.items():
        assert tensors[key].shape == (2, *node.output_shape)
        assert np.isfinite(tensors[key]).all()


def test_the_heads_of_yolo_are_one_tensor():
    """Their places one after another."""
    network = find_network({"yolo-v3": {"size": 64, "classes": 1}}, where="network")
    network = widen(network, 0.125)
    images = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    tensors = run_float(network, seeded_weights(network, 0), images)
    parts = [tensors[f"head{level}.conv7"].reshape(1, 18, -1) for level in range(3)]
    np.testing.assert_array_equal(tensors["heads"], np.concatenate(parts, axis=2))
