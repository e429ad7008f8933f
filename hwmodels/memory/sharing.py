"""Which tensors share one buffer: views, and layers that overwrite what they read."""

from collections.abc import Callable, Mapping, Sequence

from hwmodels.memory.settings import Settings
from hwmodels.work import Step

MOVED_NOTHING = ("flatten", "reshape", "identity")
VIEWS_OF_FRAMEWORK = (*MOVED_NOTHING, "transpose", "slice")  # with strides of their own
BOUNDS = ("relu", "relu6", "hard_tanh", "clip", "leaky_relu")  # output or mask tells their slope
IN_PLACE = (*BOUNDS, "add", "scale")
VALUE_BY_VALUE = (*IN_PLACE, "batch_norm", "sigmoid", "tanh", "gelu", "silu", "hard_swish")


def readers_of(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """The steps that read each tensor, in order."""
    readers: dict[str, list[Step]] = {step.name: [] for step in steps}
    for step in steps:
        for name in dict.fromkeys(step.reads):
            readers[name].append(step)
    return readers


def is_view(step: Step, by_name: Mapping[str, Step], settings: Settings) -> bool:
    """Whether a step's tensor is the one that it reads, seen otherwise; not where it is rounded to
    other bits."""
    kinds = VIEWS_OF_FRAMEWORK if settings.framework else MOVED_NOTHING
    return step.kind in kinds and by_name[step.reads[0]].bits == step.bits


class Sharing:
    """Tensors grouped by the buffer that they share, while steps join them one after another."""

    def __init__(self, steps: Sequence[Step]):
        self.steps = {step.name: step for step in steps}
        self.root = {step.name: step.name for step in steps}
        self.members = {step.name: [step.name] for step in steps}

    def join(self, name: str, to: str) -> None:
        """Let the tensor ``name``, which shares with no other, be in the buffer of ``to``."""
        root = self.root[to]
        self.root[name] = root
        self.members[root] += self.members.pop(name)

    def image_bits(self, root: str) -> int:
        """Bits per image of a buffer: of its largest tensor."""
        return max(self.steps[name].values * self.steps[name].bits for name in self.members[root])

    def overwritten(self, step: Step, may_overwrite: Callable[[str], bool]) -> str | None:
        """The first tensor that ``step`` reads and may overwrite: as large, and nothing in its
        buffer is needed by others."""
        size = step.values * step.bits
        for name in step.reads:
            same = self.steps[name].values * self.steps[name].bits == size
            same = same and self.image_bits(self.root[name]) == size
            if same and all(may_overwrite(each) for each in self.members[self.root[name]]):
                return name
        return None
