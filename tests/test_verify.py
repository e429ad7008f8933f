"""The check must notice whatever the run could get wrong: each fault here is put into the run."""

from dataclasses import replace

import numpy as np
import pytest
from programs import EVERYTHING, program_for, residual_network

from qsim import execute as run
from qsim.execute import execute
from qsim.network.graph import INPUT, Network
from qsim.network.layers import Conv, Flatten, Linear, Softmax
from qsim.program import Program
from qsim.values import Levels, Step, Sums
from qsim.verify import count_checked, onnx_runtime, tables

FORMATS = [
    {"fixed": {"bits": 4}},
    {"sp2": {"bits": 4}},
    {"msq": {"bits": 4, "fixed_to_sp2": "1:1.5"}},
]


def differences(program, steps):
    return count_checked(program, steps, EVERYTHING)[1]


def spoiled(value):
    """The tensor with its last integer off by one."""

    def off(levels):
        changed = levels.copy()
        changed.flat[-1] += 1
        return changed

    if isinstance(value, Levels):
        return Levels(off(value.levels), value.scale)
    (levels, scale), *rest = value.terms
    return replace(value, terms=((off(levels), scale), *rest))


@pytest.mark.parametrize("weights", FORMATS, ids=str)
@pytest.mark.parametrize("requantize", ["onnx", "shift", "onnxruntime"])
@pytest.mark.parametrize(
    "name", ["input", "stem", "pool", "relu1", "add", "relu2", "mean", "flat", "fc"]
)
def test_one_wrong_integer_is_noticed(weights, requantize, name):
    activations = {"affine": {"bits": 8}} if requantize == "onnxruntime" else 4
    program, images = program_for(
        residual_network(), weights, activations=activations, requantize=requantize
    )
    steps = execute(program, images)
    step = steps[name]
    same = step.unrounded is step.value
    unrounded = spoiled(step.unrounded) if same else step.unrounded
    steps[name] = Step(unrounded, unrounded if same else spoiled(step.value))
    assert any(f"layer {name!r}" in sentence for sentence in differences(program, steps))


def test_a_forgotten_relu_of_a_sum_is_noticed(monkeypatch):
    program, images = program_for(residual_network(), FORMATS[0])
    monkeypatch.setattr(run, "_relu", lambda x: x)
    assert any("'relu2'" in sentence for sentence in differences(program, execute(program, images)))


def test_a_wrong_scale_is_noticed(monkeypatch):
    program, images = program_for(residual_network(), FORMATS[0])
    right = Program.accumulator_scales
    monkeypatch.setattr(
        Program, "accumulator_scales", lambda self, node: [2 * s for s in right(self, node)]
    )
    assert any("'stem'" in sentence for sentence in differences(program, execute(program, images)))


def test_a_wrong_bias_is_noticed():
    program, images = program_for(residual_network(), FORMATS[0])
    none = {name: np.zeros_like(bias) for name, bias in program.biases.items()}
    spoilt = replace(program, biases=none)
    assert any("'stem'" in sentence for sentence in differences(spoilt, execute(spoilt, images)))


def test_scales_that_a_flatten_mixes_up_are_noticed(monkeypatch):
    layers = (
        Conv(name="conv", out_channels=3, kernel=1),
        Flatten(name="flat"),
        Linear(name="fc", out_features=2),
    )
    signed = {"fc": {"activations": {"fixed": {"bits": 4}}}}
    network = Network("n", (2, 3, 3), layers)
    program, images = program_for(network, FORMATS[0], layers=signed)
    assert differences(program, execute(program, images)) == []
    flatten = run._flatten

    def mixed_up(x):
        [(levels, scale)] = flatten(x).terms
        return replace(x, terms=((levels, np.roll(scale, 1)),))

    monkeypatch.setattr(run, "_flatten", mixed_up)
    assert any("'flat'" in sentence for sentence in differences(program, execute(program, images)))


def test_a_wrong_rounding_of_a_float_layer_is_noticed():
    layers = {"conv1": {"weights": "float"}}
    program, images = program_for(residual_network(), FORMATS[0], layers=layers)
    steps = execute(program, images)
    assert differences(program, steps) == []
    zeros = Levels(np.zeros_like(steps["relu1"].value.levels), steps["relu1"].value.scale)
    steps["relu1"] = Step(steps["relu1"].unrounded, zeros)
    assert any("'relu1'" in sentence for sentence in differences(program, steps))


def test_sums_beyond_float64_are_rounded_to_float32_once():
    layers = (Conv(name="a", out_channels=1, kernel=1), Conv(name="b", out_channels=1, kernel=1))
    network = Network("n", (1, 1, 1), layers)
    program, images = program_for(network, FORMATS[0], signed=True)
    steps = execute(program, images[:1])
    scale = np.full(1, program.scales["a"] * np.float32(2.0**-55), np.float32)
    total = 2**54 + 2**30 + 1  # just above half a level; float64 would make it a half
    sums = Sums(((np.full((1, 1, 1, 1), total), scale),))
    rounded = Levels(np.ones((1, 1, 1, 1), np.int32), program.scales["a"])
    steps["a"] = Step(sums, rounded)
    found = [sentence for sentence in differences(program, steps) if "'a'" in sentence]
    assert len(found) == 1  # the sum that was put in, and not its rounding


def test_as_many_values_are_sampled_as_asked_for():
    program, images = program_for(residual_network(), FORMATS[0])
    steps = execute(program, images)
    layers, rounded = len(program.network.nodes), sum(map(program.rounds, program.formats))
    assert count_checked(program, steps, 1)[0] == layers + rounded
    assert INPUT in program.formats
    assert count_checked(program, steps, 2)[0] == 2 * (layers + rounded)


def test_a_long_softmax_row_is_checked_with_one_exponential_for_each_distance(monkeypatch):
    asked = []
    exponential = tables._exp
    monkeypatch.setattr(tables, "_exp", lambda x: asked.append(x) or exponential(x))
    row = list(range(-20, 21)) * 100
    layer = Softmax(name="s", bits=12)
    got = [tables.softmax_value(layer, row, place, -20, 20, 0.317) for place in range(41)]
    assert len(asked) == 41
    shares = np.exp(0.317 * np.arange(-20, 21)) / np.exp(0.317 * np.array(row)).sum()
    np.testing.assert_allclose(got, shares * 2**12, atol=0.51)


def test_a_long_softmax_row_is_read_a_few_times_as_a_runtime_has_it():
    class Row(list):
        passes = 0

        def __iter__(self):
            Row.passes += 1
            return super().__iter__()

    onnx_runtime.softmax_value(Row(range(-50, 50)), 3, 0.25)
    assert Row.passes <= 2
