"""The one place where execution and cost meet: a workload in, an evaluation out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hwmodels.documents import nearest
from hwmodels.errors import InputError
from hwmodels.explain import Node
from hwmodels.work import WorkTable
from qsim import units
from qsim.build import build
from qsim.datasets import Images
from qsim.errors import QsimError, WorkloadError
from qsim.footprints import Footprint, footprints
from qsim.formats import name_of
from qsim.measure import Builder, Execution, OnSteps, Progress, calibration_images, measure
from qsim.network.fold import fold_network, fold_weights, unfolded_weights
from qsim.network.graph import Network
from qsim.network.rescale import spread
from qsim.network.weights import Weights, read_weights, seeded_weights
from qsim.precision import Precision, resolve
from qsim.price import Pricing, price
from qsim.program import Program, settled_precision
from qsim.work import work_table
from qsim.workload import Workload

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluation:
    """All that an evaluation found out."""

    workload: Workload
    network: Network
    precision: Precision
    execution: Execution | None
    pricings: list[Pricing]
    footprints: list[Footprint]
    refusals: list[str]

    @property
    def problems(self) -> list[str]:
        """A sentence for each design that could not be priced, and for each that does not fit its
        device."""
        sentences = list(self.refusals)
        for pricing in self.pricings:
            if pricing.excess:
                device, where = pricing.hardware.device, pricing.hardware.where
                asked = {o.of_device: o for o in pricing.hardware.model.OUTPUTS.values()}
                amounts = ", ".join(
                    f"{units.figure(amount, asked[name].unit)} {asked[name].label} more than its"
                    f" {units.figure(getattr(device, name).value, asked[name].unit)}"
                    for name, amount in pricing.excess.items()
                )
                sentences.append(
                    f"{where}: does not fit {device.name}:"
                    f" needs {amounts}; make the design smaller or name a larger device"
                )
        return sentences


def evaluate(
    workload: Workload,
    progress: Progress = lambda what, done, steps: None,
    on_steps: OnSteps = lambda steps: None,
) -> Evaluation:
    """Execute ``workload`` bit for bit and price it.

    on_steps   called with every tensor of each batch of images, by name

    Raises QsimError or another InputError naming file, key and remedy.
    """
    network, precision = _quantized(workload)
    work = work_table(network, precision)
    pricings, refusals = _priced(workload, work)
    held = footprints(workload, work, precision)
    execution = None
    if workload.document.execute is not None:
        execution = _named(
            workload,
            lambda: measure(workload, _builder(workload, network, precision), progress, on_steps),
        )
    return Evaluation(workload, network, precision, execution, pricings, held, refusals)


def explain(workload: Workload, figure: str) -> list[tuple[Pricing | Footprint, Node]]:
    """Where a ``figure`` of the workload's designs, or of its memory, comes from, of each that has
    it; nothing is executed.

    Raises QsimError or another InputError naming file, key and remedy.
    """
    network, precision = _quantized(workload)
    work = work_table(network, precision)
    priced = [*_priced(workload, work)[0]]
    priced += footprints(workload, work, precision)
    if not priced:
        raise WorkloadError(
            f"{workload.path}: --explain {figure}: it names no hardware and no memory"
        )
    found = [(each, each.origins[figure]) for each in priced if figure in each.origins]
    if not found:
        known = {name for each in priced for name in each.origins}
        raise WorkloadError(
            f"{workload.path}: --explain: unknown figure {figure!r}; {nearest(figure, known)}"
        )
    return found


def _priced(workload: Workload, work: WorkTable) -> tuple[list[Pricing], list[str]]:
    """The designs that can be priced, and a sentence for each that cannot. Raises the first
    complaint where none can."""
    pricings, complaints = [], []
    for index in range(len(workload.document.hardware)):
        try:
            pricings.append(price(workload, index, work))
        except InputError as error:
            complaints.append(error)
    if complaints and not pricings:
        raise complaints[0]
    return pricings, [" ".join(str(error).split()) for error in complaints]


def make_program(
    workload: Workload, progress: Progress = lambda what, done, steps: None
) -> Program:
    """The integer program of a workload that is executed.

    Raises QsimError or another InputError naming file, key and remedy.
    """
    network, precision = _quantized(workload)
    builder = _builder(workload, network, precision)
    return _named(workload, lambda: builder(calibration_images(workload, network), progress))


def _quantized(workload: Workload) -> tuple[Network, Precision]:
    """The network with batch norms folded, and its formats."""
    program = workload.model.program
    if program is not None:
        return program.network, settled_precision(program)
    network = _named(workload, lambda: fold_network(workload.network))
    execute = workload.document.execute
    at_once = execute is not None and execute.requantizer.at_once
    where = f"{workload.path}: precision"
    return network, resolve(workload.document.precision, network, where=where, at_once=at_once)


def _builder(workload: Workload, network: Network, precision: Precision) -> Builder:
    """What makes the program, its ranges found from images."""
    if workload.model.program is not None:
        return lambda images, progress: workload.model.program
    stored = _named(workload, lambda: _weights(workload))
    weights = _named(workload, lambda: fold_weights(workload.network, stored))
    if workload.document.rescale_channels is not None:
        weights = _named(workload, lambda: _rescaled(workload, network, weights, precision))
    trained = unfolded_weights(workload.network, stored)

    def built(images: Images, progress: Progress) -> Program:
        def counted(done: int, steps: int) -> None:
            progress("calibrating", done, steps)

        arithmetic = workload.document.execute
        return build(network, weights, precision, images, arithmetic, trained, progress=counted)

    return built


def _weights(workload: Workload) -> Weights:
    path = workload.weights_path()
    if path is not None:
        return read_weights(path, workload.network)
    if workload.model.weights is not None:
        return workload.model.weights
    return seeded_weights(workload.network, workload.document.execute.seed)


def _rescaled(
    workload: Workload, network: Network, weights: Weights, precision: Precision
) -> Weights:
    """The folded weights with rescaled channels. Raises QsimError where that cannot be done."""
    wanted = workload.document.rescale_channels
    for name, number in precision.weights.items():
        if not number.folds:
            raise WorkloadError(
                f"rescale_channels: the weights of layer {name!r} are quantized as they were"
                f" trained, by {name_of(number)}, and cannot be rescaled; choose a format whose"
                " ranges are found from data"
            )
    return spread(network, weights, wanted.spread, wanted.seed)


def _named(workload: Workload, step: Callable[[], T]) -> T:
    """What ``step`` returns; its complaints name the workload's file where they name none."""
    try:
        return step()
    except QsimError as error:
        named = any(f"{suffix}:" in str(error) for suffix in (".yaml", ".npz", ".npy", ".onnx"))
        if named or str(error).startswith(f"{workload.path}:"):
            raise
        raise type(error)(f"{workload.path}: {error}") from None
