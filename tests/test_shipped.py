import numpy as np
import pytest
import yaml

from qsim import shipped
from qsim.errors import WorkloadError
from qsim.network.table import read_network
from qsim.network.weights import read_weights
from qsim.workload import load_workload


def workload(folder, weights):
    path = folder / "w.yaml"
    precision = {"default": {"weights": "float", "activations": "float"}}
    document = {"network": "digits-cnn", "weights": weights, "precision": precision, "execute": {}}
    path.write_text(yaml.safe_dump(document))
    return load_workload(str(path))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of shipped data with weights and images."""
    np.savez_compressed(tmp_path / "mine.npz", **{"conv1.weight": np.ones(1, np.float32)})
    np.savez_compressed(tmp_path / "pixels.npz", test_images=np.ones(1), weight=np.ones(1))
    monkeypatch.setattr(shipped, "DATA", tmp_path)
    return tmp_path


def test_weights_are_the_files_that_hold_a_layers_weight(data):
    assert shipped.weights() == ["mine"]


def test_weights_are_named_by_their_file_whatever_the_network_is_called(data):
    assert workload(data, "mine").weights_path() == data / "mine.npz"


def test_a_file_of_images_is_not_taken_for_weights(data):
    with pytest.raises(
        WorkloadError, match=r"'pixels' is neither an \.npz file nor shipped trained"
    ):
        workload(data, "pixels").weights_path()


@pytest.mark.parametrize("name", shipped.weights())
def test_shipped_weights_fit_digits_cnn_or_the_network_whose_name_begins_theirs(name):
    networks = [n for n in shipped.networks() if name.startswith(n)] or ["digits-cnn"]
    network = read_network(shipped.WORKLOADS / "networks" / f"{max(networks, key=len)}.yaml")
    assert read_weights(shipped.DATA / f"{name}.npz", network)
