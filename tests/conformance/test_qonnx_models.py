"""Whole QONNX models, read and written, against QONNX's executor.

It computes in float32 with the values that levels stand for. That is exact, and the integers are
the same with ``==``, where all scales, factors and biases are powers of two or few multiples of
them, and sums stay below 2**24 of the least one. Elsewhere it is not: it adds products in float32
in an order of the runtime's, and divides the result by a scale, so that what lies beside the middle
of two levels may get the other one. Models with such scales are compared too, and it is counted how
many values differ.
"""

from pathlib import Path

import numpy as np
import pytest
from conformance import qonnx_models as models
from conformance.generators import SEEDS, Random
from conformance.peers import ONNX, QONNX, RECORD, load
from hypothesis import given, settings

from qsim.errors import QsimError
from qsim.execute import execute
from qsim.onnx_reader.graph import read_graph
from qsim.onnx_reader.inputs import Fed
from qsim.onnx_reader.qonnx import read_qonnx
from qsim.values import real
from qsim.verify import count_checked

EXAMPLES = settings(max_examples=12)
FEW = settings(max_examples=5)
BITS = [(1, 1), (1, 2), (2, 2), (4, 4)]


def read(model):
    """The program of a ModelProto, and its layers by the file's names of what they round."""
    graph = read_graph(Path("model.onnx"), model)
    [input_name] = graph.inputs
    fed = Fed(input_name, tuple(side or 1 for side in graph.inputs[input_name]), {})
    made = read_qonnx(graph, fed, graph.outputs[0])
    return made.program, made.layers


def assert_same(model, images, subject, *, exact=True):
    """Every rounded tensor, and the result, of our program and of QONNX's run of the model; where
    that is not exact, it is counted how many levels differ."""
    program, layers = read(model)
    steps = execute(program, images)
    assert count_checked(program, steps, 20)[1] == []
    for index, image in enumerate(images):
        tensors = models.run_qonnx(model, image[None])
        ours, theirs = [], []
        for tensor, name in layers.items():
            ours.append(steps[name].value.levels[index])
            levels = tensors[tensor][0] / program.scales[name]
            theirs.append(np.rint(levels))  # a level times a scale over it is the level, or nearly
            assert np.abs(levels - theirs[-1]).max() < 0.01
        output = program.network.output
        if exact and output not in program.scales:
            ours.append(real(steps[output].value)[index].astype(np.float32))
            theirs.append(tensors[model.graph.output[0].name][0])
        ours, theirs = (np.concatenate([a.reshape(-1) for a in each]) for each in (ours, theirs))
        (RECORD.compare if exact else RECORD.count)(QONNX, subject, ours, theirs)
    return program


def images_for(shape, seed, count=2, spread=1.0):
    """Images in multiples of 1/16, some of them on ties."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-40, 41, (count, *shape)) / 16 * spread).astype(np.float32)


@pytest.mark.parametrize("bits", BITS, ids=str)
@pytest.mark.parametrize("build", [models.fully_connected, models.convolutional])
@FEW
@given(SEEDS)
def test_models_as_brevitas_writes_them_have_its_integers(build, bits, seed):
    model = build(np.random.default_rng(seed), *bits)
    shape = (1, 4, 4) if build is models.fully_connected else (3, 8, 8)
    assert_same(model, images_for(shape, seed), "models, W and A of 1 to 4 bits")


@EXAMPLES
@given(SEEDS)
def test_a_residual_block_has_its_integers(seed):
    model = models.residual(np.random.default_rng(seed))
    assert_same(model, images_for((2, 6, 6), seed), "models, residual block")


@EXAMPLES
@given(SEEDS)
def test_any_quantizer_of_whole_bits_is_read_as_it_is(seed):
    """All roundings, signs, widths and zero points; of the input, of weights and of sums."""
    random = Random.seeded(seed)
    sketch = models.Sketch((3, 4, 4), domain=random.one_of(*DOMAINS))
    kinds = [any_quantizer(random) for _ in range(4)]
    weight = np.float32(random.generator.integers(-40, 41, (2, 3, 2, 2)) / 16)
    x = sketch.quant("in", **kinds[0])
    x = sketch.add("Conv", x, sketch.quant(weight, **kinds[1]), kernel_shape=(2, 2))
    x = sketch.quant(sketch.quant(x, **kinds[2]), **kinds[3])
    assert_same(sketch.model(x), images_for((3, 4, 4), seed), "models, any quantizer")


DOMAINS = (models.GENERAL, "onnx.brevitas")


def any_quantizer(random):
    """One whose steps are exact in float32: few bits, and no zero point that moves a value below 2.0**-18."""
    signed, narrow = random.integer(0, 1), random.integer(0, 1)
    bits = random.integer(1 if not narrow else 2, 9)
    zero_point = 0.0 if bits == 1 and signed else float(random.integer(-9, 9))
    return {
        "bits": bits, "scale": 2.0 ** random.integer(-3, 0), "signed": signed, "narrow": narrow,
        "zero_point": zero_point, "mode": random.one_of(*models.ROUNDINGS),
    }  # fmt: skip


@pytest.mark.parametrize("moved", ["scaled", "pooled", "turned", "both"])
def test_an_image_that_is_moved_before_it_is_quantized_is_rounded(moved):
    """Also where it is read as it is, so that it has no levels of its own."""
    sketch = models.Sketch((2, 4, 4))
    x = sketch.add("Mul", "in", 0.5) if moved in ("scaled", "both") else "in"
    if moved in ("pooled", "both"):
        x = sketch.add("MaxPool", x, kernel_shape=(2, 2))
    x = sketch.add("Transpose", x, perm=(0, 1, 3, 2)) if moved == "turned" else x
    x = sketch.quant(x, 3, 0.25)
    weight = np.float32(np.arange(-4, 4).reshape(2, 2, 2, 1) / 4)
    x = sketch.add("Conv", x, sketch.quant(weight, 4, 0.25), kernel_shape=(2, 1))
    program = assert_same(sketch.model(x), images_for((2, 4, 4), 1), "models, a moved image")
    assert len(program.biases) == 1  # in integers


@EXAMPLES
@given(SEEDS)
def test_thresholds_count_what_qonnx_counts(seed):
    """Of real sums with a factor and a bias per channel, of integers, with and without a relu; levels
    that rise, that fall, and signs. The channels of rows of tokens lie last."""
    random = Random.seeded(seed)
    g, rows, tokens = random.generator, 4, random.one_of(True, False)
    sketch = models.Sketch((5, 3) if tokens else (3, 4, 4))
    x = sketch.quant("in", 4, 0.25)
    weight, scale = models.weights_of(g, (rows, 3) if tokens else (rows, 3, 2, 2), 3)
    held = sketch.weight(weight, 3, scale)
    if tokens:
        x = sketch.add("MatMul", x, sketch.add("Transpose", held, perm=(1, 0)))
    else:
        x = sketch.add("Conv", x, held, kernel_shape=(2, 2))
        x = sketch.norm(x, rows, g) if random.integer(0, 1) else x
    x = sketch.add("Relu", x) if random.integer(0, 1) else x
    steps = random.one_of(1, 3, 7)
    thresholds = np.sort(g.integers(-24, 25, (random.one_of(1, rows), steps)) / 8, axis=1)
    out = random.one_of((1.0, 0.0), (0.5, -1.0), (1.0, -2.0), (-1.0, 3.0), (2.0, -1.0))
    x = sketch.add(
        "MultiThreshold", x, thresholds, domain=models.GENERAL, out_scale=out[0], out_bias=out[1],
        out_dtype="INT8", **({} if random.integer(0, 1) else {"data_layout": "NWC" if tokens else "NCHW"}),
    )  # fmt: skip
    x = sketch.add("Relu", sketch.add("Mul", x, 2.0))
    model = sketch.model(x)
    assert_same(model, images_for(sketch.shape[1:], seed), "models, MultiThreshold")


@pytest.mark.parametrize("version", [1, 2])
@EXAMPLES
@given(SEEDS)
def test_bits_are_dropped_of_the_sum_under_a_window(version, seed):
    """A mean times the values under the window, as brevitas writes TruncAvgPool; at any scale."""
    random = Random.seeded(seed)
    sketch = models.Sketch((3, 6, 6), version=version)
    scale = float(random.one_of(0.25, np.float32(0.3)))
    signed = random.integer(0, 1)
    x = sketch.quant("in", 4, scale, signed=signed)
    side = random.one_of(2, 3)
    if random.integer(0, 1):
        x = sketch.add("AveragePool", x, kernel_shape=(side, side), strides=(side, side))
    else:
        x, side = sketch.add("GlobalAveragePool", x), 6
    x = sketch.add("Mul", x, float(side * side))
    dropped, out_bits = random.integer(1, 5), random.integer(2, 5)
    mode = random.one_of(*models.ROUNDINGS)
    if version == 1:
        numbers, words = (float(out_bits + dropped), float(out_bits)), {}
    else:
        numbers = (10.0, np.float32(scale) * np.float32(2.0**dropped), float(out_bits))
        words = {"signed": signed, "narrow": random.integer(0, 1)}
    of_integers = scale / random.one_of(1, 1, 4)  # the integers may be finer than the levels
    x = sketch.add(
        "Trunc", x, of_integers, 0.0, *numbers, domain=models.GENERAL, rounding_mode=mode, **words
    )
    x = sketch.reshape(x, (1, -1))
    images = images_for((3, 6, 6), seed)
    assert_same(sketch.model(x), images, f"models, Trunc version {version}")


@pytest.mark.parametrize("build", [models.fully_connected, models.convolutional, models.residual])
def test_few_levels_differ_at_scales_that_are_no_powers_of_two(build):
    """Scales times 1.1, in each of 8 models: a level beside the middle of two, and what follows from
    it in later layers."""
    subject = "models, scales of any value"
    key = (QONNX.distribution, subject)
    differing, total = RECORD.differing[key], RECORD.values[key]
    for seed in range(8):
        model = stretched(build(np.random.default_rng(seed), 2, 4))
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
        assert_same(model, images_for(shape, seed, spread=1.07), subject, exact=False)
    assert RECORD.differing[key] - differing <= 0.01 * (RECORD.values[key] - total)


def stretched(model):
    """The same model with other scales: constants of few bits, as bit widths, stay."""
    numpy_helper = load(ONNX).numpy_helper
    scales = {
        name
        for node in model.graph.node
        if node.domain == models.GENERAL
        for name in node.input[1:2]
    }
    for held in model.graph.initializer:
        if held.name in scales:
            array = numpy_helper.to_array(held)
            held.CopyFrom(numpy_helper.from_array(array * np.float32(1.1), held.name))
    return model


SHIPPED = ("bsd300x3-espcn/subpixel/quant_model.onnx", "bsd300x3-espcn/nn_resize/quant_model.onnx")


@pytest.mark.parametrize("path", SHIPPED)
def test_models_that_qonnx_ships_are_read(path):
    """ESPCN of 4 bits, as brevitas wrote it; its scales are learned and its first layer reads real
    numbers, so that values differ: few, and by one level. The image is smaller than the file's."""
    onnx = load(ONNX)
    model = onnx.load(Path(load(QONNX).__file__).parent / "data" / "onnx" / path)
    for value in model.graph.input:
        if len(value.type.tensor_type.shape.dim) == 4 and value.name in ("x.7", "onnx::Relu_0"):
            for side in (2, 3):
                value.type.tensor_type.shape.dim[side].dim_value = 12
    program, _ = read(model)
    image = np.random.default_rng(0).random((1, 3, 12, 12), np.float32)
    steps = execute(program, image)
    assert count_checked(program, steps, 20)[1] == []
    theirs = models.run_qonnx(model, image[0][None])[model.graph.output[0].name]
    scale, ours = program.scales[program.network.output], steps[program.network.output].value
    expected = np.rint(theirs / scale)
    differing, total = RECORD.count(QONNX, "models it ships", ours.levels, expected)
    assert differing <= 0.001 * total
    assert np.abs(ours.levels - expected).max() <= 1


def test_levels_of_floating_point_are_refused():
    onnx = load(ONNX)
    folder = Path(load(QONNX).__file__).parent / "data" / "onnx" / "floatquant_exec"
    with pytest.raises(QsimError, match=r"FloatQuant \(its levels are floating point.*\): .*Float"):
        read(onnx.load(folder / "qonnx_act_weight_fp8.onnx"))
