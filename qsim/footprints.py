"""What a workload needs of memory, in each phase and at each batch it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from hwmodels.errors import InputError
from hwmodels.explain import Node, recording
from hwmodels.memory import footprint
from hwmodels.memory.breakdown import Row, breakdown, peak_moment, single_design
from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.footprint import MemoryCost
from hwmodels.work import Step, WorkTable
from qsim.errors import WorkloadError
from qsim.precision import Precision
from qsim.work import training_steps
from qsim.workload import Workload


@dataclass(frozen=True)
class Footprint:
    """The memory of one phase.

    steps     what is held and when, as that phase goes
    design    the phase and its options, ``batch`` an array
    cost      by batch
    origins   where each figure comes from, by its name
    """

    steps: tuple[Step, ...]
    design: MemoryDesign
    cost: MemoryCost
    origins: dict[str, Node]

    @property
    def batches(self) -> tuple[int, ...]:
        """The batches it was asked for."""
        return tuple(int(batch) for batch in self.design.batch)

    def held(self, batch: int) -> list[Row]:
        """What the total is made of at one batch, the largest first."""
        rows = breakdown(self.steps, single_design(self.design, batch))
        return sorted(rows, key=lambda row: -row.bytes)

    def peak_moment(self, batch: int) -> str:
        """When the schedule of one batch needs most, in words."""
        return peak_moment(self.steps, single_design(self.design, batch))


def footprints(workload: Workload, work: WorkTable, precision: Precision) -> list[Footprint]:
    """The footprint of each phase that a workload asks for.

    work        of its network as it is executed, without the batch norms that are folded
    precision   of that network

    Raises WorkloadError on a kind of layer of which it is not known what it keeps for training.
    """
    document = workload.document.memory
    if document is None:
        return []
    steps = {
        "inference": lambda: work.steps,
        "training": lambda: training_steps(workload.network, precision),
    }
    try:
        phases = (document.phases,) if isinstance(document.phases, str) else document.phases
        return [_footprint(steps[phase](), document.design(phase)) for phase in phases]
    except InputError as error:
        raise WorkloadError(f"{workload.path}: memory: {error}") from None


def _footprint(steps: Sequence[Step], design: MemoryDesign) -> Footprint:
    with recording() as calls:
        cost = footprint.evaluate(steps, design)
    return Footprint(tuple(steps), design, cost, calls.origins(cost))
