"""Weights of a network: arrays keyed ``layer.array`` as in a torch state dict."""

from collections.abc import Set
from pathlib import Path

import numpy as np

from hwmodels.documents import nearest
from qsim.arrays import read_arrays
from qsim.errors import WeightsError
from qsim.kernels.uniform_sum import uniform_sum
from qsim.network.graph import Network
from qsim.network.layers import BatchNorm

Weights = dict[str, np.ndarray]


def read_weights(path: Path, network: Network) -> Weights:
    """The float32 arrays of ``network`` from the ``.npz`` at ``path``.

    The names of a recurrent layer's arrays may end in ``_l0``, as those of torch.nn.LSTM do.

    Raises QsimError when the file cannot be read; WeightsError when an array is missing, of another
    shape, not floating point, holds NaN or infinity, or belongs to no layer.
    """
    wanted = {key: shape for node in network.nodes.values() for key, shape in node.arrays.items()}
    arrays = read_arrays(path, lambda names: _check_names(path, names, wanted, network.name))
    arrays = {_own_name(name, wanted): array for name, array in arrays.items()}
    return {
        key: _checked(path, key, arrays[key], shape, network.name) for key, shape in wanted.items()
    }


def seeded_weights(network: Network, seed: int) -> Weights:
    """Random float32 weights, the same for the same seed on every machine: products that keep the
    spread of their input (He's variance), batch norms near the identity, small biases."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for node in network.nodes.values():
        for key, shape in node.arrays.items():
            weights[key] = _seeded(rng, key.rsplit(".", 1)[1], shape, node.layer)
    return weights


def _seeded(rng: np.random.Generator, name: str, shape: tuple[int, ...], layer) -> np.ndarray:
    # a sum of four uniform numbers: near normal, unit variance, the same bits on every machine
    bell = uniform_sum(rng, shape)
    bell -= np.float32(2)
    bell *= np.float32(np.sqrt(3))
    if name == "running_var" or (name == "weight" and isinstance(layer, BatchNorm)):
        return 1 + np.float32(0.1) * bell
    if name.startswith("weight"):
        bell *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return bell
    return np.float32(0.1) * bell


def _own_name(name: str, wanted: dict) -> str:
    """The name of an array of a recurrent layer without torch's ``_l0``."""
    short = name.removesuffix("_l0")
    return short if short in wanted and name not in wanted else name


def _check_names(path: Path, found: Set[str], wanted: dict, network: str) -> None:
    for name in sorted(found):
        if (own := _own_name(name, wanted)) != name and own in found:
            raise WeightsError(f"{path}: holds both {own!r} and {name!r}; leave one out")
    found = {_own_name(name, wanted) for name in found}
    if missing := sorted(wanted.keys() - found):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        others = found - wanted.keys()
        remedy = nearest(missing[0], others) if others else "the file must hold one for each layer"
        raise WeightsError(
            f"{path}: array {missing[0]!r}{more} of network {network} is missing; {remedy}"
        )
    extra = sorted(name for name in found - wanted.keys() if "num_batches_tracked" not in name)
    if extra:
        raise WeightsError(
            f"{path}: array {extra[0]!r} belongs to no layer of network {network};"
            f" {nearest(extra[0], wanted)}"
        )


def _checked(
    path: Path, key: str, array: np.ndarray, shape: tuple[int, ...], network: str
) -> np.ndarray:
    if array.shape != shape:
        raise WeightsError(
            f"{path}: array {key!r} has shape {array.shape}, expected {shape} of network {network}"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise WeightsError(f"{path}: array {key!r} is {array.dtype}, expected floating point")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise WeightsError(f"{path}: array {key!r} holds NaN or infinite values")
    if key.endswith(".running_var") and (array < 0).any():
        raise WeightsError(f"{path}: array {key!r} holds negative variances")
    return array
