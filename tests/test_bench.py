"""What the comparisons in bench/ say of their figures, and that their own loops compute what they
claim; nothing is timed."""

import importlib
import sys
from functools import reduce
from operator import xor
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """Let the scripts be imported, as they import one another."""
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))


def test_a_ratio_is_the_median_of_those_of_turns_taken_side_by_side():
    times = importlib.import_module("side_by_side").Times
    ours, theirs = times((1.0, 2.0, 30.0)), times((2.0, 8.0, 10.0))
    assert ours.over(theirs) == 0.5
    assert ours.of_medians(theirs) == 2.0 / 8.0


def test_calls_take_turns_in_their_order():
    side_by_side = importlib.import_module("side_by_side")
    made = []
    calls = {name: lambda name=name: made.append(name) for name in "ab"}
    times = side_by_side.take_turns(calls, rounds=3)
    assert [len(each.turns) for each in times.values()] == [3, 3]
    runs = [name for name, before in zip(made, [None, *made], strict=False) if name != before]
    assert runs == ["a", "b"] * 4  # how long a call takes, then three turns


def test_processor_seconds_do_not_run_while_a_call_waits():
    side_by_side = importlib.import_module("side_by_side")
    waits = {"wait": lambda: side_by_side.time.sleep(0.01)}
    assert side_by_side.take_turns(waits, 1)["wait"].median_s < 0.005
    assert side_by_side.take_turns(waits, 1, threads=2)["wait"].median_s >= 0.01


def test_a_process_is_held_to_the_cores_that_it_has():
    side_by_side = importlib.import_module("side_by_side")
    every = side_by_side.cores(10**6)
    assert side_by_side.cores(1) == every[:1]
    with side_by_side.held(every[:1]):
        assert side_by_side.cores(10**6) == every[:1] or not hasattr(
            side_by_side.os, "sched_setaffinity"
        )
    assert side_by_side.cores(10**6) == every


@pytest.mark.parametrize("backend", ["amx", "vnni512", "pairs16", "pairs8", "plain"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_product_of_matrices_is_exact(backend, threads):
    from qsim.kernels.simd import host

    gemm = importlib.import_module("gemm")
    if host.obstacle(backend):
        pytest.skip("cannot run here")
    rng = np.random.default_rng(threads)
    for rows, depth, columns in (1, 1, 1), (33, 70, 65), (50, 147, 64):
        a = rng.integers(0, 256, (rows, depth)).astype(np.uint8)
        b = rng.integers(-128, 128, (depth, columns)).astype(np.int8)
        at = importlib.import_module("side_by_side").cores(threads)
        got = gemm.Product(backend, a, b, at)()
        np.testing.assert_array_equal(got, a.astype(np.int64) @ b.astype(np.int64))


def test_loops_of_instructions_run_as_many_turns_as_they_are_told():
    from qsim.kernels.simd import host

    if host.config.DISABLE_JIT:
        pytest.skip("there is no compiler")
    machine = importlib.import_module("machine")
    for instruction in machine.available():
        loop = machine.loop_of(instruction)
        assert {turns: loop(turns) for turns in (1, 2, 3)} == {
            turns: expected(instruction.name, turns, machine.CHAINS) for turns in (1, 2, 3)
        }


def expected(name, turns, chains):
    """The exclusive or of the first lanes of all chains, by Python's integers."""
    if name == "tdpbusd":
        return turns
    step = STEPS[name.partition(",")[0]]
    bits = next((b for word, b in (("int16", 16), ("popcount", 64)) if word in name), 32)
    sums = [wrapped(turns + 7919 * i + 1, bits) for i in range(chains)]
    other = sums[0]
    for _ in range(turns):
        sums = [step(each, other) for each in sums]
    return reduce(xor, sums) % 2**bits


def wrapped(value, bits):
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def halves(value):
    return [wrapped(value >> shift, 16) for shift in (0, 16)]


def pairs(one, other):
    return sum(x * y for x, y in zip(halves(one), halves(other), strict=True))


def dot_of_bytes(sums, other):
    terms = [(other >> shift) & 255 for shift in (0, 8, 16, 24)]
    return wrapped(sums + sum(term * wrapped(term, 8) for term in terms), 32)


STEPS = {
    "vpdpbusd": dot_of_bytes,
    "vpdpwssd": lambda sums, other: wrapped(sums + pairs(other, other), 32),
    "vpmaddwd + vpsubd": lambda sums, other: wrapped(sums - pairs(sums, other), 32),
    "xor + popcount + add": lambda sums, other: sums + (sums ^ other).bit_count(),
    "multiply + saturating add": lambda sums, other: max(
        -(2**15), min(2**15 - 1, sums + wrapped(sums * other, 16))
    ),
}


def test_what_is_absent_is_null_with_a_reason():
    resnet = importlib.import_module("resnet18_int8")
    qoperator, qdq = resnet.RUNTIME.values()
    name, ratios = resnet.ours("pairs8"), {qoperator: 0.4, qdq: 0.5}
    compared = {
        "tensors": 3, "different": {name: ["t"]}, "integers": 10, "logits": 5,
        "openvino_equal_logits": None,
    }  # fmt: skip
    found = {name: {"ms": 2.0, "ratios": ratios}, qoperator: {"ms": 5.0}, qdq: {"ms": 4.0}}
    absent = {resnet.OPENVINO: "openvino is not installed", resnet.ours("plain"): "too slow"}
    part = {"threads": 1, "compared": compared, "batches": {"1": found}, "absent": absent}
    document = resnet.summary([part], ["pairs8", "plain"])
    assert document["ratio_onnxruntime_1t"] == 0.5  # to the faster form
    assert document["ratio_openvino_1t"] is None
    assert document["reasons"]["ratio_openvino_1t"] == "OpenVINO, qdq: openvino is not installed"
    assert document["ratio_onnxruntime_2t"] is None
    assert document["reasons"]["ratio_onnxruntime_2t"] == "not measured on 2 threads with 1 image"
    assert (document["identical_tensors"], document["backend"]) == (2, "pairs8")
    assert document["by_backend"]["plain"]["identical_tensors"] is None
