"""Memory of a training step and of inference, the obvious way: a program of steps is written out,
each with the objects that it touches, and an object lives while anything touches it."""

from fractions import Fraction
from itertools import pairwise

VIEWS = ("flatten", "reshape", "identity")
OVERWRITE = ("relu", "relu6", "hard_tanh", "clip", "leaky_relu", "add", "scale")
LOCAL = (*OVERWRITE, "batch_norm", "sigmoid", "tanh", "gelu", "silu", "hard_swish")


class Thing:
    """A piece of memory: bits for each image, and fixed."""

    def __init__(self, role, image=0, fixed=0):
        self.role, self.image, self.fixed = role, image, fixed


def alive(program):
    """At each line of a program (sets of things), what was touched before and will be after."""
    result = []
    for at in range(len(program)):
        before = set().union(*program[: at + 1])
        after = set().union(*program[at:])
        result.append(before & after)
    return result


def sizes(things, batch):
    """Bytes by role."""
    total = {}
    for thing in things:
        bits = thing.image * batch + thing.fixed
        total[thing.role] = total.get(thing.role, 0) + Fraction(bits, 8)
    return total


def keeps(kind, over, framework, mask):
    """(inputs, output, values, bits, bits for each parameter)"""
    if kind in ("relu", "relu6", "hard_tanh", "clip", "leaky_relu"):
        if mask:
            return False, False, 0, 1, 0
        if framework and over and kind != "relu" and kind != "leaky_relu":
            return False, False, 1, 0, 0
        if framework and kind != "relu" and not over:
            return True, False, 0, 0, 0
        return False, True, 0, 0, 0
    if kind == "max_pool":
        return framework, False, 0, 64 if framework else 8, 0
    if kind == "average_pool":
        return framework, False, 0, 0, 0
    if kind == "batch_norm":
        return True, False, 0, 0, 32
    if kind == "softmax":
        return False, True, 0, 0, 0
    if kind == "lstm":
        return True, True, 5, 0, 0
    inputs = kind in ("conv", "linear", "embedding", "multiply", "gelu", "layer_norm")
    return inputs, False, 0, 0, 0


class Training:
    """A training step written out line by line in ``self.program``."""

    def __init__(self, steps, cuts=(), framework=False, in_place=False, mask=False, compute=32,
                 gradient=32, weight_gradients="backward", weight_gradient=32):  # fmt: skip
        self.steps, self.framework, self.compute = steps, framework, compute
        self.in_place, self.mask, self.gradient = in_place, mask, gradient
        self.bits = self.find_bits()
        self.trained = set()
        for s in steps:
            if s.parameters or self.trained & set(s.reads):
                self.trained.add(s.name)
        starts = [0, *cuts, len(steps)]
        self.parts = [[s for s in steps[a:b] if s.kind != "input"] for a, b in pairwise(starts)]
        self.part_of = {s.name: number for number, part in enumerate(self.parts) for s in part}
        self.over = {}
        for index, s in enumerate(steps):
            self.over[s.name] = self.find_overwritten(index, s)
        self.program = []
        self.weight_things = {
            s.name: Thing("weight gradients", fixed=weight_gradient * s.parameters)
            for s in steps
            if s.parameters and weight_gradients != "none"
        }
        self.casts = {
            s.name: Thing("weights", fixed=compute * s.weights)
            for s in steps
            if s.weights and compute < 32
        }
        self.run()
        if weight_gradients != "none":
            self.program.append(set(self.weight_things.values()))
        if weight_gradients == "always":
            self.program[0] |= set(self.weight_things.values())

    def find_bits(self):
        bits = {}
        for s in self.steps:
            if not self.framework:
                bits[s.name] = s.bits
            elif s.kind in ("conv", "linear", "matmul", "lstm", "gru"):
                bits[s.name] = self.compute
            elif s.kind in ("input", "embedding", "softmax", "layer_norm"):
                bits[s.name] = 32
            else:
                bits[s.name] = max(bits[r] for r in s.reads)
        return bits

    def cast(self, s, r):
        """Bits of the copy that a step makes of what it reads; None where it makes none."""
        if not self.framework:
            return None
        to = None
        if s.kind in ("conv", "linear", "matmul", "lstm", "gru"):
            to = self.compute
        if s.kind in ("softmax", "layer_norm", "local_response_norm"):
            to = 32
        return to if to != self.bits[r] else None

    def is_view(self, s):
        kinds = (*VIEWS, "transpose", "slice") if self.framework else VIEWS
        return s.kind in kinds and self.bits[s.reads[0]] == self.bits[s.name]

    def same_memory(self, name):
        """All tensors so far in the memory of a tensor."""
        together = {name}
        while True:
            more = set(together)
            for s in self.steps:
                if s.name in self.over and (self.is_view(s) or self.over[s.name]):
                    source = s.reads[0] if self.is_view(s) else self.over[s.name]
                    if s.name in together or source in together:
                        more |= {s.name, source}
            if more == together:
                return together
            together = more

    def find_overwritten(self, index, s):
        if not self.in_place or s.kind not in OVERWRITE or self.is_view(s):
            return None
        by = {t.name: t for t in self.steps}
        size = s.values * self.bits[s.name]
        for r in s.reads:
            group = self.same_memory(r)
            biggest = max(by[g].values * self.bits[g] for g in group)
            if not by[r].values * self.bits[r] == biggest == size:
                continue
            if not any(self.wanted(by[g], index, s) for g in group):
                return r
        return None

    def wanted(self, tensor, index, s):
        if tensor.kind == "input" or self.part_of[tensor.name] != self.part_of[s.name]:
            return True
        made = keeps(tensor.kind, self.over[tensor.name], self.framework, self.mask)
        if made[1] and tensor.name in self.trained:
            return True
        for at, t in enumerate(self.steps):
            if tensor.name in t.reads and t.name != s.name:
                if at > index:
                    return True
                inputs = keeps(t.kind, self.over[t.name], self.framework, self.mask)[0]
                if inputs and t.name in self.trained and self.cast(t, tensor.name) is None:
                    return True
        return False

    def compute_step(self, s, memory, notes):
        """One line: what the step reads and makes; ``notes`` gets what it keeps."""
        read = {memory[r] for r in s.reads}
        if self.is_view(s):
            made = memory[s.reads[0]]
        elif self.over[s.name]:
            made = memory[self.over[s.name]]
        else:
            made = Thing("activations")
        made.image = max(made.image, s.values * self.bits[s.name])
        memory[s.name] = made
        line = read | {made}
        if notes is not None and s.name in self.trained:
            inputs, output, values, bits, fixed = keeps(
                s.kind, self.over[s.name], self.framework, self.mask
            )
            extra = Thing("activations", s.values * (values * self.bits[s.name] + bits),
                          s.parameters * fixed)  # fmt: skip
            if s.kind == "layer_norm" and s.parameters:
                extra.image += 64 * (s.values // (s.parameters // 2))
            kept = {made} if output else set()
            if inputs:
                for r in set(s.reads):
                    if self.cast(s, r) is None:
                        kept.add(memory[r])
                    else:
                        values_of = {t.name: t.values for t in self.steps}
                        extra.image += values_of[r] * self.cast(s, r)
            notes[s.name] = kept | {extra}
            line = line | {extra}
        return line

    def run(self):
        memory, notes, last = {}, {}, len(self.parts) - 1
        for s in self.steps:
            kept = notes if s.kind != "input" and self.part_of[s.name] == last else None
            line = self.compute_step(s, memory, kept)
            self.program.append(line | ({self.casts[s.name]} if s.name in self.casts else set()))
        slopes = {}
        for number in range(last, -1, -1):
            if number < last:
                inside = dict(memory)
                for s in self.parts[number]:
                    self.program.append(self.compute_step(s, inside, notes))
            for s in reversed(self.parts[number]):
                self.program.append(self.differentiate(s, slopes, notes))

    def differentiate(self, s, slopes, notes):
        if s.name not in self.trained:
            return set()
        line = set(notes[s.name])
        if s.name not in slopes:
            slopes[s.name] = Thing("gradients", self.slope_bits(s))
        line.add(slopes[s.name])
        for r in s.reads:
            if r not in self.trained:
                continue
            t = next(t for t in self.steps if t.name == r)
            if r not in slopes:
                times = sum(u.reads.count(r) for u in self.steps)
                same = t.values == s.values and self.slope_bits(t) == self.slope_bits(s)
                through = s.kind == "add" or self.is_view(s)
                passed = times == 1 and same and through
                slopes[r] = slopes[s.name] if passed else Thing("gradients", self.slope_bits(t))
            line.add(slopes[r])
        if s.name in self.casts:
            line.add(self.casts[s.name])
        if s.name in self.weight_things:
            line.add(self.weight_things[s.name])
        return line

    def slope_bits(self, s):
        return s.values * (self.bits[s.name] if self.framework else self.gradient)


def inference(steps, in_place=False):
    """The program of inference: one line for each tensor that goes to memory."""
    readers = {s.name: [t for t in steps if s.name in t.reads] for s in steps}
    order = [s.name for s in steps]
    by = {s.name: s for s in steps}

    def goes_to_memory(s):
        if s.is_stored or len(readers[s.name]) != 1:
            return True
        return any(order.index(r) > order.index(s.name) for r in readers[s.name][0].reads)

    def bits(s):
        if s.is_stored or len(readers[s.name]) != 1:
            return s.bits
        return bits(readers[s.name][0])

    def end(s):
        return s.name if goes_to_memory(s) else end(readers[s.name][0])

    things, program, tensors_in = {}, [], {}
    for s in steps:
        if not goes_to_memory(s):
            continue
        part = [t for t in steps if end(t) == s.name]
        size = s.values * bits(s)
        read = {r for t in part for r in t.reads if r in things}
        thing = None
        if len(part) == 1 and s.kind in VIEWS and bits(by[s.reads[0]]) == bits(s):
            thing = things[s.reads[0]]
        elif in_place:
            thing = overwritten(s, part, size, things, tensors_in, readers, by, order, end, bits)
        thing = thing or Thing("activations")
        thing.image = max(thing.image, size)
        things[s.name] = thing
        tensors_in.setdefault(thing, []).append(s.name)
        program.append({things[r] for r in read} | {thing})
    return program


def overwritten(s, part, size, things, tensors_in, readers, by, order, end, bits):
    for t in part:
        way, here = [], t
        while here.name != s.name:
            here = readers[here.name][0]
            way.append(here.kind)
        if t.kind not in OVERWRITE or not all(kind in LOCAL for kind in way):
            continue
        for r in t.reads:
            if r not in things or by[r].values * bits(by[r]) != size or things[r].image != size:
                continue
            others = [u for n in tensors_in[things[r]] for u in readers[n] if u.name != t.name]
            late = [u for u in others if order.index(end(u)) >= order.index(s.name)]
            if not late and all(by[n].kind != "input" for n in tensors_in[things[r]]):
                return things[r]
    return None
