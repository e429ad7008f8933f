"""Integer programs compiled for this machine: a network as one program, as fast as can be."""

from dataclasses import replace

import numpy as np

from qsim.engine.layout import Layout, layout
from qsim.engine.lower import lower
from qsim.engine.steps import Buffer, Plan
from qsim.errors import QsimError
from qsim.kernels.simd.barrier import alone
from qsim.kernels.simd.host import Choice, choose
from qsim.kernels.simd.layer_program import run_program
from qsim.kernels.simd.product import TILES, aligned
from qsim.kernels.simd.step_table import Memory
from qsim.kernels.simd.tag import Tag
from qsim.network.graph import INPUT
from qsim.program import Program
from qsim.values import real


class Engine:
    """A program compiled for this machine.

    backend    the name of a back end; None: the fastest

    Raises QsimError naming the layer that cannot be compiled, or on a back end that cannot run.
    """

    def __init__(self, program: Program, backend: str | None = None):
        try:
            self.choice: Choice = choose(backend)
        except ValueError as error:
            raise QsimError(str(error)) from None
        self.program, self.plan = program, lower(program)
        self._layout = layout(self.plan, self.backend)
        self._memory = self._new_memory(self._layout)

    @property
    def backend(self) -> str:
        """The name of the back end in use."""
        return self.choice.name

    @property
    def peak_activation_bytes(self) -> int:
        """What the tensors of one image take at most, in bytes, their borders included."""
        return self._layout.bytes + 4 * self._layout.sums

    def run(self, images: np.ndarray) -> np.ndarray:
        """The network's output, float64, as ``real`` of what ``execute`` computes."""
        images = np.ascontiguousarray(images, np.float32)
        results = [self._result(self._layout, self._memory, image) for image in images]
        return np.concatenate(results)

    def tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The levels of every rounded tensor, int32 (images, ...), by name."""
        plan = lower(self.program, every=True)
        made = layout(plan, self.backend, keep=True)
        memory, found = self._new_memory(made), {}
        for image in np.ascontiguousarray(images, np.float32):
            self._compute(plan, made, memory, image)
            for name, (buffer, shape) in plan.named.items():
                levels = _levels(made, memory, buffer).reshape(1, *shape)
                found.setdefault(name, []).append(levels)
        return {name: np.concatenate(each) for name, each in found.items()}

    def _new_memory(self, made: Layout) -> Memory:
        tile = TILES[self.backend]
        shape = (tile.rows, tile.columns)
        return Memory(
            aligned(np.zeros(made.bytes, np.uint8)),
            aligned(np.zeros(made.sums, np.int32)),
            aligned(np.zeros(shape, np.int32)),
            aligned(np.zeros(shape, np.int64)),
            aligned(np.zeros(shape, np.int32)),
            aligned(np.zeros(shape, np.int32)),
        )

    def _compute(self, plan: Plan, made: Layout, memory: Memory, image: np.ndarray) -> None:
        number, scale = self.program.formats[INPUT], self.program.scales[INPUT]
        first = plan.steps[0]
        levels = np.zeros((0, 0, 0), np.int32)
        shape = first.out.shape
        if first.exact is None:
            requantizer = self.program.arithmetic.requantizer
            levels = requantizer.levels_of_real(image, number, scale).reshape(shape)
            image = np.zeros((0, 0, 0), np.float32)
        else:
            image = image.reshape(shape)
        run_program(
            Tag(self.backend),
            made.steps,
            made.constants,
            memory,
            image,
            levels,
            float(scale),
            alone(),
        )

    def _result(self, made: Layout, memory: Memory, image: np.ndarray) -> np.ndarray:
        self._compute(self.plan, made, memory, image)
        pending = self.plan.result
        terms = tuple(
            (_integers(made, memory, term.source.source)[None], scale)
            for term, (_, scale) in zip(pending.terms, pending.sums.terms, strict=True)
        )
        name = self.program.network.output
        shape = self.program.network.nodes[name].output_shape
        return real(replace(pending.sums, terms=terms)).reshape(1, *shape)


def _integers(made: Layout, memory: Memory, buffer: Buffer) -> np.ndarray:
    if buffer.is_bytes:
        return _levels(made, memory, buffer).astype(np.int64)
    at = made.places[buffer]
    channels, height, width = buffer.shape
    sums = memory.words[at : at + buffer.size].reshape(height, width, channels)
    return sums.transpose(2, 0, 1).astype(np.int64)


def _levels(made: Layout, memory: Memory, buffer: Buffer) -> np.ndarray:
    """The levels of a tensor, int32 (channels, height, width)."""
    at = made.places[buffer]
    channels, height, width = buffer.shape
    top, left, _, _ = buffer.border
    whole = memory.data[at : at + buffer.size].reshape(*buffer.padded, channels)
    inner = whole[top : top + height, left : left + width]
    return inner.transpose(2, 0, 1).astype(np.int32) - buffer.zero
