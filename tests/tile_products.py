"""Products of bytes on tiles, given by what they are made of, and by numpy."""

import ctypes
import mmap
from dataclasses import dataclass
from unittest import mock

import numpy as np
import programs
from numba import njit

from qsim.engine import Engine
from qsim.kernels.simd.host import Choice
from qsim.kernels.simd.product import multiply_tile, pack_weights
from qsim.kernels.simd.tag import Tag
from qsim.kernels.simd.thread_tiles import begin, end

GUARD = 64  # int32 places before and behind the sums
MARK = -559038737
NOWHERE = -(2**40)  # an offset that nothing may be read at


@dataclass(frozen=True)
class Operands:
    """What one tile of 32 by 32 is computed of; weights are (32, runs, run bytes), not packed."""

    data: np.ndarray
    begins: tuple[int, int]  # of rows 0 and 16
    pitch: int
    runs: np.ndarray
    weights: np.ndarray

    def expected(self):
        """By numpy in int64, then modulo 2**32."""
        run_bytes = self.weights.shape[2]
        sums = np.zeros((32, 32), np.int64)
        for m in range(32):
            row = self.begins[m // 16] + m % 16 * self.pitch
            for i, run in enumerate(self.runs):
                x = self.data[row + run : row + run + run_bytes].astype(np.int64)
                sums[m] += self.weights[:, i].astype(np.int64) @ x
        return sums.astype(np.int32)


def random_operands(rng, runs, steps, pitch, fill="random"):
    """Operands whose data end with the last byte that is read."""
    run_bytes = int(rng.integers(64 * steps - 63, 64 * steps + 1))
    offsets = rng.integers(0, 300, runs)
    begins = rng.integers(0, 500, 2)
    size = int(begins.max() + 15 * pitch + offsets.max() + 64 * steps)
    shape = (32, runs, run_bytes)
    if fill == "random":
        data, weights = rng.integers(0, 256, size), rng.integers(-128, 128, shape)
    else:
        data, weights = np.full(size, 255), np.full(shape, -128)
    places = int(begins[0]), int(begins[1])
    return Operands(data.astype(np.uint8), places, pitch, offsets, weights.astype(np.int8))


def product(backend, operands, place=np.array):
    """The sums that a back end writes, after a look at what lies around them; ``place`` copies what
    is read to where it shall be."""
    row, run, weight = 3, 2, 2048
    rows = np.full(row + 32, NOWHERE)
    rows[[row, row + 16]] = operands.begins
    runs = np.concatenate([np.full(run, NOWHERE), operands.runs])
    tiles = pack_weights(operands.weights, backend)
    packed = place(np.concatenate([np.full(weight, 99, np.int8), tiles.ravel()]))
    data = place(operands.data)
    read = (data, rows, runs, packed)
    before = [array.copy() for array in read]
    buffer = np.full(2 * GUARD + 32 * 32, MARK, np.int32)
    sums = buffer[GUARD:-GUARD].reshape(32, 32)
    _multiply(
        Tag(backend),
        *(data, rows, row, operands.pitch),
        *(runs, run, operands.runs.size, tiles.shape[2]),
        *(packed, weight, sums),
    )
    np.testing.assert_array_equal(buffer[:GUARD], MARK)
    np.testing.assert_array_equal(buffer[-GUARD:], MARK)
    for array, earlier in zip(read, before, strict=True):
        np.testing.assert_array_equal(array, earlier)
    return sums


@njit(nogil=True)
def _multiply(backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, sums):
    begin(backend)
    multiply_tile(
        backend, data, rows, row, pitch, runs, run, n_runs, steps, weights, weight, len(sums), sums
    )
    end(backend)


def check(backend, operands, place=np.array):
    """Compare a product with that of integers."""
    np.testing.assert_array_equal(product(backend, operands, place), operands.expected())


def check_random(backend, seed, count, place=np.array):
    """Compare random products; from any thread."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        runs, steps, pitch = (int(rng.integers(*limits)) for limits in ((1, 5), (1, 4), (0, 200)))
        check(backend, random_operands(rng, runs, steps, pitch), place)


def before_the_unreadable(array):
    """A copy behind whose last byte memory begins that stops a process which reads it (Linux)."""
    pages = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    room = mmap.mmap(-1, pages + mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    edge = ctypes.c_void_p(address + pages)
    assert ctypes.CDLL(None).mprotect(edge, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    copy = np.frombuffer(room, array.dtype, array.size, pages - array.nbytes)
    copy[...] = array
    return copy


def check_networks(backend):
    """Compare every tensor and the output of small networks with those of back end plain."""
    for network in (programs.residual_network(), programs.odd_network()):
        weights = {"fixed": {"bits": 8}}
        program, images = programs.program_for(network, weights, activations=8, signed=True)
        expected = Engine(program, "plain")
        with mock.patch("qsim.engine.choose", lambda name: Choice(name, "under test")):
            engine = Engine(program, backend)
        tensors = engine.tensors(images)
        for name, levels in expected.tensors(images).items():
            np.testing.assert_array_equal(tensors[name], levels, err_msg=name)
        np.testing.assert_array_equal(engine.run(images), expected.run(images))
