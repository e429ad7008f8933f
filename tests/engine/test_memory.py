"""Where tensors lie: none where another is needed, nothing beside any is read or written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import odd_network, program_for, residual_network
from strategies import mixed

from qsim.engine import Engine
from qsim.engine.lower import lower
from qsim.engine.memory import lifetimes, places
from qsim.kernels.simd.host import available
from qsim.network.graph import Network
from qsim.network.layers import Add, Conv, Relu

TESTS = Path(__file__).parent.parent
NETWORKS = [residual_network(), residual_network(1, 2, 1), odd_network()]
GUARD = 97


def wide_network(branches):
    """Branches of one input, all added up at the end, so that all are needed until then."""
    layers = [Conv(name="stem", out_channels=3, kernel=3, padding=1), Relu(name="relu")]
    names = ["relu"]
    for number in range(branches):
        conv = Conv(name=f"conv{number}", out_channels=3, kernel=1, inputs=(names[-1],))
        layers += [conv, Relu(name=f"branch{number}")]
        names.append(f"branch{number}")
    total = names[0]
    for number, name in enumerate(names[1:]):
        layers += [Add(name=f"sum{number}", inputs=(total, name)), Relu(name=f"total{number}")]
        total = f"total{number}"
    return Network("wide", (2, 5, 4), (*layers, Conv(name="last", out_channels=2, kernel=1)))


@given(st.sampled_from([*NETWORKS, wide_network(2), wide_network(4)]), st.booleans(), st.booleans())
@settings(max_examples=20)
def test_tensors_that_are_needed_at_once_lie_apart(network, every, keep):
    program, _ = program_for(network, {"fixed": {"bits": 4}}, signed=True)
    plan = lower(program, every=every)
    placed, sizes = places(plan, keep=keep)
    spans = lifetimes(plan)
    assert set(placed) == set(spans)
    for buffer, at in placed.items():
        assert at % 64 == 0
        assert at + buffer.size <= sizes[buffer.memory]
        for other, there in placed.items():
            together = keep or (
                spans[buffer][0] <= spans[other][1] and spans[other][0] <= spans[buffer][1]
            )
            if other is not buffer and other.memory == buffer.memory and together:
                assert at + buffer.size <= there or there + other.size <= at


def test_memory_is_used_again():
    program, _ = program_for(wide_network(4), {"fixed": {"bits": 4}}, signed=True)
    _, sizes = places(lower(program), keep=True)
    assert Engine(program).peak_activation_bytes < sizes["bytes"] + 4 * sizes["sums"]


@pytest.mark.parametrize("backend", available())
@settings(max_examples=10)
@given(st.data())
def test_nothing_is_written_beside_memory_nor_into_constants(backend, data):
    program, images = program_for(
        data.draw(st.sampled_from(NETWORKS)), {"fixed": {"bits": 8}}, signed=True
    )
    engine = Engine(program, backend)
    expected = engine.run(images)
    memory = engine._memories[0]
    room = {
        name: np.full(array.nbytes + 2 * GUARD * array.itemsize, 0xA5, np.uint8).view(array.dtype)
        for name, array in memory._asdict().items()
    }
    inside = {
        name: room[name][GUARD:-GUARD].reshape(array.shape)
        for name, array in memory._asdict().items()
    }
    for name in ("tile", "levels", "others", "wide"):  # these are aligned, as kernels rely on
        inside[name] = getattr(memory, name)
    inside["data"][...] = data.draw(mixed(np.uint8, inside["data"].shape))  # of runs before
    engine._memories[0] = memory._replace(**inside)
    constants = [array.copy() for array in _arrays(engine._layout.constants)]
    assert np.array_equal(engine.run(images), expected)
    for name in ("data", "words"):
        guards = np.concatenate([room[name][:GUARD], room[name][-GUARD:]]).view(np.uint8)
        assert (guards == 0xA5).all()
    for array, before in zip(_arrays(engine._layout.constants), constants, strict=True):
        assert np.array_equal(array, before)


def _arrays(constants):
    for each in constants:
        if isinstance(each, np.ndarray):
            yield each
        else:
            yield from each


@pytest.mark.skipif(sys.platform != "linux", reason="memory is protected by Linux's mprotect")
@pytest.mark.parametrize("backend", available())
def test_nothing_is_read_behind_memory_or_weights(backend):
    """Each array ends where memory begins that stops the process."""
    script = f"""
import numpy as np
from programs import *
from tile_products import before_the_unreadable
from qsim.engine import Engine
for network in (residual_network(), residual_network(3, 1, 4), odd_network()):
    program, images = program_for(network, {{"fixed": {{"bits": 8}}}}, signed=True)
    engine = Engine(program, {backend!r})
    expected = engine.run(images)
    memory, made = engine._memories[0], engine._layout
    edge = lambda array: before_the_unreadable(array) if array.size else array
    engine._memories[0] = memory._replace(data=edge(memory.data), words=edge(memory.words))
    constants = made.constants._replace(tables=edge(made.constants.tables))
    columns = made.constants.columns
    columns = columns._replace(**{{n: edge(a) for n, a in columns._asdict().items()}})
    constants = constants._replace(columns=columns, weights=edge(constants.weights))
    object.__setattr__(made, "constants", constants)
    assert np.array_equal(engine.run(images), expected)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=TESTS, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
