"""fbgemm's quantized linear layer, which torch runs on x86: uint8 activations, int8 weights.

Without a bias it requantizes as ONNX Runtime does. A bias is a real number there, and becomes steps
of the sums by a division where each row has its scale, by a reciprocal where all have one, in one
rounding with the addition of the sum: the same bias and scales can give different codes in the two
ways. Products of 2**31 and more, which it turns
into the lowest code instead of the highest, are not generated.

The dynamic layer finds the code of its real input from its range, and gives real results. Its
arithmetic is that of processors with a fused multiply-add.
"""

import numpy as np
import pytest
from conformance.generators import SEEDS, Random
from conformance.peers import RECORD, TORCH, load, miss
from hypothesis import given, settings

from qsim.kernels.dynamic_linear import dequantize_sums, dynamic_code, quantize_dynamic
from qsim.kernels.layers import linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.multipliers import onnx_multiplier
from qsim.kernels.requantize import requantize_float
from qsim.kernels.requantize_real_bias import requantize_real_bias

# torch announces that its quantized tensors will move to another package
pytestmark = pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
LARGEST_MULTIPLIER = 64  # with sums up to 2**24 far below 2**31


@pytest.fixture(scope="module")
def torch():
    module = load(TORCH)
    if "fbgemm" not in module.backends.quantized.supported_engines:
        miss("torch with fbgemm, which is for x86")
    before = module.backends.quantized.engine
    module.backends.quantized.engine = "fbgemm"
    yield module
    module.backends.quantized.engine = before


def _packed(torch, w, w_scale, bias):
    """Weights and bias as fbgemm keeps them; one weight scale, or one for each row."""
    if w_scale.size == 1:
        held = torch._make_per_tensor_quantized_tensor(torch.from_numpy(w), float(w_scale[0]), 0)
    else:
        no_zeros = torch.zeros(len(w), dtype=torch.int64)
        by_row = torch.tensor(w_scale.astype(float))
        held = torch._make_per_channel_quantized_tensor(torch.from_numpy(w), by_row, no_zeros, 0)
    return torch.ops.quantized.linear_prepack(held, None if bias is None else torch.tensor(bias))


def _fbgemm(torch, x, packed, scales, zeros):
    """The uint8 codes of a linear layer with the scales and zero points of x and the result."""
    read = torch._make_per_tensor_quantized_tensor(torch.from_numpy(x), float(scales[0]), zeros[0])
    result = torch.ops.quantized.linear(read, packed, float(scales[1]), zeros[1])
    return result.int_repr().numpy()


@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
@settings(max_examples=300)
@given(SEEDS)
def test_a_linear_layer_is_exact(torch, biased, seed):
    random = Random.seeded(seed)
    hard = biased and random.one_of(True, False)  # the biases alone are the sums
    depth, rows = random.integer(1, 70), 300 if hard else random.integer(1, 40)
    w, zeros = random.weights((rows, depth)), tuple(random.integer(0, 255) for _ in range(2))
    shape = (random.integer(1, 4), depth)
    x = np.full(shape, zeros[0], np.uint8) if hard else random.codes(shape, np.uint8)
    x_scale, w_scale = random.scales()[()], random.scales(random.one_of((1,), (rows,)))
    spread = 128 * 64 * int(np.sqrt(depth))
    y_scale = random.scales()[()] if hard else random.output_scale(x_scale, w_scale, spread)
    y_scale = max(y_scale, x_scale * w_scale.max() / np.float32(LARGEST_MULTIPLIER))
    scales = x_scale, w_scale, y_scale
    multiplier = np.broadcast_to(onnx_multiplier(*scales), rows)
    bias = None
    if biased:
        steps = random.bias(multiplier.astype(float), 2**24 if hard else spread)
        off = random.one_of(0, random.generator.standard_normal(rows))
        steps = np.clip(steps, -(2**24) - 4, 2**24 + 4)
        bias = ((steps + off) * (x_scale * w_scale)).astype(np.float32)
    expected = _fbgemm(torch, x, _packed(torch, w, w_scale, bias), (x_scale, y_scale), zeros)
    sums = linear(x.astype(np.int64) - zeros[0], LevelWeights(w))
    limits = -zeros[1], 255 - zeros[1]
    if bias is None:
        got = requantize_float([(sums, multiplier)], *limits) + zeros[1]
    else:
        got = requantize_real_bias(sums, bias, scales, *limits) + zeros[1]
    RECORD.compare(TORCH, f"fbgemm linear, {'bias' if biased else 'no bias'}", got, expected)


@pytest.mark.parametrize("reduced", [False, True], ids=["8 bits", "7 bits"])
@settings(max_examples=300)
@given(SEEDS)
def test_a_dynamic_linear_layer_is_exact(torch, reduced, seed):
    """Its input is real, often a half of the scale that its range will have or beside one."""
    random = Random.seeded(seed)
    depth, rows, highest = random.integer(2, 70), random.integer(1, 40), 127 if reduced else 255
    real = _beside_codes(random, (random.integer(1, 3), depth), highest)
    w, w_scale = random.weights((rows, depth)), random.scales(random.one_of((1,), (rows,)))
    bias = random.one_of(None, random.generator.standard_normal(rows).astype(np.float32))
    packed = _packed(torch, w, w_scale, bias)
    expected = torch.ops.quantized.linear_dynamic(torch.from_numpy(real), packed, reduced).numpy()
    scale, zero_point = dynamic_code(real, highest)
    codes = quantize_dynamic(real, scale, zero_point, highest)
    sums = linear(codes - zero_point, LevelWeights(w))
    got = dequantize_sums(sums, scale, w_scale, bias)
    RECORD.compare(TORCH, f"fbgemm dynamic linear, {'7' if reduced else '8'} bits", got, expected)


def _beside_codes(random, shape, highest):
    """float32 values on and beside the halves of the codes that their range is spread over."""
    low = np.float32(-random.generator.uniform(0, 10) * random.one_of(0, 1, 1))
    high = np.float32(random.generator.uniform(0.1, 10))
    scale = (float(high) - float(low)) / highest
    halves = random.generator.integers(0, highest, shape) + 0.5 + float(low) / scale
    near = (halves * scale).astype(np.float32)
    towards = random.generator.choice(np.float32([-1e9, 1e9]), shape)
    near = np.where(random.generator.random(shape) < 0.5, np.nextafter(near, towards), near)
    near = np.clip(near, low, high)
    near.flat[0], near.flat[-1] = low, high
    return near
