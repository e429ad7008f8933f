"""A workload's network executed bit for bit, checked, and measured against floating point."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qsim import datasets
from qsim.errors import QsimError
from qsim.execute import Step, execute, real
from qsim.network.graph import Network
from qsim.network.reference import run_float
from qsim.network.weights import Weights
from qsim.precision import Precision
from qsim.program import Program, build
from qsim.verify import count_checked
from qsim.workload import Workload

IMAGE_BATCH_BYTES = 2**27  # float32 bytes of all tensors of the images that are run at once

Progress = Callable[[str, int, int], None]  # what is under way, steps done, steps in all


@dataclass(frozen=True)
class LayerSums:
    """What a layer's accumulators held: extremes over all images, and signed bits they need.

    worst_case_bits   that no input could exceed
    """

    name: str
    depth: int
    lowest: int
    highest: int
    bits_seen: int
    worst_case_bits: int


@dataclass(frozen=True)
class Execution:
    """What running the integer program showed. Accuracies are shares of 1, None without labels."""

    images: int
    weights_source: str
    images_source: str
    checked_outputs: int
    differences: list[str]
    accuracy: float | None
    float_accuracy: float | None
    float_layers: list[str]
    layers: list[LayerSums]
    outputs: np.ndarray = field(repr=False)

    @property
    def bit_exact(self) -> bool:
        """Whether every output that was computed again came out the same."""
        return not self.differences


def measure(
    workload: Workload, network: Network, weights: Weights, precision: Precision, progress: Progress
) -> Execution:
    """What the workload's execution shows, on ``network`` and ``weights`` (batch norms folded).

    Raises QsimError naming key and remedy.
    """
    document = workload.document.execute
    dataset = _dataset(workload, network)
    images = dataset.images[: document.images]
    calibration = dataset.calibration[: document.calibration_images]
    progress("calibrating", 0, 1)
    program = build(network, weights, precision, calibration, document)
    batches = _batches(network, len(images))
    steps_in_all = len(batches) * len(network.nodes)
    sums = _SumsSeen(program)
    outputs, float_outputs, done = [], [], 0
    checked, differences = 0, []

    def on_layer(name: str) -> None:
        nonlocal done
        done += 1
        progress(f"executing {name}", done, steps_in_all)

    for number, batch in enumerate(batches):
        steps = execute(program, images[batch], on_layer)
        sums.add(steps)
        if number == 0:
            progress("checking", done, steps_in_all)
            checked, differences = count_checked(
                program, steps, document.check_per_layer, document.seed
            )
        outputs.append(real(steps[network.output].value))
        if dataset.labels is not None:
            float_outputs.append(run_float(network, weights, images[batch])[network.output])
    result = np.concatenate(outputs)
    labels = None if dataset.labels is None else dataset.labels[: len(images)]
    return Execution(
        images=len(images),
        weights_source=_weights_source(workload),
        images_source=document.dataset or f"seeded uniform images (seed {document.seed})",
        checked_outputs=checked,
        differences=differences,
        accuracy=None if labels is None else _accuracy(result, labels),
        float_accuracy=None if labels is None else _accuracy(np.concatenate(float_outputs), labels),
        float_layers=[name for name, quantized in program.weights.items() if quantized is None],
        layers=sums.table(),
        outputs=result,
    )


def _dataset(workload: Workload, network: Network) -> datasets.Dataset:
    document = workload.document.execute
    if document.dataset is None:
        return datasets.seeded(network.input_shape, document.images or 1, document.seed)
    where = f"{workload.path}: execute"
    try:
        dataset = datasets.load(document.dataset, workload.folder)
    except QsimError as error:
        raise QsimError(f"{where}.dataset: {error}") from None
    for images in (dataset.images, dataset.calibration):
        if images.shape[1:] != tuple(network.input_shape) or not len(images):
            raise QsimError(
                f"{where}.dataset: {len(images)} images of shape {images.shape[1:]} do not fit"
                f" network {network.name}, which reads {tuple(network.input_shape)}"
            )
    if document.images is not None and document.images > len(dataset.images):
        raise QsimError(
            f"{where}.images: {document.images} images asked for, the dataset has"
            f" {len(dataset.images)}"
        )
    return dataset


def _weights_source(workload: Workload) -> str:
    if workload.document.weights is not None:
        return workload.document.weights
    return f"seeded random weights (seed {workload.document.execute.seed})"


def _batches(network: Network, images: int) -> list[slice]:
    per_image = 4 * sum(int(np.prod(node.output_shape)) for node in network.nodes.values())
    size = max(1, IMAGE_BATCH_BYTES // per_image)
    return [slice(start, start + size) for start in range(0, images, size)]


def _accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float((outputs.argmax(axis=1) == labels).mean())


class _SumsSeen:
    """Extremes of every layer's sums over the batches."""

    def __init__(self, program: Program):
        self._program = program
        self._extremes: dict[str, tuple[int, int]] = {}

    def add(self, steps: dict[str, Step]) -> None:
        for name in self._program.biases:
            [(sums, _)] = steps[name].unrounded.terms
            low, high = self._extremes.get(name, (0, 0))
            self._extremes[name] = (min(low, int(sums.min())), max(high, int(sums.max())))

    def table(self) -> list[LayerSums]:
        return [self._layer(name, *extremes) for name, extremes in self._extremes.items()]

    def _layer(self, name: str, lowest: int, highest: int) -> LayerSums:
        weights = self._program.weights[name]
        node = self._program.network.nodes[name]
        depth = int(np.prod(weights.levels.shape[1:]))
        max_x = self._program.formats[node.inputs[0]].max_magnitude
        largest_bias = int(np.abs(self._program.biases[name]).max())
        worst = depth * max_x * weights.format.max_magnitude + largest_bias
        return LayerSums(
            name=name,
            depth=depth,
            lowest=lowest,
            highest=highest,
            bits_seen=_signed_bits(lowest, highest),
            worst_case_bits=_signed_bits(-worst, worst),
        )


def _signed_bits(lowest: int, highest: int) -> int:
    return 1 + max((-lowest - 1).bit_length() if lowest < 0 else 0, highest.bit_length())
