"""The product of a tile by AMX: on emulated tiles, and by the instructions themselves."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
import tile_products
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from numba import config

from qsim.kernels.simd import amx, host
from qsim.kernels.simd.product import TILES, pack_weights

TESTS = Path(__file__).parents[2]
compiled = pytest.mark.skipif(config.DISABLE_JIT, reason="needs numba's compiler")
linux_x86 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32,
    reason="tile instructions are those of x86-64, and stopped at as Linux does",
)


@compiled
@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 200),
    st.sampled_from(["random", "most"]),
)
def test_the_emulated_product_is_that_of_integers(seed, runs, steps, pitch, fill):
    rng = np.random.default_rng(seed)
    operands = tile_products.random_operands(rng, runs, steps, pitch, fill)
    tile_products.check("amx-emulated", operands)


@compiled
def test_networks_on_emulated_tiles_are_those_of_back_end_plain():
    tile_products.check_networks("amx-emulated")


@compiled
@linux_x86
def test_no_byte_behind_the_operands_is_read():
    """In a process of its own, which stops if one is."""
    code = (
        "from tile_products import *;"
        "check_random('amx-emulated', 4, 20, before_the_unreadable); print('done')"
    )
    assert in_a_process(["-c", code], {}).stdout == "done\n"


@compiled
@pytest.mark.parametrize("steps", [1028, 1029])
def test_sums_wrap_around_beyond_32_bits(steps):
    operands = tile_products.Operands(
        np.full(64 * steps, 255, np.uint8),
        (0, 0),
        0,
        np.zeros(1, np.int64),
        np.full((32, 1, 64 * steps), -128, np.int8),
    )
    total = 255 * -128 * 64 * steps
    assert (total < -(2**31)) == (steps == 1029)
    sums = tile_products.product("amx-emulated", operands)
    np.testing.assert_array_equal(sums, (total + 2**31) % 2**32 - 2**31)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(1, 3), st.integers(1, 130))
def test_a_packed_weight_lies_where_its_tile_has_it(seed, channels, runs, run_bytes):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (channels, runs, run_bytes)).astype(np.int8)
    packed = pack_weights(weights, "amx")
    panels, steps = (channels + 31) // 32, (run_bytes + 63) // 64
    expected = [0] * (panels * runs * steps * 2048)
    for n in range(channels):
        for i in range(runs):
            for k in range(run_bytes):
                tile = (((n // 32) * runs + i) * steps + k // 64) * 2 + n % 32 // 16
                place = tile * 1024 + k % 64 // 4 * 64 + n % 16 * 4 + k % 4
                expected[place] = int(weights[n, i, k])
    assert packed.dtype == np.int8
    assert packed.ravel().tolist() == expected


def test_another_shape_of_tile_is_refused():
    with pytest.raises(ValueError, match="tiles multiply 32 by 32 by 64, not as Tile"):
        assembly(tile=TILES["pairs8"])


def test_emulated_tiles_are_no_back_end_that_can_be_asked_for():
    with pytest.raises(ValueError, match="unknown back end 'amx-emulated'"):
        host.choose("amx-emulated")


def assembly(tile=TILES["amx"]):
    """A thread's use of its tiles, as assembled for a processor that has them."""
    module = ir.Module("tiles")
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 8)
    function = ir.Function(module, kind, "product")
    builder = ir.IRBuilder(function.append_basic_block())
    amx.emit_begin(builder)
    amx.emit_tiles(builder, tile, *function.args)
    amx.emit_end(builder)
    builder.ret_void()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu="sapphirerapids", opt=3)
    return machine.emit_assembly(llvm.parse_assembly(str(module)))


def test_the_instructions_are_those_of_tiles_and_call_nothing():
    text = assembly()
    names = re.findall(r"^\t(ldtilecfg|tile\w+|tdp\w+)", text, re.MULTILINE)
    expected = ["ldtilecfg", *["tilezero"] * 4, "tileloadd"]
    assert names[:6] == expected
    assert names[-5:] == [*["tilestored"] * 4, "tilerelease"]
    assert not re.search(r"\b(call|jmp\s+\*)", text)
    assert bytes([1] + 15 * [0] + 8 * [64, 0] + 16 * [0] + 8 * [16] + 8 * [0]) == amx.CONFIGURATION


def test_a_step_is_four_loads_and_four_products_and_touches_no_other_memory():
    loop = re.search(r"^(\.LBB0_2:.*?)\tj\w+\t\.LBB0_2", assembly(), re.MULTILINE | re.DOTALL)
    lines = [line.strip().split("\t") for line in loop[1].splitlines()[1:]]
    reads = [name for name, *operands in lines if "(" in "".join(operands) and name != "leaq"]
    assert reads == ["tileloadd"] * 4
    products = [operands for name, *operands in lines if name == "tdpbusd"]
    assert products == [  # as the assembler writes them: weights, bytes, sums
        ["%tmm6, %tmm4, %tmm0"],
        ["%tmm7, %tmm4, %tmm1"],
        ["%tmm6, %tmm5, %tmm2"],
        ["%tmm7, %tmm5, %tmm3"],
    ]


def in_a_process(arguments, variables):
    """What a process of its own prints that is run in the folder of tests."""
    environment = os.environ | variables | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", *arguments]  # of fork
    result = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result


@compiled
@linux_x86
@pytest.mark.parametrize("mode", ["plain", "edge", "networks", "threads", "fork"])
def test_what_tile_instructions_compute_is_right(mode):
    """On a processor without tiles each instruction is carried out by the test, see there."""
    features, native = llvm.get_host_cpu_features(), not host.obstacle("amx")
    features.update({"amx-tile": True, "amx-int8": True})
    name = {"NUMBA_CPU_NAME": llvm.get_host_cpu_name(), "NUMBA_CPU_FEATURES": features.flatten()}
    result = in_a_process(["tile_instructions.py", mode], name)
    if native:
        assert result.stdout.split() == [mode, "native"]
    else:
        done = {name: int(count) for name, count in re.findall(r"'(\w+)': (\d+)", result.stdout)}
        assert done["tdpbusd"] == done["tileloadd"] > 0
        assert done["ldtilecfg"] == done["tilerelease"] > 0
