"""Products of few bits by counting them, between tensors that are planes of bits where they can be.

A tensor is made in planes where its step compares sums with one or three thresholds, and otherwise
packed into them after it was made; it is unpacked where something reads it as bytes.
"""

from dataclasses import replace

import numpy as np

from qsim.engine.steps import (
    Buffer,
    CountBits,
    MakeTensor,
    PackBits,
    Plan,
    PoolLargest,
    Product,
    Read,
    Step,
    UnpackBits,
    reads,
)
from qsim.kernels.simd import step_table as codes

MOST_BITS_OUT = 2  # of a level that thresholds make
ALWAYS, NEVER = -(2**40), 2**40  # thresholds that every sum of 32 bits reaches, or none


def with_bits(plan: Plan) -> Plan:
    """The plan with the products whose ``codes`` are known made by counting bits."""
    return _Bits(plan).plan()


class _Bits:
    """Which tensors are wanted in which form, and the new steps so far."""

    def __init__(self, old: Plan):
        self.old, self.steps = old, []
        self.makers = {step.out: step for step in old.steps}
        self.in_bytes = {term.source.source for term in old.result.terms}
        self.in_planes: dict[Buffer, Buffer] = {}  # the same tensors in planes

    def plan(self) -> Plan:
        for step in reversed(self.old.steps):
            self._note(step)
        for step in self.old.steps:
            self._put(step)
            self._convert(step)
        made = {step.out for step in self.steps}
        named = {
            name: (buffer if buffer in made else self.in_planes.get(buffer, buffer), shape)
            for name, (buffer, shape) in self.old.named.items()
        }
        return Plan(self.steps, named, self.old.result)

    def _note(self, step: Step) -> None:
        """What a step reads, its readers being known."""
        if _is_counted(step):
            self._want_planes(step.source.source)
            self.in_bytes.update(reads(step)[1:])
        elif self._pools_planes(step):
            self._want_planes(step.source)
        else:
            self.in_bytes.update(reads(step))

    def _want_planes(self, buffer: Buffer) -> None:
        if buffer not in self.in_planes:
            self.in_planes[buffer] = replace(buffer, planes=True)

    def _pools_planes(self, step: Step) -> bool:
        """Whether all that read the result of a pool want signs, and its input is made as such."""
        if not isinstance(step, PoolLargest) or step.out not in self.in_planes:
            return False
        maker = self.makers[step.source]
        made = _is_fused(maker) or self._pools_planes(maker)
        return made and step.out not in self.in_bytes and step.out.code.bits == 1

    def _put(self, step: Step) -> None:
        if _is_counted(step):
            self._count(step)
        elif self._pools_planes(step):
            out, source = self.in_planes[step.out], self.in_planes[step.source]
            self.steps.append(PoolLargest(out, source, step.layer))
        else:
            self.steps.append(step)

    def _convert(self, step: Step) -> None:
        """A tensor, the last of its parts being made, also in the other form if it is wanted."""
        planes = self.in_planes.get(step.out)
        if planes is None or self.makers[step.out] is not step:
            return
        if self.steps[-1].out is step.out:
            self.steps.append(PackBits(planes, step.out))
        elif step.out in self.in_bytes:
            self.steps.append(UnpackBits(step.out, planes))

    def _count(self, step: MakeTensor) -> None:
        """A product by counting bits, and what is left to do when its sums are known."""
        product = step.source
        source = self.in_planes[product.source]
        if _is_fused(step):
            self._want_planes(step.out)
            planes = self.in_planes[step.out]
            self.steps.append(CountBits(planes, source, product, _thresholds(step)))
        elif step.epilogue is None:
            self.steps.append(CountBits(step.out, source, product, None))
        else:
            sums = Buffer(product.shape, None)
            self.steps.append(CountBits(sums, source, product, None))
            self.steps.append(replace(step, source=Read(sums, product.largest)))


def _is_counted(step: Step) -> bool:
    """Whether a step makes products of few bits."""
    if not isinstance(step, MakeTensor) or not isinstance(step.source, Product):
        return False
    return step.source.codes is not None and step.out.shape == step.source.shape


def _is_fused(step: Step) -> bool:
    """Whether it also compares their sums with thresholds, and does no more."""
    if not _is_counted(step) or step.epilogue is None or step.epilogue.mode != codes.THRESHOLDS:
        return False
    is_small = step.out.code is not None and step.out.code.bits <= MOST_BITS_OUT
    return is_small and step.other is None and step.addition is None


def _thresholds(step: MakeTensor) -> np.ndarray:
    """The least sums that reach each code but the first, int64 (channels, 1 or 3): those of the
    least of the step's levels that is as large."""
    thresholds, grid = step.epilogue.thresholds
    ends = np.full((len(thresholds), 1), ALWAYS), np.full((len(thresholds), 1), NEVER)
    by_level = np.concatenate([ends[0], thresholds, ends[1]], axis=1)
    code = step.out.code
    wanted = code.step * np.arange(1, 2**code.bits) + code.offset
    return by_level[:, np.searchsorted(grid, wanted)]
