"""The float run over calibration images that shows every tensor to its observer."""

from collections.abc import Callable, Mapping

import numpy as np

from qsim.calibrate.observer import Observer
from qsim.errors import WeightsError, WorkloadError
from qsim.network.graph import INPUT, Network
from qsim.network.reference import (
    LayerFunction,
    TensorFunction,
    float_layer,
    image_batches,
    run_float,
)
from qsim.network.weights import Weights


def observe(
    network: Network,
    weights: Weights,
    images: np.ndarray,
    observers: Mapping[str, Observer],
    functions: Mapping[str, TensorFunction] = {},
    *,
    layers: LayerFunction = float_layer,
    progress: Callable[[int, int], None] = lambda done, steps: None,
) -> dict[str, float]:
    """The least value of every tensor of the float network for ``images``, by name; ``observers``,
    by tensor, see all values.

    images      float32 (images, *input_shape), or what has a length and such slices; it is read
                batch by batch, and of no more than one batch are the tensors held
    functions, layers   as of ``run_float``
    progress    called with the layers that are done, and those of all batches

    Raises WorkloadError when there are no images or a tensor that is asked for is none of the
    network's; WeightsError when a tensor overflows.
    """
    if not len(images):
        raise WorkloadError(
            f"network {network.name}: has no calibration images, which set the ranges of its"
            " activations; give one or more"
        )
    batches = image_batches(network, len(images))
    done, steps = 0, len(batches) * len(network.nodes)

    def counted(node, *arguments):
        nonlocal done
        result = layers(node, *arguments)
        done += 1
        progress(done, steps)
        return result

    lowest: dict[str, float] = {}
    for batch in batches:
        tensors = run_float(network, weights, images[batch], functions, counted)
        for name, real in tensors.items():
            low, high = float(real.min(initial=np.inf)), float(real.max(initial=-np.inf))
            _check_finite(network, name, low, high)
            lowest[name] = min(lowest.get(name, np.inf), low)
            if name in observers:
                observers[name].see(real)
    _check_seen(network, observers)
    return lowest


def _check_finite(network: Network, name: str, low: float, high: float) -> None:
    if np.isfinite(low) and np.isfinite(high):
        return
    if name == INPUT:
        raise WorkloadError(
            f"network {network.name}: its calibration images hold values that are no finite float32"
        )
    raise WeightsError(
        f"network {network.name}: tensor {name!r} overflows in floating point on the calibration"
        " images; the weights are too large"
    )


def _check_seen(network: Network, observers: Mapping[str, Observer]) -> None:
    """Refuse a range for a tensor of which calibration saw no value."""
    for name, observer in observers.items():
        if not observer.values:
            raise WorkloadError(
                f"network {network.name}: calibration saw no value of tensor {name!r}, so it has no"
                " range; is it a tensor of this network?"
            )
