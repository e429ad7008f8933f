"""What is counted so that a product of levels comes out, and the numbers that are then added.

Levels of a code are ``step * code + offset``. Of inputs t * q + u a sum of products is
t * sum(w * q) + u * sum(w), the second over what is no padding, whose q is 0. In the first a plane
of q weighs 2**j, and with the planes of the code p of the weights

    2 * (p AND q) = p + q - (p XOR q)       so for weights s * p - s * (2**i - 1) / 2, as signs are,
                                            the codes q vanish, and XOR counts what is left
    w * q = [w is +1] - (q XOR [w is +1])   where w is not 0, for ternary weights and q of one bit

Source: DoReFa-Net (arXiv 1606.06160v3), Eq. 1 and 3; its XNOR is the case of signs on both sides.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.bit_panels import WORD_BITS, words_of

SIGNS = AffineCode(1, 2, -1)
MOST_COUNTED = 2**31 - 1


@dataclass(frozen=True)
class BitProduct:
    """A layer's weights in planes, and how sums come of counts.

    levels   int (out_channels, channels, kernel_h, kernel_w)
    code     of the weights; None: -1, 0 and +1, as a plane of signs and a mask
    x_code   of the inputs; None: -1, 0 and +1 as well, for which ``code`` is None too

    A sum is ``bases(taps) + factor * count``, and ``code_factor`` times the codes of the inputs.

    Raises ValueError on a weight that is no level of its code.
    """

    levels: np.ndarray
    code: AffineCode | None
    x_code: AffineCode | None

    def __post_init__(self):
        if self.code is None and self.levels.size and np.abs(self.levels).max() > 1:
            raise ValueError("ternary weights are -1, 0 and +1")
        if self.x_code is None and self.code is not None:
            raise ValueError("ternary inputs take weights as a plane of signs and a mask")

    @property
    def op(self) -> str:
        """What is counted, as ``bit_tiles`` names it."""
        if self.x_code is None:
            return "ternary"
        if self.code is None:
            return "masked_xor"
        return "xor" if self._is_symmetric else "and"

    @property
    def _is_symmetric(self) -> bool:
        return self.code.low == -self.code.high

    def planes(self) -> np.ndarray:
        """The planes of the weights, bool (planes, out_channels, kernel_h, kernel_w, channels)."""
        w = self.levels.transpose(0, 2, 3, 1)
        if self.code is None:
            return np.stack([w > 0, w != 0])
        codes = self.code.encode(w)
        return np.stack([(codes >> i) & 1 == 1 for i in range(self.code.bits)])

    @property
    def w_planes(self) -> int:
        """The planes of the weights, a mask among them."""
        return 2 if self.code is None else self.code.bits

    @property
    def x_planes(self) -> int:
        """The planes of the inputs, a mask among them."""
        return 2 if self.x_code is None else self.x_code.bits

    @property
    def x_bits(self) -> int:
        """The planes of the inputs that are multiplied, a mask not among them."""
        return 1 if self.x_code is None else self.x_code.bits

    @property
    def w_bits(self) -> int:
        """The planes of the weights that are multiplied, a mask not among them."""
        return 1 if self.code is None else self.code.bits

    @property
    def words(self) -> int:
        """The words of a window."""
        return int(np.prod(self.levels.shape[2:])) * words_of(self.levels.shape[1])

    @property
    def is_countable(self) -> bool:
        """Whether no count can exceed 32 bits, as those of the micro-kernels have, and no sum, nor
        any part of it, 63 bits."""
        bits = 2 * WORD_BITS * self.words
        counted = bits * (2**self.w_bits - 1) * (2**self.x_bits - 1)
        return counted <= MOST_COUNTED and bits * _span(self.code) * _span(self.x_code) < 2**62

    @property
    def factor(self) -> int:
        """What a count is multiplied by."""
        if self.op == "ternary":
            return -1
        if self.op == "masked_xor":
            return -self.x_code.step
        step = self.x_code.step * self.code.step
        return -(step // 2) if self.op == "xor" else step

    @property
    def code_factor(self) -> int:
        """What the sum of the codes of the inputs is multiplied by, 0 wherever XOR will do."""
        return self.x_code.step * self.code.offset if self.op == "and" else 0

    def bases(self, taps: np.ndarray) -> np.ndarray:
        """What is added to the counts, by the taps that are no padding.

        taps      bool (patterns, kernel_h, kernel_w)
        returns   int64 (patterns, out_channels)
        """
        if self.op == "ternary":
            return np.full((len(taps), len(self.levels)), WORD_BITS * self.words, np.int64)
        inside = np.einsum("nij,pij->pn", self._tap_sums, taps.astype(np.int64))
        return self.x_code.step * self._constants + self.x_code.offset * inside

    @cached_property
    def _tap_sums(self) -> np.ndarray:
        """The sums of the weights over the channels, int64 (out_channels, kernel_h, kernel_w)."""
        return self.levels.sum(axis=1, dtype=np.int64)

    @cached_property
    def _constants(self) -> np.ndarray:
        """What a sum of products of weights and codes is more than its counts, int64
        (out_channels,)."""
        ones = 2**self.x_bits - 1
        if self.op == "masked_xor":
            return ones * (self.levels > 0).sum(axis=(1, 2, 3), dtype=np.int64)
        if self.op == "xor":
            codes = self.code.encode(self.levels).sum(axis=(1, 2, 3), dtype=np.int64)
            return self.code.step // 2 * ones * codes
        return np.zeros(len(self.levels), np.int64)

    def pairs(self, x_plane: int, w_plane: int) -> np.ndarray:
        """The table of pairs of planes, as ``BitReads`` has it, for planes that far apart."""
        pairs = [(i + j, j, i) for i in range(self.w_bits) for j in range(self.x_bits)]
        pairs.sort(reverse=True)
        before = [pairs[0][0], *(weight for weight, _, _ in pairs[:-1])]
        table = [
            (j * x_plane, i * w_plane, earlier - weight)
            for (weight, j, i), earlier in zip(pairs, before, strict=True)
        ]
        return np.array(table, np.int64)


def _span(code: AffineCode | None) -> int:
    """No part of a level of a code is larger."""
    return 1 if code is None else code.step * (2**code.bits - 1) + abs(code.offset)
