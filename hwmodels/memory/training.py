"""The schedule of one training step: forward, backward, and what is computed again between.

Each step keeps what its derivative needs (``kept``). Going backward it reads the gradient of its
tensor and what was kept, and makes the gradients of what it read: one buffer for each tensor, into
which later readers add. Steps of a checkpointed segment keep nothing when they are first computed;
tensors that cross its end stay, and the segment is computed again before its backward pass.
"""

from collections.abc import Sequence
from itertools import pairwise

from hwmodels.memory.buffers import Buffer, Schedule, buffer_of
from hwmodels.memory.kept import Keeps, cast_bits, keeps, requires_gradient, working_bits
from hwmodels.memory.settings import Settings
from hwmodels.memory.sharing import IN_PLACE, Sharing, is_view, readers_of
from hwmodels.work import Step

OUTSIDE = -1  # the segment of the network's input, which is never computed again


def training_schedule(
    steps: Sequence[Step], settings: Settings, cuts: Sequence[int] = ()
) -> Schedule:
    """The schedule of a training step.

    cuts   indices of the steps at which a new segment begins; all segments but the last are
           computed again, and without cuts none is

    Raises InputError on a kind of layer of which it is not known what it keeps.
    """
    plan = _Plan(working_bits(steps, settings), settings, cuts)
    buffers = plan.tensors() + plan.kept() + plan.gradients() + plan.weight_gradients()
    return Schedule(tuple(buffers), tuple(plan.moments))


def shared_buffers(
    steps: Sequence[Step], settings: Settings, cuts: Sequence[int] = ()
) -> dict[str, str]:
    """In whose buffer each tensor of a training step lies, by the buffer's first tensor: its own,
    or that of a tensor that it views or overwrites."""
    return _Plan(working_bits(steps, settings), settings, cuts).sharing.root


def segments_of(steps: Sequence[Step], cuts: Sequence[int]) -> list[list[int]]:
    """The indices of the steps of each segment, without the network's input."""
    bounds = [0, *cuts, len(steps)]
    parts = [range(*pair) for pair in pairwise(bounds)]
    return [[index for index in part if steps[index].kind != "input"] for part in parts]


class _Plan:
    """Where in time each step is computed, computed again and differentiated."""

    def __init__(self, steps: list[Step], settings: Settings, cuts: Sequence[int]):
        self.steps, self.settings = steps, settings
        self.by_name = {step.name: step for step in steps}
        self.readers = readers_of(steps)
        self.needed = requires_gradient(steps)
        segments = segments_of(steps, cuts)
        self.last = len(segments) - 1
        self.segment = {step.name: OUTSIDE for step in steps}
        for number, segment in enumerate(segments):
            self.segment |= {steps[index].name: number for index in segment}
        self._lay_out(segments)
        self.keeps: dict[str, Keeps] = {}
        self.sharing = Sharing(steps)
        for index, step in enumerate(steps):
            self._place(index, step)

    def _lay_out(self, segments: list[list[int]]) -> None:
        """Number the moments: forward, then segment by segment from the last."""
        self.moments = [f"forward {step.name}" for step in self.steps]
        self.forward = {step.name: moment for moment, step in enumerate(self.steps)}
        self.again: dict[str, int] = {}
        self.backward: dict[str, int] = {}
        for number in range(self.last, -1, -1):
            names = [self.steps[index].name for index in segments[number]]
            if number < self.last:
                self._append("again", names, self.again)
            self._append("backward", names[::-1], self.backward)

    def _append(self, what: str, names: list[str], moments: dict[str, int]) -> None:
        for name in names:
            moments[name] = len(self.moments)
            self.moments.append(f"{what} {name}")

    def _place(self, index: int, step: Step) -> None:
        """Decide whether the step's tensor shares a buffer, and so what it keeps."""
        name = step.name
        if is_view(step, self.by_name, self.settings):
            self.sharing.join(name, step.reads[0])
            self.keeps[name] = keeps(step, self.settings, in_place=False)
            return
        over = None
        if self.settings.in_place and step.kind in IN_PLACE:
            over = self.sharing.overwritten(step, lambda each: self._is_free(each, index))
        self.keeps[name] = keeps(step, self.settings, in_place=over is not None)
        if over is not None:
            self.sharing.join(name, over)

    def _is_free(self, tensor: str, index: int) -> bool:
        """Whether only the step at ``index`` needs a tensor from there on."""
        step, maker = self.steps[index], self.by_name[tensor]
        if maker.kind == "input" or self.segment[tensor] != self.segment[step.name]:
            return False
        if self.keeps[tensor].output and self.needed[tensor]:
            return False
        others = [reader for reader in self.readers[tensor] if reader is not step]
        later = any(self.forward[reader.name] > index for reader in others)
        return not later and not any(tensor in self._kept_inputs(reader) for reader in others)

    def _kept_inputs(self, step: Step) -> list[str]:
        """The tensors that a step reads and keeps as they are."""
        if not (self.keeps[step.name].inputs and self.needed[step.name]):
            return []
        return [name for name in dict.fromkeys(step.reads) if not self._is_cast(step, name)]

    def _is_cast(self, step: Step, read: str) -> bool:
        return cast_bits(step, self.settings) not in (None, self.by_name[read].bits)

    def _starts_again(self, name: str) -> bool:
        return OUTSIDE < self.segment[name] < self.last

    def _kept_from(self, name: str) -> int:
        return self.again[name] if self._starts_again(name) else self.forward[name]

    def tensors(self) -> list[Buffer]:
        """Buffers of the tensors: as first computed, and as computed again."""
        uses: dict[tuple[str, bool], set[int]] = {}

        def use(tensor: str, moment: int, by: str, *, first: bool = False) -> None:
            root = self.sharing.root[tensor]
            inside = self.segment[root] == self.segment[by] and self._starts_again(by)
            uses.setdefault((root, inside and not first), set()).add(moment)

        for step in self.steps:
            name = step.name
            for each in (name, *step.reads):
                use(each, self.forward[name], name, first=True)
                if name in self.again:
                    use(each, self.again[name], name)
            if name in self.backward:
                own = [name] if self.keeps[name].output and self.needed[name] else []
                for each in own + self._kept_inputs(step):
                    use(each, self.backward[name], name)
        return [
            buffer_of(root, "activations", at, image_bits=self.sharing.image_bits(root))
            for (root, _), at in uses.items()
        ]

    def kept(self) -> list[Buffer]:
        """Buffers of what steps keep besides tensors: indices, masks, statistics, copies."""
        buffers = []
        for step in self.steps:
            name, keeps = step.name, self.keeps[step.name]
            if not self.needed[name]:
                continue
            uses = (self._kept_from(name), self.backward[name])
            image_bits = keeps.image_bits(step)
            if keeps.inputs:
                casts = [each for each in dict.fromkeys(step.reads) if self._is_cast(step, each)]
                bits = cast_bits(step, self.settings) or 0
                image_bits += sum(self.by_name[each].values * bits for each in casts)
            fixed = step.parameters * keeps.parameter_bits
            if image_bits or fixed:
                buffer = buffer_of(
                    f"{name} (kept)", "activations", uses, image_bits=image_bits, bits=fixed
                )
                buffers.append(buffer)
            if self.settings.compute_bits < 32 and step.weights:
                copy = step.weights * self.settings.compute_bits
                uses = (self.forward[name], self.backward[name])
                buffers.append(buffer_of(f"{name} (weights cast)", "weights", uses, bits=copy))
        return buffers

    def gradients(self) -> list[Buffer]:
        """Buffers of the gradients of tensors: made by the last reader, read by the maker."""
        root = {name: name for name, needed in self.needed.items() if needed}
        for step in reversed(self.steps):
            for read in step.reads if step.name in root else ():
                if read in root and self._passes_on(step, read):
                    root[read] = root[step.name]
        uses: dict[str, set[int]] = {}
        for name in root:
            made = {self.backward[reader.name] for reader in self.readers[name]}
            uses.setdefault(root[name], set()).update(made | {self.backward[name]})
        return [
            buffer_of(f"gradient of {name}", "gradients", moments, image_bits=self._slope(name))
            for name, moments in uses.items()
        ]

    def _passes_on(self, step: Step, read: str) -> bool:
        """Whether the gradient of a step's tensor is that of one that it reads."""
        alone = len(self.readers[read]) == 1 and step.reads.count(read) == 1
        same = self.by_name[read].values == step.values and self._slope(read) == self._slope(
            step.name
        )
        return alone and same and (step.kind == "add" or is_view(step, self.by_name, self.settings))

    def _slope(self, name: str) -> int:
        step = self.by_name[name]
        bits = step.bits if self.settings.framework else self.settings.gradient_bits
        return step.values * bits

    def weight_gradients(self) -> list[Buffer]:
        """Buffers of the gradients of parameters, until all are applied at the end; held always,
        they are set to zero at the beginning."""
        if self.settings.weight_gradients == "none":
            return []
        zeroed = (0,) if self.settings.weight_gradients == "always" else ()
        self.moments.append("update")
        return [
            buffer_of(
                f"gradient of {step.name}'s parameters",
                "weight gradients",
                (*zeroed, self.backward[step.name], len(self.moments) - 1),
                bits=step.parameters * self.settings.weight_gradient_bits,
            )
            for step in self.steps
            if step.parameters
        ]
