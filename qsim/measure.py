"""A workload's network executed bit for bit, checked, and measured against floating point."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qsim import datasets
from qsim.errors import QsimError
from qsim.execute import Step, execute, real
from qsim.network.graph import Network
from qsim.network.layers import shape_text
from qsim.network.reference import image_batches, run_float
from qsim.network.weights import Weights
from qsim.precision import Precision
from qsim.program import Program, build
from qsim.verify import count_checked
from qsim.workload import Workload

CALIBRATION_IMAGES = 256  # of a dataset, unless another number is asked for

Progress = Callable[[str, int, int], None]  # what is under way, steps done, steps in all


@dataclass(frozen=True)
class LayerSums:
    """The extremes of a layer's final sums over all images (as its accumulator holds them), the
    signed bits that these need, and the bits that no input could exceed."""

    layer: str
    depth: int
    lowest_sum: int
    highest_sum: int
    accumulator_bits_seen: int
    accumulator_bits_worst_case: int


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
    def bit_exact(self) -> bool | None:
        """Whether every integer that was computed again came out the same; None if there were none,
        because all layers are computed in floating point."""
        return not self.differences if self.checked_outputs else None


def measure(
    workload: Workload, network: Network, weights: Weights, precision: Precision, progress: Progress
) -> Execution:
    """What the workload's execution shows, on ``network`` and ``weights`` (batch norms folded).

    Raises QsimError naming key and remedy.
    """
    document = workload.document.execute
    dataset = _dataset(workload, network)
    images, labels = dataset.images, dataset.labels
    progress("calibrating", 0, 1)
    program = build(network, weights, precision, dataset.calibration, document)
    batches = image_batches(network, len(images))
    steps_in_all = len(batches) * len(network.nodes)
    per_batch = -(-document.check_per_layer // len(batches))  # so that every batch is looked at
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
        progress("checking", done, steps_in_all)
        part = count_checked(program, steps, per_batch, document.seed + number)
        checked, differences = checked + part[0], differences + part[1]
        outputs.append(real(steps[network.output].value))
        if labels is not None:
            float_outputs.append(run_float(network, weights, images[batch])[network.output])
    result = np.concatenate(outputs)
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
    """Images and labels to run, and the images to calibrate on, as many as asked for."""
    document = workload.document.execute
    if document.dataset is None:
        count = document.images or 1
        calibration_count = document.calibration_images or count
        return datasets.seeded(network.input_shape, count, calibration_count, document.seed)
    where = f"{workload.path}: execute"
    try:
        dataset = datasets.load(document.dataset, workload.folder)
    except QsimError as error:
        raise QsimError(f"{where}.dataset: {error}") from None
    others = dataset.images if dataset.calibration is None else dataset.calibration
    images = _first(dataset.images, document.images, network, f"{where}.images")
    wanted = document.calibration_images or min(CALIBRATION_IMAGES, len(others))
    calibration = _first(others, wanted, network, f"{where}.calibration_images")
    labels = None
    if dataset.labels is not None:
        labels = dataset.labels[: len(images)]
        _check_labels(labels, network, f"{where}.dataset")
    return datasets.Dataset(images, labels, calibration)


def _first(images: np.ndarray, count: int | None, network: Network, where: str) -> np.ndarray:
    """The first ``count`` images (None: all)."""
    if images.shape[1:] != tuple(network.input_shape) or not len(images):
        raise QsimError(
            f"{where}: {len(images)} images of shape {images.shape[1:]} do not fit network"
            f" {network.name}, which reads {tuple(network.input_shape)}"
        )
    if count is not None and count > len(images):
        raise QsimError(f"{where}: {count} images asked for, the dataset has {len(images)}")
    return images[:count]


def _check_labels(labels: np.ndarray, network: Network, where: str) -> None:
    outputs = network.nodes[network.output].output_shape
    if len(outputs) != 1:
        raise QsimError(
            f"{where}: has labels, but network {network.name} ends in {shape_text(outputs)} and not"
            " in one value for each class"
        )
    wrong = labels[(labels < 0) | (labels >= outputs[0])]
    if wrong.size:
        raise QsimError(
            f"{where}: label {wrong[0]} is no class of network {network.name}, which has"
            f" {outputs[0]}"
        )


def _weights_source(workload: Workload) -> str:
    if workload.document.weights is not None:
        return workload.document.weights
    return f"seeded random weights (seed {workload.document.execute.seed})"


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
            lowest, highest = int(sums.min()), int(sums.max())
            low, high = self._extremes.get(name, (lowest, highest))
            self._extremes[name] = (min(low, lowest), max(high, highest))

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
            layer=name,
            depth=depth,
            lowest_sum=lowest,
            highest_sum=highest,
            accumulator_bits_seen=_signed_bits(lowest, highest),
            accumulator_bits_worst_case=_signed_bits(-worst, worst),
        )


def _signed_bits(lowest: int, highest: int) -> int:
    return 1 + max((-lowest - 1).bit_length() if lowest < 0 else 0, highest.bit_length())
