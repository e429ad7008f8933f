"""A workload's network executed bit for bit, checked, and measured against floating point."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qsim import datasets
from qsim.errors import QsimError
from qsim.execute import execute
from qsim.network.graph import Network
from qsim.network.layers import shape_text
from qsim.network.reference import LayerFunction, TensorFunction, image_batches, run_float
from qsim.program import Program
from qsim.program_checks import largest_operands
from qsim.stand_in import stand_in
from qsim.values import Step, real
from qsim.verify import count_checked
from qsim.workload import ExecuteDocument, Workload

CALIBRATION_IMAGES = 256  # at most, unless another number is asked for

Progress = Callable[[str, int, int], None]  # what is under way, steps done, steps in all
OnSteps = Callable[[dict[str, Step]], None]  # every tensor of a batch, by name
Builder = Callable[[datasets.Images, Progress], Program]  # from images to calibrate on


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
    """What running the integer program showed. Accuracies are shares of 1, None without labels;
    there is none in float of a model that was quantized already, of which no float network is left,
    and no images that it was calibrated on.
    """

    images: int
    weights_source: str
    images_source: str
    calibration_source: str | None
    checked_outputs: int
    differences: list[str]
    accuracy: float | None
    float_accuracy: float | None
    float_layers: list[str]
    layers: list[LayerSums]
    outputs: np.ndarray = field(repr=False)
    program: Program = field(repr=False)

    @property
    def bit_exact(self) -> bool | None:
        """Whether every integer that was computed again came out the same; None if there were none,
        because all layers are computed in floating point."""
        return not self.differences if self.checked_outputs else None


def measure(
    workload: Workload,
    builder: Builder,
    progress: Progress,
    on_steps: OnSteps = lambda steps: None,
) -> Execution:
    """What the workload's execution shows, of the program that ``builder`` makes.

    on_steps   called with every tensor of each batch of images

    Raises QsimError naming key and remedy.
    """
    document = workload.document.execute
    dataset = _dataset(workload, workload.network)
    program = builder(dataset.calibration, progress)
    network = program.network
    float_network = None
    if dataset.labels is not None and workload.model.program is None:
        float_network = stand_in(network, program.formats)
    seen = _run(program, dataset, document, float_network, progress, on_steps)
    accuracy = float_accuracy = None
    if dataset.labels is not None:
        accuracy = _accuracy(seen.outputs, dataset.labels)
    if seen.float_outputs:
        float_accuracy = _accuracy(seen.float_outputs, dataset.labels)
    return Execution(
        images=len(dataset.images),
        weights_source=_weights_source(workload),
        images_source=document.dataset or f"seeded uniform images (seed {document.seed})",
        calibration_source=_calibration_source(workload, len(dataset.calibration)),
        checked_outputs=seen.checked,
        differences=seen.differences,
        accuracy=accuracy,
        float_accuracy=float_accuracy,
        float_layers=[node.name for node in network.nodes.values() if program.in_float(node)],
        layers=[_layer_sums(program, name, *ends) for name, ends in seen.extremes.items()],
        outputs=np.concatenate(seen.outputs),
        program=program,
    )


def calibration_images(workload: Workload, network: Network) -> datasets.Images:
    """The images that set the ranges of a workload's activations. Raises QsimError naming key and
    remedy."""
    return _dataset(workload, network).calibration


def labelled_images(workload: Workload) -> tuple[datasets.Images, np.ndarray | None]:
    """The images that a workload runs, and their classes where they are known. Raises QsimError
    naming key and remedy."""
    dataset = _dataset(workload, workload.network)
    return dataset.images, dataset.labels


@dataclass
class _Seen:
    """What the batches so far have shown; ``extremes`` are the lowest and highest sum by layer."""

    outputs: list[np.ndarray] = field(default_factory=list)
    float_outputs: list[np.ndarray] = field(default_factory=list)
    extremes: dict[str, tuple[int, int]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    checked: int = 0


def _run(
    program: Program,
    dataset: datasets.Dataset,
    document: ExecuteDocument,
    float_network: tuple[dict[str, TensorFunction], LayerFunction] | None,
    progress: Progress,
    on_steps: OnSteps,
) -> _Seen:
    network, images = program.network, dataset.images
    batches = image_batches(network, len(images))
    per_batch = -(-document.check_per_layer // len(batches))  # so that every batch is looked at
    seen, done, steps_in_all = _Seen(), 0, len(batches) * len(network.nodes)

    def on_layer(name: str) -> None:
        nonlocal done
        done += 1
        progress(f"executing {name}", done, steps_in_all)

    for number, batch in enumerate(batches):
        steps = execute(program, images[batch], on_layer)
        on_steps(steps)
        progress("checking", done, steps_in_all)
        checked, differences = count_checked(program, steps, per_batch, document.seed + number)
        seen.checked += checked
        seen.differences += differences
        seen.outputs.append(real(steps[network.output].value))
        _stretch(seen.extremes, program, steps)
        if float_network is not None:
            tensors = run_float(network, program.real, images[batch], *float_network)
            seen.float_outputs.append(tensors[network.output])
    return seen


def _stretch(
    extremes: dict[str, tuple[int, int]], program: Program, steps: dict[str, Step]
) -> None:
    """Let the extremes of every integer layer take in the sums of a batch."""
    for name in (node.name for node in program.network.nodes.values() if program.has_sums(node)):
        terms = [sums for sums, _ in steps[name].unrounded.terms]
        lowest, highest = min(int(s.min()) for s in terms), max(int(s.max()) for s in terms)
        low, high = extremes.get(name, (lowest, highest))
        extremes[name] = (min(low, lowest), max(high, highest))


def _dataset(workload: Workload, network: Network) -> datasets.Dataset:
    """Images and labels to run, and the images to calibrate on, as many as asked for."""
    document = workload.document.execute
    where = f"{workload.path}: execute"
    if document.dataset is None:
        count = document.images or 1
        others = document.calibration_images or min(CALIBRATION_IMAGES, count)
        shape, seed = network.input_shape, document.seed
        dataset = datasets.seeded(shape, count, others, seed, network.rows_read)
    else:
        dataset = _loaded(workload, "dataset", network)
    calibration = dataset.images if dataset.calibration is None else dataset.calibration
    if document.calibration_dataset is not None:
        calibration = _loaded(workload, "calibration_dataset", network).images
    wanted = document.calibration_images or min(CALIBRATION_IMAGES, len(calibration))
    calibration = _first(calibration, wanted, f"{where}.calibration_images")
    images = _first(dataset.images, document.images, f"{where}.images")
    labels = None
    if dataset.labels is not None:
        labels = dataset.labels[: len(images)]
        _check_labels(labels, network, f"{where}.dataset")
    return datasets.Dataset(images, labels, calibration)


def _loaded(workload: Workload, key: str, network: Network) -> datasets.Dataset:
    """The dataset that ``key`` of the document names, its images of the network's shape."""
    where = f"{workload.path}: execute.{key}"
    name = getattr(workload.document.execute, key)
    try:
        dataset = datasets.load(name, workload.folder, network.input_shape)
    except QsimError as error:
        raise QsimError(f"{where}: {error}") from None
    _check_shape(dataset.images, network, where)
    if dataset.calibration is not None:
        _check_shape(dataset.calibration, network, f"{where}: array 'calibration'")
    return dataset


def _check_shape(images: datasets.Images, network: Network, where: str) -> None:
    if images.shape[1:] != tuple(network.input_shape) or not len(images):
        raise QsimError(
            f"{where}: {len(images)} images of shape {images.shape[1:]} do not fit network"
            f" {network.name}, which reads {tuple(network.input_shape)}"
        )


def _first(images: datasets.Images, count: int | None, where: str) -> datasets.Images:
    """The first ``count`` images (None: all)."""
    if count is not None and count > len(images):
        raise QsimError(f"{where}: {count} images asked for, the dataset has {len(images)}")
    return datasets.first(images, count)


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


def _calibration_source(workload: Workload, count: int) -> str | None:
    if workload.model.program is not None:
        return None
    document = workload.document.execute
    images = "image" if count == 1 else "images"
    named = document.calibration_dataset or document.dataset
    return f"{count:,} {images} of {named}" if named else f"{count:,} other seeded {images}"


def _weights_source(workload: Workload) -> str:
    if workload.document.weights is not None:
        return workload.document.weights
    if workload.model.weights is not None or workload.model.program is not None:
        return f"those of {workload.model_name}"
    return f"seeded random weights (seed {workload.document.execute.seed})"


def _accuracy(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    return float((np.concatenate(outputs).argmax(axis=1) == labels).mean())


def _layer_sums(program: Program, name: str, lowest: int, highest: int) -> LayerSums:
    [(depth, max_x, max_w, bias), *_] = largest_operands(program, program.network.nodes[name])
    worst = depth * max_x * max_w + bias
    return LayerSums(
        layer=name,
        depth=depth,
        lowest_sum=lowest,
        highest_sum=highest,
        accumulator_bits_seen=_signed_bits(lowest, highest),
        accumulator_bits_worst_case=_signed_bits(-worst, worst),
    )


def _signed_bits(lowest: int, highest: int) -> int:
    """The bits of a two's complement register that holds both."""
    return 1 + max((-lowest - 1).bit_length() if lowest < 0 else 0, highest.bit_length())
