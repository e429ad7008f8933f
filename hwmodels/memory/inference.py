"""The schedule of inference: a step goes on at once with what is not stored, buffers are reused."""

from collections.abc import Sequence
from dataclasses import replace

from hwmodels.memory.buffers import Schedule, buffer_of
from hwmodels.memory.kept import working_bits
from hwmodels.memory.settings import Settings
from hwmodels.memory.sharing import IN_PLACE, VALUE_BY_VALUE, Sharing, is_view, readers_of
from hwmodels.work import Step


def inference_schedule(steps: Sequence[Step], settings: Settings) -> Schedule:
    """The schedule of inference, one moment for each tensor that goes to memory: the steps that
    lead to it go on with one another's sums at once.

    Of sums that meet in an addition the last goes on at once; the earlier ones wait in memory, at
    the bits of the sum, as the table of work counts them.
    """
    kernels = _Kernels(working_bits(steps, settings), settings)
    uses: dict[str, set[int]] = {}
    for name, sink in kernels.sink.items():
        moment = kernels.moment[sink]
        for tensor in (sink, *kernels.reads_of_memory(name)):
            uses.setdefault(kernels.sharing.root[tensor], set()).add(moment)
    bits = kernels.sharing.image_bits
    buffers = [
        buffer_of(root, "activations", moments, image_bits=bits(root))
        for root, moments in uses.items()
    ]
    return Schedule(tuple(buffers), tuple(f"forward {name}" for name in kernels.moment))


class _Kernels:
    """The steps by the tensor in memory to which they lead.

    sink     that tensor, for each step
    moment   of each tensor in memory, when it is made
    """

    def __init__(self, steps: list[Step], settings: Settings):
        self.readers = readers_of(steps)
        order = {step.name: index for index, step in enumerate(steps)}
        stored = {step.name for step in steps if self._goes_to_memory(step, order)}
        self.sink: dict[str, str] = {}
        bits: dict[str, int] = {}
        for step in reversed(steps):
            after = self.readers[step.name]
            is_end = step.is_stored or len(after) != 1
            bits[step.name] = step.bits if is_end else bits[after[0].name]
            self.sink[step.name] = step.name if step.name in stored else self.sink[after[0].name]
        in_memory = [step for step in steps if step.name in stored]
        self.moment = {step.name: moment for moment, step in enumerate(in_memory)}
        self.steps = {s.name: replace(s, bits=bits[s.name]) for s in steps}
        self.sharing = Sharing(list(self.steps.values()))
        self.members: dict[str, list[str]] = {name: [] for name in self.moment}
        for step in steps:
            self.members[self.sink[step.name]].append(step.name)
        for name in self.moment:
            self._place(name, settings)

    def _goes_to_memory(self, step: Step, order: dict[str, int]) -> bool:
        """Whether a step's tensor is stored, or waits for one that its reader reads as well."""
        readers = self.readers[step.name]
        if step.is_stored or len(readers) != 1:
            return True
        return any(order[other] > order[step.name] for other in readers[0].reads)

    def reads_of_memory(self, name: str) -> list[str]:
        """The tensors that a step reads from memory."""
        return [each for each in self.steps[name].reads if self.sink[each] == each]

    def _place(self, name: str, settings: Settings) -> None:
        step, members = self.steps[name], self.members[name]
        if members == [name] and is_view(step, self.steps, settings):
            self.sharing.join(name, step.reads[0])
            return
        if not settings.in_place:
            return
        for member in members:
            if self.steps[member].kind in IN_PLACE and self._is_value_by_value(member):
                over = self.sharing.overwritten(
                    replace(step, reads=tuple(self.reads_of_memory(member))),
                    lambda tensor, member=member: self._is_free(tensor, member, name),
                )
                if over is not None:
                    self.sharing.join(name, over)
                    return

    def _is_value_by_value(self, member: str) -> bool:
        """Whether a value of the tensor in memory needs one value of what the step reads."""
        while member != self.sink[member]:
            member = self.readers[member][0].name
            if self.steps[member].kind not in VALUE_BY_VALUE:
                return False
        return True

    def _is_free(self, tensor: str, member: str, sink: str) -> bool:
        """Whether nothing but one step, on the way to ``sink``, reads a tensor from there on."""
        if self.steps[tensor].kind == "input":
            return False
        others = [reader.name for reader in self.readers[tensor] if reader.name != member]
        return all(self.moment[self.sink[other]] < self.moment[sink] for other in others)
