import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config, njit
from strategies import mixed

from qsim.kernels.fused import multiply_add
from qsim.kernels.simd.intrinsics import arrays_are_separate, fused_multiply_add

FLOATS = st.one_of(
    st.floats(-(2.0**40), 2.0**40, width=32),
    st.tuples(st.integers(-(2**24), 2**24), st.integers(-80, 10)).map(lambda p: p[0] * 2.0 ** p[1]),
)


@njit
def all_fused(x, factor, term, out):
    for i in range(len(x)):
        out[i] = fused_multiply_add(x[i], factor[i], term[i])


@njit
def copied(read, written):
    arrays_are_separate()
    for i in range(len(read)):
        written[i] = read[i]


@given(*(mixed(np.float32, 40, FLOATS) for _ in range(3)))
def test_a_fused_multiply_add_is_that_of_any_machine(x, factor, term):
    out = np.empty(40, np.float32)
    all_fused(x, factor, term, out)
    assert np.array_equal(out, multiply_add(x, factor, term))


def test_the_data_of_separate_arrays_are_marked_and_nothing_else():
    read, written = np.arange(5), np.zeros(5, np.int64)
    copied(read, written)
    assert np.array_equal(read, written)
    if config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    [code] = copied.inspect_llvm().values()
    [head] = [line for line in code.splitlines() if line.startswith("define") and "excinfo" in line]
    assert re.findall(r"noalias[^,]*%(arg[\w.]+)", head) == ["arg.read.4", "arg.written.4"]
