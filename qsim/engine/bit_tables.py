"""The tables of steps on planes of bits."""

import numpy as np

from qsim.engine.growing import Growing
from qsim.engine.steps import Buffer, CountBits, PackBits, PoolLargest, Step, UnpackBits
from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.bit_convolution import BitConvolution
from qsim.kernels.simd.bit_packing import byte_tests
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.bit_thresholds import limits
from qsim.kernels.simd.bit_tiles import TILES, tile_for
from qsim.kernels.simd.windows import in_whole_tiles, patterns_of, pixels_of
from qsim.network.layers import border, pair

WORD_BYTES = 4
OPS = {"xor": codes.XOR, "masked_xor": codes.MASKED_XOR}


class BitTables:
    """What steps on planes read, as it grows.

    backend   its name
    places    where tensors lie
    tables    those that all steps share
    """

    def __init__(self, backend: str, places: dict[Buffer, int], tables: Growing):
        self.backend, self.places, self.tables = backend, places, tables
        self.panels, self.numbers = Growing(np.uint32), Growing(np.int32)
        self.octets = Growing(np.uint8)

    def constants(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The last fields of ``step_table.Constants``."""
        return self.panels.array(), self.numbers.array(), self.octets.array()

    def fields(self, step: Step) -> dict[str, int]:
        """The fields of a step."""
        match step:
            case CountBits():
                return self._count(step)
            case PackBits():
                return self._pack(step)
            case UnpackBits():
                return self._unpack(step)
            case PoolLargest():
                return self._pool(step)

    def _count(self, step: CountBits) -> dict[str, int]:
        source, product = step.source, step.product
        levels = sum(part.astype(np.int64) for part in product.passes[0])
        held = BitConvolution(BitProduct(levels, *product.codes))
        windows, positions = product.windows, product.shape[1] * product.shape[2]
        tile = tile_for(self.backend, positions)
        panels = held.panels(tile)
        runs, pixels = windows.runs(source.pixel, source.border)
        rows = windows.rows(source.pixel, source.border).reshape(-1) + self.places[source]
        pairs = held.product.pairs(source.plane, panels.size // held.product.w_planes)
        out = self._levels if step.thresholds is not None else self._sums
        return {
            "kind": codes.COUNT_BITS,
            "op": OPS[held.product.op],
            "positions": positions,
            "channels": product.shape[0],
            "panels": panels.words.size // panels.size,
            "rows": self._put_rows(rows, tile),
            "runs": self.tables.put(runs),
            "n_runs": len(runs),
            "steps": pixels * source.pixel,
            "pairs": self.tables.put(pairs),
            "n_pairs": len(pairs),
            "weights": self.panels.put(panels.words),
            "panel_size": panels.size,
            "weight_mask": panels.mask,
            "factor": held.product.factor,
            **out(step, held, tile),
        }

    def _levels(self, step: CountBits, held: BitConvolution, tile: str) -> dict[str, int]:
        """Limits of counts, and where bits are written."""
        bias = step.product.bias[:, None]
        falling = np.zeros(len(bias), bool)
        compared = limits(held, step.product.windows, step.thresholds - bias, falling, tile)
        rows = self._pixels(step.out, WORD_BYTES)
        return {
            "planes": step.out.code.bits,
            "out_plane": WORD_BYTES * step.out.plane,
            "out_rows": self._put_rows(rows, tile),
            "limits": self.numbers.put(compared.limits),
            "n_limits": compared.limits.size,
            "limit_rows": self.tables.put(compared.rows),
            "limit_plane": compared.plane,
            "octets": self.octets.put(compared.flips),
            "n_octets": compared.flips.size,
            **self._fills(step.out),
        }

    def _sums(self, step: CountBits, held: BitConvolution, tile: str) -> dict[str, int]:
        """What is added to counts, and where sums are written."""
        pattern, taps = patterns_of(step.product.windows)
        bases = held.product.bases(taps) + step.product.bias
        wrapped = (bases + 2**31) % 2**32 - 2**31  # as their sums with counts, which fit
        return {
            "planes": 0,
            "out_rows": self._put_rows(self._pixels(step.out), tile),
            "limits": self.numbers.put(wrapped.astype(np.int32)),
            "n_limits": bases.size,
            "limit_rows": self._put_rows(pattern * bases.shape[1], tile),
        }

    def _pack(self, step: PackBits) -> dict[str, int]:
        tests = byte_tests(step.out.code)
        return {
            "kind": codes.PACK_BITS,
            "positions": step.out.shape[1] * step.out.shape[2],
            "channels": step.out.shape[0],
            "rows": self.tables.put(self._pixels(step.source)),
            "out_rows": self.tables.put(self._pixels(step.out)),
            "planes": step.out.code.bits,
            "out_plane": step.out.plane,
            "octets": self.octets.put(tests),
            "n_octets": tests.size,
            **self._fills(step.out),
        }

    def _unpack(self, step: UnpackBits) -> dict[str, int]:
        return {
            "kind": codes.UNPACK_BITS,
            "positions": step.out.shape[1] * step.out.shape[2],
            "channels": step.out.shape[0],
            "rows": self.tables.put(self._pixels(step.source)),
            "source_plane": step.source.plane,
            "planes": step.source.code.bits,
            "factor": step.source.code.step,
            "out_rows": self.tables.put(self._pixels(step.out)),
            "out_offset": step.out.zero,
        }

    def _pool(self, step: PoolLargest) -> dict[str, int]:
        source, out = step.source, step.out
        return {
            "kind": codes.POOL_BITS,
            "positions": out.shape[1] * out.shape[2],
            "channels": source.pixel,
            "source": self.places[source] + source.first_pixel,
            "source_row": source.padded[1] * source.pixel,
            "out_rows": self.tables.put(self._pixels(out)),
            **pool_windows(step),
            **self._fills(out),
        }

    def _fills(self, out: Buffer) -> dict[str, int]:
        """The border of every plane as runs of words."""
        begins = self.places[out] + out.plane * np.arange(out.code.bits)
        runs = [out.border_runs() + np.array([begin, 0]) for begin in begins]
        filled = np.concatenate(runs)
        return {"word_fills": self.tables.put(filled), "n_word_fills": len(filled)}

    def _pixels(self, buffer: Buffer, unit: int = 1) -> np.ndarray:
        """Where every pixel of a tensor lies, of planes in the first."""
        pixels = pixels_of(buffer.shape[1:], buffer.border, buffer.pixel)
        return unit * (self.places[buffer] + pixels)

    def _put_rows(self, rows: np.ndarray, tile: str) -> int:
        return self.tables.put(in_whole_tiles(rows, TILES[tile].rows))


def pool_windows(step: PoolLargest) -> dict[str, int]:
    """The fields that say which windows a pool has."""
    kernel = pair(step.layer.kernel)
    stride = pair(step.layer.stride or step.layer.kernel)
    top, left, _, _ = border(step.layer.padding)
    return {
        "height": step.source.shape[1],
        "width": step.source.shape[2],
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "stride_h": stride[0],
        "stride_w": stride[1],
        "top": top,
        "left": left,
        "out_width": step.out.shape[2],
    }
