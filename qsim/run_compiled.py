"""A workload's network run by the program compiled for this machine, compared and timed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from qsim.engine import Engine
from qsim.evaluate import make_program
from qsim.execute import execute
from qsim.measure import Progress, labelled_images
from qsim.network.graph import Network
from qsim.workload import Workload


@dataclass(frozen=True)
class CompiledRun:
    """What a compiled program made of a workload's images.

    seconds       of the run of all images, compiling left out
    compared      integers of the first image that were executed too, layer by layer
    differences   the tensors of which some integers came out otherwise
    accuracy      a share of 1; None without labels
    """

    network: Network
    engine: Engine
    outputs: np.ndarray = field(repr=False)
    seconds: float
    compared: int
    differences: list[str]
    accuracy: float | None

    @property
    def ms_per_image(self) -> float:
        """Milliseconds for an image, of all threads together."""
        return 1e3 * self.seconds / len(self.outputs)

    @property
    def gops(self) -> float:
        """Billions of operations a second, two for each multiply-accumulate of the network."""
        return 2e-9 * self.network.macs * len(self.outputs) / self.seconds


def run_compiled(
    workload: Workload,
    *,
    threads: int = 1,
    affinity: Sequence[int] | None = None,
    progress: Progress = lambda what, done, steps: None,
) -> CompiledRun:
    """Run all images of a workload, after the first was executed as well and compared.

    threads, affinity   as ``Engine`` takes them

    Raises QsimError or another InputError naming what is wrong, or the layer that cannot be
    compiled.
    """
    program = make_program(workload, progress)
    images, labels = labelled_images(workload)
    engine = Engine(program, threads=threads, affinity=affinity)
    steps = execute(program, images[:1])
    tensors = engine.tensors(images[:1])
    differences = [
        name
        for name, levels in tensors.items()
        if not np.array_equal(levels, steps[name].value.levels)
    ]
    engine.run(images[:1])  # compiles, and reads the weights
    start = time.perf_counter()
    outputs = engine.run(images[:])
    seconds = time.perf_counter() - start
    accuracy = None
    if labels is not None:
        accuracy = float((outputs.argmax(axis=1) == labels).mean())
    compared = sum(levels.size for levels in tensors.values())
    return CompiledRun(program.network, engine, outputs, seconds, compared, differences, accuracy)
