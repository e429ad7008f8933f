"""Products of levels of a few bits by AND and popcount, a pair of bit planes at a time.

Source: DoReFa-Net (arXiv 1606.06160v3) Eq. 3, and Eq. 1, its case of one bit each.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.affine_code import AffineCode, unsigned_code
from qsim.kernels.bit_planes import pack_planes, popcount, refuse_saturation
from qsim.kernels.datapath import HeldLevels


@dataclass(frozen=True)
class BitSerialWeights(HeldLevels):
    """Weights and inputs whose levels have affine codes, multiplied bit plane by bit plane.

    levels   an integer array (rows, ...), levels of ``code``
    x_code   the code of the inputs; None: unsigned, with as many bits as an input needs

    Raises ValueError on a weight that is no level of its code.
    """

    code: AffineCode
    x_code: AffineCode | None = None

    def __post_init__(self):
        self.code.encode(self.levels)

    @cached_property
    def _planes(self) -> np.ndarray:
        rows = self.levels.reshape(1, self.shape[0], int(np.prod(self.shape[1:])))
        return pack_planes(self.code.encode(rows), self.code.bits)

    @cached_property
    def _code_sums(self) -> np.ndarray:
        rows = self.levels.reshape(self.shape[0], int(np.prod(self.shape[1:])))
        return self.code.encode(rows).sum(axis=1, dtype=np.int64)

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, of ``x`` levels of its code, and 0 where it is padding.

        A weight s * p + o (step, code, offset) times an input t * q + u makes four sums, of which
        two are one sum of levels: s * t * sum(p * q) + u * s * sum(p) + o * sum(x). Padding that
        has no code is left out of the first two, as q = 0 and by a plane that masks p.

        Raises ValueError on another level and on a register that saturates, OverflowError
        where ``register.check`` does.
        """
        refuse_saturation(register)
        groups, _, depth = x.shape
        w = self.levels.reshape(groups, self.shape[0] // groups, depth)
        register.check(depth, magnitude(x), self.max_magnitude)
        code = self.x_code or unsigned_code(x)
        padding = 0 not in code and not x.all()

        # A partial result may wrap around 64 bits, which does not harm: the total fits.
        x_codes = code.encode(np.where(x == 0, code.low, x) if padding else x)
        out = self._sums_of_products(x_codes, code.bits)
        out *= code.step
        if padding:
            out += code.offset * self._sums_of_products((x != 0).view(np.int8), 1)
        else:
            out += code.offset * self._code_sums.reshape(*w.shape[:2], 1)
        out *= self.code.step
        out += self.code.offset * x.sum(axis=2, dtype=np.int64)[:, None, :]
        return register.add_bias(out, None)

    def _sums_of_products(self, x_codes: np.ndarray, bits: int) -> np.ndarray:
        """Of the codes of the weights and unsigned codes (groups, columns, depth) of inputs."""
        x_planes = pack_planes(x_codes, bits)
        _, groups, columns, words = x_planes.shape
        rows = self.shape[0] // groups
        out = np.zeros((groups, rows, columns), np.int64)
        with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
            _dot(self._planes.reshape(self.code.bits, groups, rows, words), x_planes, out)
        return out


@njit(cache=True, nogil=True)
def _dot(w, x, out):
    """Eq. 3: add 2**(i + j) * popcount(w_i AND x_j) for every pair of planes i and j.

    w     (I, G, N, words) uint64, planes of the weights' codes, 0 beyond the depth
    x     (J, G, M, words) uint64, planes of the inputs' codes
    out   (G, N, M) int64, added to; exact while words * 64 * 2**(I + J) < 2**63
    """
    for i in range(w.shape[0]):
        for j in range(x.shape[0]):
            for g in range(w.shape[1]):
                for n in range(w.shape[2]):
                    for m in range(x.shape[2]):
                        ones = np.int64(0)
                        for k in range(w.shape[3]):
                            ones += popcount(w[i, g, n, k] & x[j, g, m, k])
                        out[g, n, m] += ones << np.int64(i + j)
