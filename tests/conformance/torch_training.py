"""A network as torch trains it, layer by layer, and the memory that it is seen to take."""

from collections import Counter

import numpy as np
from conformance.peers import TORCH, load

from hwmodels.memory.checkpointing import cuts, single_tensors
from hwmodels.memory.footprint import footprint
from hwmodels.memory.settings import Settings
from hwmodels.memory.training import segments_of, shared_buffers, training_schedule
from qsim.network.graph import INPUT
from qsim.network.layers import (
    Add,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    MatMul,
    Relu,
    Relu6,
    Softmax,
    border,
)
from qsim.network.layers import Concat as Concatenation
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import Embedding, Gelu, LayerNorm, LeakyRelu, Scale
from qsim.network.pools import AveragePool, MaxPool


class TorchNetwork:
    """A network with weights of its own.

    overwrites   by layer, the tensor that it reads and overwrites
    """

    def __init__(self, network, overwrites=None):
        self.torch = load(TORCH)
        self.network, self.overwrites = network, overwrites or {}
        generator = self.torch.Generator().manual_seed(0)
        self.parameters = {}
        self.statistics = {}
        for node in network.nodes.values():
            for key, shape in node.parameters.items():
                value = self.torch.rand(shape, generator=generator) * 0.1 + 0.01
                self.parameters[node.name, key] = value.requires_grad_()
            if isinstance(node.layer, BatchNorm):
                channels = node.parameters["weight"]
                self.statistics[node.name] = (
                    self.torch.zeros(channels), self.torch.ones(channels)
                )  # fmt: skip

    def __call__(self, x):
        return self.segment(INPUT, list(self.network.nodes), self.network.output)(x)

    def segment(self, read, names, made):
        """A function of the tensor ``read`` that computes some layers, and gives what one makes."""

        def compute(x):
            tensors = {read: x}
            readers = Counter(each for name in names for each in self.network.nodes[name].inputs)
            for name in names:
                node = self.network.nodes[name]
                tensors[name] = self.apply(node, [tensors[each] for each in node.inputs])
                for each in node.inputs:
                    readers[each] -= 1
                    if readers[each] == 0 and each not in (read, made):
                        tensors.pop(each, None)
            return tensors[made]

        return compute

    def apply(self, node, reads):
        """What one layer makes of what it reads."""
        nn, layer, x = self.torch.nn.functional, node.layer, reads[0]
        own = {key: value for (name, key), value in self.parameters.items() if name == node.name}
        weight, bias = own.get("weight"), own.get("bias")
        over = node.name in self.overwrites
        if isinstance(layer, Conv):
            sides = both_sides(layer.padding)
            return nn.conv2d(x, weight, bias, layer.stride, sides, layer.dilation, layer.groups)
        if isinstance(layer, Linear):
            return nn.linear(x, weight, bias)
        if isinstance(layer, BatchNorm):
            mean, variance = self.statistics[node.name]
            return nn.batch_norm(x, mean, variance, weight, bias, training=True)
        if isinstance(layer, LayerNorm):
            return nn.layer_norm(x, weight.shape, weight, bias)
        if isinstance(layer, Relu):
            return nn.relu(x, inplace=over)
        if isinstance(layer, Relu6):
            return nn.relu6(x, inplace=over)
        if isinstance(layer, Gelu):
            return nn.gelu(x)
        if isinstance(layer, Softmax):
            return nn.softmax(x, dim=-1)
        if isinstance(layer, Add):
            if not over:
                return x + reads[1]
            place = node.inputs.index(self.overwrites[node.name])
            return reads[place].add_(reads[1 - place])
        if isinstance(layer, LeakyRelu):
            return nn.leaky_relu(x, layer.slope, inplace=over)
        if isinstance(layer, Scale):
            return x * layer.factor
        if isinstance(layer, MatMul):
            return x @ (reads[1].transpose(-1, -2) if layer.transposed else reads[1])
        if isinstance(layer, MaxPool):
            return nn.max_pool2d(x, layer.kernel, layer.stride, both_sides(layer.padding))
        if isinstance(layer, AveragePool) and layer.kernel is None:
            return nn.avg_pool2d(x, x.shape[2:])
        if isinstance(layer, AveragePool):
            return nn.avg_pool2d(x, layer.kernel, layer.stride, both_sides(layer.padding))
        if isinstance(layer, Embedding):
            y = nn.embedding(x, weight)
            tokens = x.shape[1]
            learned = "positions" in own
            return y + own["positions"][:tokens] + own["types"][:1] if learned else y
        if isinstance(layer, Concatenation):
            return self.torch.cat(reads, dim=layer.axis + 1)
        if isinstance(layer, Upsample):
            return nn.interpolate(x, scale_factor=layer.factor, mode="nearest")
        if isinstance(layer, Flatten):
            return x.flatten(1)
        if isinstance(layer, Reshape):
            return x.reshape(len(x), *node.output_shape)
        if isinstance(layer, Transpose):
            return x.permute(0, *(axis + 1 for axis in layer.order))
        if isinstance(layer, Slice):
            step = layer.step
            places = self.torch.arange(x.shape[layer.axis + 1])[layer.start : layer.stop : step]
            return x.narrow(layer.axis + 1, int(places[0]), len(places))
        raise AssertionError(f"no torch for {layer}")


def both_sides(padding):
    """Padding of height and width, which must be alike on either side."""
    top, left, bottom, right = border(padding)
    assert (top, left) == (bottom, right)
    return top, left


def overwritten_tensors(steps, settings):
    """By layer, the tensor that the schedule lets it overwrite."""
    root = shared_buffers(steps, settings)
    return {
        step.name: read
        for step in steps
        for read in step.reads
        if step.kind in ("relu", "relu6", "leaky_relu", "add") and root[read] == root[step.name]
    }


def saved_bytes(network, settings, steps, batch, low_precision=False):
    """Bytes that torch holds for the backward pass after a forward pass, parameters apart. Then a
    backward pass runs, which fails where something that it needs was overwritten."""
    torch = load(TORCH)
    peer = TorchNetwork(network, overwritten_tensors(steps, settings))
    x = torch.rand(batch, *network.input_shape, generator=torch.Generator().manual_seed(1))
    if any(isinstance(node.layer, Embedding) for node in network.nodes.values()):
        x = x.int()
    own = {value.untyped_storage().data_ptr() for value in peer.parameters.values()}
    own |= {v.untyped_storage().data_ptr() for pair in peer.statistics.values() for v in pair}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
        peer(x)
    peer(x).sum().backward()  # without hooks torch looks whether what it held was overwritten
    missing = [key for key, value in peer.parameters.items() if value.grad is None]
    assert not missing
    return sum(storages.values())


def modelled_saved_bytes(steps, settings: Settings, batch):
    """Bytes of our buffers that live from the forward pass into the backward pass."""
    schedule = training_schedule(steps, settings)
    border = len(steps)
    return np.float64(
        sum(
            buffer.bytes_at(batch)
            for buffer in schedule.buffers
            if buffer.uses[0] < border <= buffer.uses[-1]
            and buffer.role in ("activations", "weights")
        )
    )


def allocated_at_most(network, steps, batch, checkpointing):
    """The most bytes that torch has allocated on a CPU during a step of training with momentum,
    above what there is before it: parameters, momentum and the images."""
    torch = load(TORCH)
    peer = TorchNetwork(network)
    optimizer = torch.optim.SGD(list(peer.parameters.values()), lr=1e-3, momentum=0.9)
    x = torch.rand(batch, *network.input_shape)
    forward = checkpointed(peer, steps, checkpointing)

    def train():
        forward(x).sum().backward()
        optimizer.step()

    train()
    optimizer.zero_grad(set_to_none=True)
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity], profile_memory=True) as profile:
        train()
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return np.cumsum([change for _, change in changes]).max()


def checkpointed(peer, steps, checkpointing):
    """The network, its segments but the last under ``torch.utils.checkpoint``."""
    again = load(TORCH, ".utils.checkpoint").checkpoint
    at = cuts(steps, checkpointing)
    segments = segments_of(steps, at)
    single = single_tensors(steps)
    borders = [INPUT, *(single[index] for index in at), peer.network.output]

    def forward(x):
        for number, segment in enumerate(segments):
            names = [steps[index].name for index in segment]
            compute = peer.segment(borders[number], names, borders[number + 1])
            is_last = number == len(segments) - 1
            x = compute(x) if is_last else again(compute, x, use_reentrant=False)
        return x

    return forward


def modelled_allocation(steps, batch, checkpointing):
    """The same of the model: what is alive at the peak, without weights, momentum and images."""
    cost = footprint(
        steps, phase="training", rule="framework", optimizer="momentum", batch=batch,
        checkpointing=checkpointing,
    )  # fmt: skip
    held = cost.activations_bytes + cost.gradients_bytes + cost.weight_gradients_bytes
    return float(held) - steps[0].values * 4 * batch
