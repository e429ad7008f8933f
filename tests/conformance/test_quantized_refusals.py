"""Quantized graphs that cannot be read: one sentence, naming the file and the node."""

import numpy as np
import pytest
from conformance.onnx_models import MICROSOFT
from conformance.peers import ONNX, load
from conformance.program_files import read
from conformance.test_quantized_files import SCALE, Small

from qsim.errors import QsimError


@pytest.fixture(autouse=True)
def peer():
    load(ONNX)


def assert_refused(graph, result, words):
    with pytest.raises(QsimError, match=f"^model.onnx: {words}"):
        read(graph.ending(result))


def test_all_operators_that_are_not_read_are_listed():
    graph = Small()
    x = graph.node("Erf", graph.node("Selu", graph.real))
    x = graph.node("QLinearWhat", graph.node("Erf", x), domain=MICROSOFT)
    words = (
        r"a quantized graph with operators that are not read: Selu \(Selu2\); Erf \(Erf3, Erf4\);"
    )
    assert_refused(graph, x, words + r" com.microsoft.QLinearWhat \(QLinearWhat5\)$")


def test_operators_of_which_the_result_is_not_made_do_not_matter():
    graph = Small()
    graph.node("Erf", graph.real)
    assert read(graph.ending(graph.node("Flatten", graph.real))).notes == ()


# by what is wrong: how the graph goes on, and the words
def bad_scale(graph):
    return graph.quantize(graph.real, np.float32(-1), graph.zero)


def scale_per_channel(graph):
    return graph.quantize(graph.real, np.full(3, SCALE), np.zeros(3, np.uint8))


def sixteen_bits(graph):
    return graph.quantize(graph.real, SCALE, np.uint16(0))


def scale_that_is_computed(graph):
    scale = graph.node("ReduceMean", graph.real)
    return graph.node("QuantizeLinear", graph.real, scale, graph.constant(graph.zero))


def another_scale(graph):
    return graph.dequantize(graph.codes, np.float32(2), graph.zero)


def another_zero_point(graph):
    return graph.dequantize(graph.codes, SCALE, np.uint8(1))


def reals_dequantized(graph):
    return graph.dequantize(graph.real, SCALE, graph.zero)


def integers_quantized(graph):
    return graph.quantize(graph.codes, SCALE, graph.zero)


def integers_averaged(graph):
    return graph.node("GlobalAveragePool", graph.codes)


def weights_of_the_network(graph):
    return graph.node("Conv", graph.real, graph.real)


def convolved(graph, bias):
    return graph.rounded(graph.node("Conv", graph.real, graph.held, bias))[1]


def bias_of_one_row(graph):
    graph.held = graph.weights((4, 3, 1, 1))
    return convolved(graph, graph.constant(np.zeros(1, np.float32)))


def bias_with_a_zero_point(graph):
    graph.held = graph.weights((4, 3, 1, 1))
    bias = graph.constant(np.zeros(4, np.int32))
    return convolved(graph, graph.dequantize(bias, SCALE * graph.weight_scale, np.int32(1)))


def bias_beyond_int32(graph):
    graph.held = graph.weights((4, 3, 1, 1))
    return convolved(graph, graph.constant(np.full(4, 1e30, np.float32)))


def scales_along_the_depth(graph):
    weight = graph.weights((4, 3, 1, 1), scales=(3,), axis=1)
    return graph.rounded(graph.node("Conv", graph.real, weight))[1]


def too_many_scales(graph):
    return graph.rounded(graph.conv(graph.real, scales=(5,)))[1]


def scales_of_blocks(graph):
    codes = graph.constant(np.zeros((4, 4), np.int8))
    scale, zero = np.ones((2, 4), np.float32), np.zeros((2, 4), np.int8)
    weight = graph.dequantize(codes, scale, zero, axis=0, block_size=2)
    return graph.node("Gemm", graph.node("Flatten", graph.real), weight)


def groups_that_do_not_fit(graph):
    return graph.node("Conv", graph.real, graph.weights((4, 3, 1, 1)), group=2)


def convolution_of_one_side(graph):
    return graph.node("Conv", graph.real, graph.weights((4, 3, 1)))


def weights_that_are_no_integers(graph):
    zero = graph.constant(np.float32(0))
    reals = graph.constant(np.zeros((4, 3, 1, 1), np.float32))
    held = graph.node("DequantizeLinear", reals, graph.constant(SCALE), zero)
    return graph.node("Conv", graph.real, held)


def weights_beyond_float32(graph):
    codes = graph.constant(np.full((4, 3, 1, 1), 100, np.int8))
    held = graph.dequantize(codes, np.float32(3e38), np.int8(0))
    return graph.rounded(graph.node("Conv", graph.real, held))[1]


def features_that_do_not_fit(graph):
    return graph.node("Gemm", graph.node("Flatten", graph.real), graph.weights((7, 5)))


def transposed_input(graph):
    x = graph.node("Flatten", graph.real)
    return graph.node("Gemm", x, graph.weights((108, 5)), transA=1)


def weights_of_three_axes(graph):
    return graph.node("MatMul", graph.real, graph.weights((3, 6, 5)))


def negative_pads(graph):
    return graph.node("MaxPool", graph.real, kernel_shape=[2, 2], pads=[-1, 0, 0, 0])


def unknown_auto_pad(graph):
    return graph.node("MaxPool", graph.real, kernel_shape=[2, 2], auto_pad="SOME")


def pool_with_dilations(graph):
    return graph.node("MaxPool", graph.real, kernel_shape=[2, 2], dilations=[2, 1])


def pool_beyond_the_image(graph):
    sides = {"kernel_shape": [4, 4], "strides": [4, 4], "ceil_mode": 1}
    return graph.node("MaxPool", graph.real, **sides)


def pool_of_one_side(graph):
    return graph.node("MaxPool", graph.node("Flatten", graph.real), kernel_shape=[2])


def flatten_of_images(graph):
    return graph.node("Flatten", graph.real, axis=0)


def transposed_images(graph):
    return graph.node("Transpose", graph.real, perm=[1, 0, 2, 3])


def reshaped_images(graph):
    return graph.node("Reshape", graph.real, graph.constant(np.array([-1, 5])))


def squeezed_images(graph):
    return graph.node("Unsqueeze", graph.real, graph.constant(np.array([0])))


def joined_images(graph):
    return graph.rounded(graph.node("Concat", graph.real, graph.real, axis=0))[1]


def sliced_images(graph):
    bounds = [graph.constant(np.array([each])) for each in (0, 1, 0)]
    return graph.node("Slice", graph.real, *bounds)


def sliced_twice(graph):
    bounds = [graph.constant(np.array(each)) for each in ([0, 0], [1, 1], [1, 2])]
    return graph.node("Slice", graph.real, *bounds)


def resized_by_interpolation(graph):
    sizes = [graph.constant(np.float32([])), graph.constant(np.float32([1, 1, 2, 2]))]
    return graph.node("Resize", graph.real, *sizes, mode="linear")


def resized_by_a_half(graph):
    sizes = [graph.constant(np.float32([])), graph.constant(np.float32([1, 1, 1.5, 2]))]
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.node("Resize", graph.real, *sizes, mode="nearest", **how)


def softmax_of_channels(graph):
    return graph.node("Softmax", graph.real, axis=1)


def mean_of_channels(graph):
    return graph.node("ReduceMean", graph.real, graph.constant(np.array([1])))


def cast_of_reals(graph):
    return graph.node("Cast", graph.real, to=6)


def rows_of_all_images(graph):
    x = graph.node("Reshape", graph.real, graph.constant(np.array([0, 18, 6])))
    x = graph.node("Reshape", x, graph.constant(np.array([-1, 6])))
    return graph.rounded(graph.node("Add", x, x))[1]


def sums_that_are_multiplied_first(graph):
    weight = graph.constant(np.zeros((4, 3, 1, 1), np.int8))
    sums = graph.node("ConvInteger", graph.codes, weight, graph.constant(graph.zero))
    return graph.node("Mul", sums, graph.constant(np.float32(1)))


def sums_with_another_zero_point(graph):
    weight = graph.constant(np.zeros((4, 3, 1, 1), np.int8))
    return graph.node("ConvInteger", graph.codes, weight)


def sum_with_a_constant(graph):
    constant = graph.dequantize(graph.constant(np.zeros((3, 6, 6), np.uint8)), SCALE, np.uint8(0))
    return graph.rounded(graph.node("Add", graph.real, constant))[1]


def sides_of_the_window_last(graph):
    inputs = [graph.codes, *map(graph.constant, (SCALE, graph.zero, SCALE, graph.zero))]
    return graph.node("QLinearGlobalAveragePool", *inputs, domain=MICROSOFT, channels_last=1)


def result_that_is_its_input(graph):
    return graph.codes


REFUSED = {
    bad_scale: "QuantizeLinear '.*': a scale must be a positive, finite float32",
    scale_per_channel: "QuantizeLinear '.*': a tensor of the network has one scale and one zero",
    sixteen_bits: "QuantizeLinear '.*': integers of uint16 are not read; tensors have uint8 or int8",
    scale_that_is_computed: "ReduceMean '.*'",
    another_scale: "DequantizeLinear '.*': it reads integers with another scale or zero point than",
    another_zero_point: "DequantizeLinear '.*': it reads integers with another scale or zero point",
    reals_dequantized: "DequantizeLinear '.*': it reads real numbers, where integers are read",
    integers_quantized: "QuantizeLinear '.*': it reads integers, where real numbers are read",
    integers_averaged: "GlobalAveragePool '.*': it reads integers, where real numbers are read",
    weights_of_the_network: "Conv '.*': its weights must be constants",
    bias_of_one_row: "Conv '.*': its bias has 1 values for 4 rows",
    bias_with_a_zero_point: "Conv '.*': its bias has a zero point, which must be 0",
    bias_beyond_int32: "Conv '.*': its bias is beyond int32 in the scale of its sums",
    scales_along_the_depth: "Conv '.*': its weights have scales along what is summed, not by row",
    too_many_scales: "DequantizeLinear '.*': it has 5 scales for 4 rows along axis 0",
    scales_of_blocks: "DequantizeLinear '.*': scales of blocks are not read; a row has one scale",
    groups_that_do_not_fit: r"Conv '.*': weights of shape \(4, 3, 1, 1\) in 2 groups do not fit",
    convolution_of_one_side: "Conv '.*': only convolutions of images, with two sides, are read",
    weights_that_are_no_integers: "DequantizeLinear '.*': constants are integers, and their zero",
    weights_beyond_float32: "Conv '.*': it is not well made: its weights or its bias are no finite",
    features_that_do_not_fit: "Gemm '.*': its weights are for 7 features, and it reads 108",
    transposed_input: "Gemm '.*': transA must be 0, alpha and beta 1",
    weights_of_three_axes: "MatMul '.*': its weights must be a matrix",
    negative_pads: r"MaxPool '.*': pads must be four numbers of 0 or more, not \(-1, 0, 0, 0\)",
    unknown_auto_pad: "MaxPool '.*': auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not",
    pool_with_dilations: "MaxPool '.*': pools with dilations are not read",
    pool_beyond_the_image: "MaxPool '.*': windows that reach beyond the padded image",
    pool_of_one_side: "MaxPool '.*': only pools over images, with two sides, are read",
    flatten_of_images: "Flatten '.*': only an axis of 1 is read, which keeps the images apart",
    transposed_images: "Transpose '.*': the axis of the images must stay the first",
    reshaped_images: r"Reshape '.*': images of shape \(3, 6, 6\) cannot be shaped as \[-1, 5\]",
    squeezed_images: "Unsqueeze '.*': the axis of the images must stay as it is",
    joined_images: "Concat '.*': the axis of the images must stay as it is",
    sliced_images: "Slice '.*': the axis of the images must stay as it is",
    sliced_twice: "Slice '.*': slices along one axis at a time are read",
    resized_by_interpolation: "Resize '.*': only nearest neighbours are read",
    resized_by_a_half: "Resize '.*': only whole factors of height and width are read",
    softmax_of_channels: "Softmax '.*': only a softmax along the last axis is read",
    mean_of_channels: "ReduceMean '.*': only a mean over height and width is read",
    cast_of_reals: "Cast '.*': only a Cast of integer sums to float32 is read",
    rows_of_all_images: "Add '.*': it reads rows of several images at once",
    sums_that_are_multiplied_first: "Mul '.*': it reads sums of integers, which may take a bias",
    sums_with_another_zero_point: "ConvInteger '.*': it does not read integers with their zero p",
    sum_with_a_constant: "Add '.*': its input 1 is a constant, where a tensor of the network is read",
    sides_of_the_window_last: "QLinearGlobalAveragePool '.*': channels_last is not read",
    result_that_is_its_input: "its result is not what its last operator computes",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_what_is_wrong_is_said(wrong):
    graph = Small()
    assert_refused(graph, wrong(graph), REFUSED[wrong])


def test_an_input_that_is_read_as_it_is_and_in_integers():
    graph = Small()
    real = graph.rounded(graph.node("Relu", graph.image))[1]
    made = graph.rounded(graph.node("Add", real, graph.real))[1]
    assert_refused(graph, made, "its input is read both as it is and in integers")
