"""Integer programs compiled for this machine: a network as one program, as fast as can be.

``Engine`` computes what ``execute`` computes, integer by integer, without keeping every tensor.
"""

from collections.abc import Sequence

import numpy as np
from numba import config

from qsim.engine.bit_steps import with_bits
from qsim.engine.crew import Crew
from qsim.engine.layout import Layout, layout
from qsim.engine.lower import lower
from qsim.engine.steps import Plan
from qsim.engine.tensors import levels_of, new_memory, sums_of, with_scratch
from qsim.errors import QsimError
from qsim.execute import checked_images
from qsim.kernels.simd.barrier import Team, alone
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.layer_program import run_program
from qsim.kernels.simd.step_table import Memory
from qsim.kernels.simd.tag import Tag
from qsim.network.graph import INPUT
from qsim.program import Program
from qsim.values import real

NO_IMAGE = np.zeros((0, 0, 0), np.float32)
NO_LEVELS = np.zeros((0, 0, 0), np.int32)


class Engine:
    """A program compiled for this machine.

    backend    the name of a back end; None: that of QSIM_BACKEND, or the fastest
    threads    how many run it: images are shared out among them, and one image by its parts
    affinity   the cores that the threads are held to, in turn; None: any

    Not to be run by several callers at once. Raises QsimError naming the layer that cannot be
    compiled, or on a back end, threads or cores that cannot be had.
    """

    def __init__(
        self,
        program: Program,
        backend: str | None = None,
        *,
        threads: int = 1,
        affinity: Sequence[int] | None = None,
    ):
        try:
            self.choice = choose(backend)
        except ValueError as error:
            raise QsimError(str(error)) from None
        self.program = program
        self.plan = with_bits(lower(program, backend=self.backend))
        self._crew = Crew(threads, affinity)
        self._layout = layout(self.plan, self.backend)
        self._memories = [new_memory(self._layout, self.backend) for _ in range(threads)]

    @property
    def backend(self) -> str:
        """The name of the back end in use."""
        return self.choice.name

    @property
    def threads(self) -> int:
        """How many threads run it."""
        return self._crew.size

    @property
    def peak_activation_bytes(self) -> int:
        """What the tensors of one image take at most, in bytes, their borders included."""
        return self._layout.bytes + 4 * (self._layout.sums + self._layout.planes)

    def run(self, images: np.ndarray) -> np.ndarray:
        """The network's output for float32 ``images``, float64: what ``real`` makes of the output
        of ``execute``.

        Raises QsimError on images as ``execute`` does.
        """
        images = checked_images(self.program, images)
        shape = self.program.network.nodes[self.program.network.output].output_shape
        out, size = np.empty((len(images), *shape)), self.threads
        whole = len(images) - len(images) % size

        def share(number: int) -> None:
            memory = self._memories[number]
            for image in range(number, whole, size):
                self._compute(self.plan, self._layout, memory, images[image], alone())
                out[image] = self._result(memory)

        if whole:
            self._crew.run([lambda n=n: share(n) for n in range(size)])
        for image in range(whole, len(images)):
            out[image] = self._together(images[image])
        return out

    def tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The levels of every rounded tensor, int32 (images, ...), by name, on one thread.

        Raises as ``run`` does.
        """
        plan = with_bits(lower(self.program, every=True, backend=self.backend))
        made = layout(plan, self.backend, keep=True)
        memory, found = new_memory(made, self.backend), {name: [] for name in plan.named}
        for image in checked_images(self.program, images):
            self._compute(plan, made, memory, image, alone())
            for name, (buffer, shape) in plan.named.items():
                found[name].append(levels_of(made, memory, buffer).reshape(shape))
        return {name: np.stack(each) for name, each in found.items()}

    def _together(self, image: np.ndarray) -> np.ndarray:
        """The output of one image, whose every step all threads share."""
        size = 1 if config.DISABLE_JIT else self.threads  # plain Python has no barrier
        arrivals = np.zeros(1, np.int64)
        first = self._memories[0]

        def share(number: int) -> None:
            memory = with_scratch(first.data, first.words, first.planes, self.backend)
            team = Team(number, size, np.zeros(1, np.int64), arrivals)
            self._compute(self.plan, self._layout, memory, image, team)

        self._crew.run([lambda n=n: share(n) for n in range(size)])
        return self._result(first)

    def _compute(
        self, plan: Plan, made: Layout, memory: Memory, image: np.ndarray, team: Team
    ) -> None:
        number, scale = self.program.formats[INPUT], self.program.scales[INPUT]
        first, levels = plan.steps[0], NO_LEVELS
        shape = first.out.shape
        if first.exact is None:
            requantizer = self.program.arithmetic.requantizer
            levels = requantizer.levels_of_real(image, number, scale).reshape(shape)
            image = NO_IMAGE
        else:
            image = image.reshape(shape)
        run_program(
            Tag(self.backend), made.steps, made.constants, memory, image, levels, float(scale),
            team,
        )  # fmt: skip

    def _result(self, memory: Memory) -> np.ndarray:
        """The output of the image that was computed last."""
        output = real(sums_of(self._layout, memory, self.plan.result))
        return output.reshape(self.program.network.nodes[self.program.network.output].output_shape)
