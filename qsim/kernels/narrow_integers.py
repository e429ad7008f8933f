"""Integers of 2 or 4 bits: what a cast makes of other numbers, and how bytes hold them.

Source: ONNX, TensorProto.DataType (INT4, UINT4, INT2, UINT2) and operator Cast-25: the first
integer lies in the lowest bits of its byte, and what is left of the last byte is 0.
"""

import numpy as np

WIDTHS = (2, 4)


def cast_narrow(values: np.ndarray, bits: int, *, signed: bool) -> np.ndarray:
    """``values`` cut towards zero and taken modulo 2**bits, as two's complement where ``signed``.

    values    integers, or finite floats, within 63 bits
    returns   int8 of the same shape, 0 .. 2**bits - 1 or -2**(bits-1) .. 2**(bits-1) - 1

    Raises ValueError on other widths or values, TypeError on anything but real numbers.
    """
    _check_width(bits)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"values are real numbers, not {values.dtype}")
    if values.dtype.kind == "f" and not (np.abs(values.astype(np.float64)) < 2.0**63).all():
        raise ValueError("a value to cast is finite and within 63 bits")
    if values.dtype.kind == "u" and values.size and values.max() >= 2**63:
        raise ValueError("a value to cast is finite and within 63 bits")
    return _signed_or_not(values.astype(np.int64) & (2**bits - 1), bits, signed)


def widen_narrow(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Integers of 2 or 4 bits as numbers of a wider type, every value kept.

    Raises ValueError on an integer that neither a signed nor an unsigned word of 4 bits holds, and
    on one below 0 for an unsigned type; TypeError on anything but integers.
    """
    _check_fits(integers, 4)
    if np.dtype(dtype).kind == "u" and integers.size and integers.min() < 0:
        raise ValueError(f"{integers.min()} has no place in {np.dtype(dtype)}")
    return integers.astype(dtype)


def pack_narrow(integers: np.ndarray, bits: int) -> np.ndarray:
    """The bytes, uint8 of one dimension, that hold integers of 2 or 4 bits, signed or not.

    Raises ValueError on other widths or on an integer that neither a signed nor an unsigned word
    of that width holds, TypeError on anything but integers.
    """
    _check_width(bits)
    _check_fits(integers, bits)
    per_byte = 8 // bits
    words = integers.astype(np.int64).reshape(-1) & (2**bits - 1)
    words = np.pad(words, (0, -words.size % per_byte)).reshape(-1, per_byte)
    return (words << (bits * np.arange(per_byte))).sum(axis=1).astype(np.uint8)


def unpack_narrow(
    packed: np.ndarray, shape: tuple[int, ...], bits: int, *, signed: bool
) -> np.ndarray:
    """The integers, int8 of ``shape``, that the bytes ``packed`` hold.

    Raises ValueError on other widths, and when the bytes are not as many as the shape needs;
    TypeError on anything but uint8.
    """
    _check_width(bits)
    if packed.dtype != np.uint8:
        raise TypeError(f"bytes are uint8, not {packed.dtype}")
    count, per_byte = int(np.prod(shape)), 8 // bits
    if packed.shape != (-(-count // per_byte),):
        raise ValueError(f"bytes {packed.shape} do not hold {count} integers of {bits} bits")
    words = (packed.astype(np.int64)[:, None] >> (bits * np.arange(per_byte))) & (2**bits - 1)
    return _signed_or_not(words.reshape(-1)[:count].reshape(shape), bits, signed)


def _signed_or_not(words: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    half = 2 ** (bits - 1) if signed else 0
    return ((words ^ half) - half).astype(np.int8)


def _check_width(bits: int) -> None:
    if bits not in WIDTHS:
        raise ValueError(f"narrow integers have 2 or 4 bits, not {bits}")


def _check_fits(integers: np.ndarray, bits: int) -> None:
    if integers.dtype.kind not in "iu":
        raise TypeError(f"narrow integers are integers, not {integers.dtype}")
    if integers.size and not -(2 ** (bits - 1)) <= integers.min() <= integers.max() < 2**bits:
        raise ValueError(f"{integers.min()} .. {integers.max()} do not fit {bits} bits")
