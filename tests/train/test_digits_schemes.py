"""The shipped low-bit networks, read back into the network that trained them."""

import re

import numpy as np
import pytest

from qsim import shipped

torch = pytest.importorskip("torch")

from qsim.train import digits_schemes  # noqa: E402 (needs torch)
from qsim.train.digits_cnn import accuracy_percent, load_split  # noqa: E402


def readme_scalars(name):
    """The trained scalars of a network that the README of the data states."""
    (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", (shipped.DATA / "README.md").read_text(), re.M)
    return {key: float(value) for key, value in re.findall(r"`([\w.]+)` ([\d.]+)", row)}


@pytest.mark.parametrize("name", digits_schemes.RECIPES)
def test_a_shipped_network_recognises_97_of_100_digits_as_it_was_quantized_in_training(name):
    arrays = {k: torch.from_numpy(v) for k, v in np.load(shipped.DATA / f"{name}.npz").items()}
    model = digits_schemes.RECIPES[name].make()
    if scalars := digits_schemes.trained_scalars(model):
        stated = readme_scalars(name)
        assert stated.keys() == scalars.keys()
        arrays |= {key: torch.tensor(value) for key, value in stated.items()}
    missing, unexpected = model.load_state_dict(arrays, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    assert accuracy_percent(model.eval(), *load_split("test")) >= 97
