"""Layers of few bits are computed by counting them where that pays, and give the same integers."""

import numpy as np
import pytest
from engine.test_engine import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.documents import convert
from qsim.build import build
from qsim.datapaths import MOST_PAIRS
from qsim.engine import Engine
from qsim.engine.bit_steps import with_bits
from qsim.engine.lower import lower
from qsim.engine.steps import CountBits, MakeTensor, PackBits, PoolLargest, UnpackBits
from qsim.kernels.simd.host import available
from qsim.network.fold import fold_network, fold_weights, unfolded_weights
from qsim.network.graph import Network
from qsim.network.layers import Add, BatchNorm, Concat, Conv, Flatten, Linear, Relu
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.weights import seeded_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic

BACKENDS = available()
WEIGHTS = [
    "bwn", "twn", {"dorefa_weights": {"bits": 1}}, {"dorefa_weights": {"bits": 2}},
]  # fmt: skip
ACTIVATIONS = [
    "xnor_activations", {"dorefa_activations": {"bits": 1}}, {"dorefa_activations": {"bits": 2}},
    {"dorefa_activations": {"bits": 3}},
]  # fmt: skip
EIGHT = {"weights": {"fixed": {"bits": 8}}, "activations": {"fixed": {"bits": 8}}}
ENDS = {"stem": EIGHT, "fc": EIGHT}


def normed(*layers):
    """Each layer with a batch norm after it."""
    for layer in layers:
        yield layer
        yield BatchNorm(name=f"{layer.name}_norm")


def chain(channels):
    """Tensors each of which one layer reads: convolutions, pools and linear layers."""
    layers = (
        *normed(
            Conv(name="stem", out_channels=channels, kernel=3, padding=1, bias=False),
            Conv(name="first", out_channels=channels + 30, kernel=3, padding=1, bias=False),
        ),
        MaxPool(name="pool", kernel=(3, 2), stride=(1, 2), padding=(1, 0)),
        *normed(
            Conv(name="second", out_channels=channels, kernel=(2, 3), padding=(0, 1, 2, 1),
                 stride=(2, 1), bias=False),
            Conv(name="third", out_channels=24, kernel=2, dilation=(1, 2), bias=False),
        ),
        AveragePool(name="mean", kernel=(1, 2), stride=1),
        Flatten(name="flat"),
        *normed(Linear(name="left", out_features=70)),
        Linear(name="fc", out_features=5),
    )  # fmt: skip
    return Network("chain", (2, 7, 8), layers)


def shared(channels):
    """Tensors that are read as bits and as bytes, and sums of them."""
    layers = (
        *normed(
            Conv(name="stem", out_channels=channels, kernel=1, bias=False),
            Conv(name="first", out_channels=channels, kernel=3, padding=1, bias=False),
            Conv(name="second", out_channels=channels, kernel=3, padding=1, bias=False),
        ),
        Add(name="sum", inputs=("second_norm", "first_norm")),
        Conv(name="third", out_channels=channels, kernel=1, bias=False),
        BatchNorm(name="third_norm"),
        Conv(name="beside", out_channels=channels, kernel=1, inputs=("sum",), bias=False),
        BatchNorm(name="beside_norm"),
        Add(name="total", inputs=("third_norm", "beside_norm")),
        Relu(name="positive"),
        MaxPool(name="pool", kernel=2),
        Concat(name="joined", inputs=("pool", "pool")),
        Conv(name="last", out_channels=channels, kernel=1, bias=False),
        BatchNorm(name="last_norm"),
        AveragePool(name="mean"),
        Flatten(name="flat"),
        Linear(name="fc", out_features=5),
    )
    return Network("shared", (2, 6, 5), layers)


def program_of(network, weights, activations, seed=0, **arithmetic):
    """The program of a network with batch norms, some of whose factors are negative, and images."""
    rng = np.random.default_rng(seed)
    values = seeded_weights(network, seed)
    for key in [key for key in values if key.endswith("_norm.weight")]:
        values[key] = values[key] * rng.choice(np.float32([-1, 1]), values[key].shape)
    data = {"default": {"weights": weights, "activations": activations}, "layers": ENDS}
    wanted, folded = Arithmetic(**arithmetic), fold_network(network)
    document, at_once = convert(data, PrecisionDocument, where="w"), wanted.requantizer.at_once
    precision = resolve(document, folded, where="w", at_once=at_once)
    images = rng.random((2, *network.input_shape), np.float32) - np.float32(0.5)
    trained = unfolded_weights(network, values)
    folded_values = fold_weights(network, values)
    return build(folded, folded_values, precision, images, wanted, trained), images


CASES = st.one_of(
    st.tuples(
        st.just(chain), st.sampled_from(ACTIVATIONS), st.sampled_from(["onnx", "thresholds"])
    ),
    st.tuples(st.just(shared), st.sampled_from(ACTIVATIONS[1:]), st.just("onnx")),
)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(
    CASES,
    st.sampled_from([3, 24, 33, 64, 70]),
    st.sampled_from(WEIGHTS),
    st.integers(0, 2**16),
)
def test_networks_of_few_bits(backend, case, channels, weights, seed):
    network, activations, requantize = case
    program, images = program_of(
        network(channels), weights, activations, seed, requantize=requantize
    )
    assert_same(program, images, backend)


def steps_of(network, weights, activations, backend):
    program, _ = program_of(network, weights, activations)
    return with_bits(lower(program, backend=backend)).steps


@pytest.mark.parametrize("backend", MOST_PAIRS)
@pytest.mark.parametrize("bits", [1, 2, 3])
def test_bits_are_counted_where_the_table_says(backend, bits):
    steps = steps_of(shared(64), "bwn", {"dorefa_activations": {"bits": bits}}, backend)
    counted = [step for step in steps if isinstance(step, CountBits)]
    assert len(counted) == (5 if bits <= MOST_PAIRS[backend] else 0)
    narrow = steps_of(shared(3), "bwn", {"dorefa_activations": {"bits": bits}}, backend)
    assert not any(isinstance(step, CountBits) for step in narrow)  # words would be all but empty


def test_signs_stay_bits_from_layer_to_layer():
    steps = steps_of(chain(64), "bwn", "xnor_activations", "vnni512")
    counted = [step for step in steps if isinstance(step, CountBits)]
    assert [step.thresholds is not None for step in counted] == [True, True, True, False]
    kinds = [type(step) for step in steps[1:]]
    assert kinds == [
        MakeTensor, PackBits,  # of the stem's bytes
        CountBits, PoolLargest, CountBits, CountBits,
        UnpackBits, MakeTensor, PackBits,  # a mean is of bytes
        CountBits, MakeTensor, MakeTensor,  # of 8 bits
    ]  # fmt: skip
    assert steps[4].out.planes


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("network", "activations"),
    [(chain, "xnor_activations"), (shared, {"dorefa_activations": {"bits": 2}})],
)
def test_nothing_is_written_beside_planes_and_sums(backend, network, activations):
    program, images = program_of(network(70), "twn", activations)
    engine = Engine(program, backend)
    expected = engine.run(images)
    memory, guard = engine._memories[0], 16
    room = {
        name: np.full(len(array) + 2 * guard, 0xA5A5A5A5, np.uint32).view(array.dtype)
        for name, array in (("planes", memory.planes), ("words", memory.words))
    }
    inside = {name: array[guard:-guard] for name, array in room.items()}
    engine._memories[0] = memory._replace(**inside)
    assert np.array_equal(engine.run(images), expected)
    for array in room.values():
        ends = np.concatenate([array[:guard], array[-guard:]]).view(np.uint32)
        assert (ends == 0xA5A5A5A5).all()


@pytest.mark.parametrize("network", [chain, shared])
def test_threads_share_steps_on_bits(network):
    program, images = program_of(network(70), "bwn", {"dorefa_activations": {"bits": 1}})
    expected = Engine(program).run(images)
    for threads in (2, 3):
        assert np.array_equal(Engine(program, threads=threads).run(images[:1]), expected[:1])
