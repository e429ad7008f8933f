"""Whole networks that ONNX Runtime's own quantizer made, run by it and computed with our kernels:
every quantized tensor as an output of the graph, and again the last one alone."""

import numpy as np
import pytest
from conformance.generators import WEIGHT_LIMIT
from conformance.peers import ONNX, ONNX_RUNTIME, RECORD, load
from conformance.quantized_graphs import Graph, run_graph
from conformance.quantized_networks import quantize_statically, quantized_tensors, with_outputs

SIDE = 32
HEADS = ["GlobalAveragePool", "ReduceMean", "AveragePool"]


class FloatNetwork:
    """A float network of seeded weights under construction."""

    def __init__(self, seed):
        self.random, self.graph = np.random.default_rng(seed), Graph()
        self.graph.input("image", np.float32, (1, 3, SIDE, SIDE))

    def conv(self, x, inside, outside, kernel, *, stride=1, groups=1):
        """A convolution and a bias."""
        shape = (outside, inside // groups, kernel, kernel)
        w = self.random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
        w *= np.exp(self.random.uniform(-1, 1, (outside, 1, 1, 1)))
        bias = self.random.standard_normal(outside) / 4
        constants = [self.graph.constant(each.astype(np.float32)) for each in (w, bias)]
        sides = {"pads": [kernel // 2] * 4, "strides": [stride] * 2, "kernel_shape": [kernel] * 2}
        return self.graph.node("Conv", x, *constants, group=groups, **sides)

    def relu6(self, x):
        """A clip to 0 .. 6."""
        ends = [self.graph.constant(np.float32(end)) for end in (0, 6)]
        return self.graph.node("Clip", x, *ends)

    def head(self, x, inside, side, pool, *, reshaped=False):
        """The mean over the image and a dense layer of five results; the float model."""
        arguments = {"AveragePool": {"kernel_shape": [side, side]}, "ReduceMean": {"keepdims": 1}}
        axes = [self.graph.constant(np.array([2, 3]))] if pool == "ReduceMean" else []
        pooled = self.graph.node(pool, x, *axes, **arguments.get(pool, {}))
        if reshaped:
            flat = self.graph.node("Reshape", pooled, self.graph.constant(np.array([1, -1])))
        else:
            flat = self.graph.node("Flatten", pooled)
        w = self.graph.constant(self.random.standard_normal((5, inside)).astype(np.float32))
        bias = self.graph.constant(self.random.standard_normal(5).astype(np.float32))
        self.graph.output(self.graph.node("Gemm", flat, w, bias, transB=1), np.float32)
        model = self.graph.model(opset=17 if pool == "AveragePool" else 18)
        del model.opset_import[1]  # a float model has no operators of the runtime's own
        return model


def residual(seed, pool):
    """As ResNet-18: a stem with a max pool, a block, and one that halves the image."""
    net = FloatNetwork(seed)
    x = net.graph.node("Relu", net.conv("image", 3, 8, 7, stride=2))
    sides = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = net.graph.node("MaxPool", x, **sides)
    y = net.graph.node("Relu", net.conv(x, 8, 8, 3))
    x = net.graph.node("Relu", net.graph.node("Add", net.conv(y, 8, 8, 3), x))
    y = net.graph.node("Relu", net.conv(x, 8, 16, 3, stride=2))
    short = net.conv(x, 8, 16, 1, stride=2)
    x = net.graph.node("Relu", net.graph.node("Add", net.conv(y, 16, 16, 3), short))
    return net.head(x, 16, 4, pool)


def inverted(seed, pool):
    """As MobileNet-v2: relu6, by depth, and an addition of what no relu follows."""
    net = FloatNetwork(seed)
    x = net.relu6(net.conv("image", 3, 8, 3, stride=2))
    x = net.relu6(net.conv(x, 8, 8, 3, groups=8))
    x = net.conv(x, 8, 6, 1)
    y = net.relu6(net.conv(x, 6, 24, 1))
    y = net.relu6(net.conv(y, 24, 24, 3, groups=24))
    x = net.graph.node("Add", x, net.conv(y, 24, 6, 1))
    y = net.relu6(net.conv(x, 6, 24, 1))
    y = net.relu6(net.conv(y, 24, 24, 3, stride=2, groups=24))
    x = net.relu6(net.conv(net.conv(y, 24, 10, 1), 10, 32, 1))
    return net.head(x, 32, 8, pool, reshaped=True)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("form", ["QDQ", "QOperator", "QOperator of int8"])
@pytest.mark.parametrize("network", [residual, inverted])
def test_every_quantized_tensor_is_exact(network, form, pool, seed):
    """With int8 activations in QDQ form the runtime computes some convolutions in float32."""
    if WEIGHT_LIMIT < 127:
        pytest.skip("without VNNI the runtime's products of large weights saturate")
    load(ONNX), load(ONNX_RUNTIME)
    random = np.random.default_rng(seed)
    images = random.standard_normal((5, 3, SIDE, SIDE)).astype(np.float32)
    kind = np.int8 if "int8" in form else np.uint8
    activations = "QInt8" if kind is np.int8 else "QUInt8"
    model = quantize_statically(network(seed, pool), images[:4], form.split()[0], activations)
    feeds = {"image": images[4:] * np.float32(1.1)}
    ours = quantized_tensors(model, feeds)
    assert len(ours) >= 13
    all_of_them, _ = run_graph(with_outputs(model, list(ours), kind), feeds)
    assert all_of_them.keys() == ours.keys()
    for name, theirs in all_of_them.items():
        subject = f"{network.__name__} network, {form}, {pool}"
        RECORD.compare(ONNX_RUNTIME, subject, ours[name], theirs)
    alone, _ = run_graph(model, feeds)
    for name, theirs in alone.items():
        RECORD.compare(ONNX_RUNTIME, f"{subject}, last tensor alone", ours[name], theirs)
