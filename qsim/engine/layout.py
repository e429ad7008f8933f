"""From steps to the tables of a compiled program."""

from dataclasses import dataclass

import numpy as np

from qsim.engine.memory import places
from qsim.engine.steps import (
    Buffer,
    MakeTensor,
    Plan,
    PoolLargest,
    Product,
    Read,
    ReadImage,
    Step,
)
from qsim.kernels.simd import layer_program as codes
from qsim.kernels.simd.product import (
    TILES,
    aligned,
    pack_channelwise,
    pack_weights,
)
from qsim.kernels.simd.spacing import NO_POSITION, equally_spaced
from qsim.kernels.simd.windows import Windows, by_run, in_whole_tiles
from qsim.network.layers import border, pair


@dataclass(frozen=True, eq=False)
class Layout:
    """A compiled program.

    steps       of ``STEP``, one or more for each step of the plan
    constants   what they read
    places      the offset of every tensor
    bytes, sums how many of each there are to be in memory
    """

    steps: np.ndarray
    constants: codes.Constants
    places: dict[Buffer, int]
    bytes: int
    sums: int


def layout(plan: Plan, backend: str, *, keep: bool = False) -> Layout:
    """The tables of a plan for one back end."""
    return _Tables(plan, backend, keep).layout()


class _Tables:
    """Tables as they grow."""

    def __init__(self, plan: Plan, backend: str, keep: bool):
        self.plan, self.backend, self.tile = plan, backend, TILES[backend]
        self.places, self.bytes, self.sums = places(plan, keep=keep)
        self.rows, self.farthest = [], 0
        self.parts = {name: [] for name in ("tables", "weights", "floats", "ints")}
        self.lengths = dict.fromkeys(self.parts, 0)

    def layout(self) -> Layout:
        for step in self.plan.steps:
            self._add(step)
        types = {"tables": np.int64, "weights": np.int8, "floats": np.float32, "ints": np.int32}
        arrays = {
            name: aligned(np.concatenate([np.zeros(0, types[name]), *parts]))
            for name, parts in self.parts.items()
        }
        slack = max(self.bytes, self.farthest)
        return Layout(
            np.concatenate(self.rows), codes.Constants(**arrays), self.places, slack, self.sums
        )

    def _put(self, name: str, array: np.ndarray) -> int:
        """Where an array begins in the constants."""
        begin = self.lengths[name]
        self.parts[name].append(array.reshape(-1))
        self.lengths[name] += array.size
        return begin

    def _row(self, **fields: int) -> None:
        row = np.zeros(1, codes.STEP)
        row["addend"] = -1
        for name, value in fields.items():
            row[name] = value
        self.rows.append(row)

    def _add(self, step: Step) -> None:
        match step:
            case ReadImage():
                self._read_image(step)
            case PoolLargest():
                self._pool(step)
            case MakeTensor():
                self._tensor(step)

    def _fills(self, out: Buffer) -> dict[str, int]:
        """The border of a tensor of bytes as runs."""
        if not out.is_bytes:
            return {}
        channels, height, width = out.shape
        top, left, bottom, right = out.border
        row = out.padded[1] * channels
        ends = [(top + y) * row + (left + width) * channels for y in range(height)]
        runs = [(0, top * row + left * channels)]
        runs += [(end, (right + left) * channels) for end in ends[:-1]]
        runs.append((ends[-1], right * channels + bottom * row))
        filled = np.array([run for run in runs if run[1]], np.int64).reshape(-1, 2)
        filled[:, 0] += self.places[out]
        return {"fills": self._put("tables", filled), "n_fills": len(filled)}

    def _first_pixel(self, buffer: Buffer) -> int:
        top, left, _, _ = buffer.border
        return self.places[buffer] + (top * buffer.padded[1] + left) * buffer.shape[0]

    def _read_image(self, step: ReadImage) -> None:
        out = step.out
        self._row(
            kind=codes.COPY_LEVELS if step.exact is None else codes.QUANTIZE,
            source=self._first_pixel(out),
            source_row=out.padded[1] * out.shape[0],
            low=step.low,
            high=step.high,
            exact=bool(step.exact),
            out_offset=out.zero,
            **self._fills(out),
        )

    def _pool(self, step: PoolLargest) -> None:
        out, source, layer = step.out, step.source, step.layer
        kernel = pair(layer.kernel)
        stride = pair(layer.stride or layer.kernel)
        top, left, _, _ = border(layer.padding)
        self._row(
            kind=codes.MAX_POOL,
            positions=out.shape[1] * out.shape[2],
            channels=out.shape[0],
            source=self._first_pixel(source),
            source_row=source.padded[1] * source.shape[0],
            height=source.shape[1],
            width=source.shape[2],
            kernel_h=kernel[0],
            kernel_w=kernel[1],
            stride_h=stride[0],
            stride_w=stride[1],
            top=top,
            left=left,
            out_width=out.shape[2],
            out_rows=self._first_pixel(out),
            pitch=out.padded[1] * out.shape[0],
            out_offset=out.zero,
            **self._fills(out),
        )

    def _tensor(self, step: MakeTensor) -> None:
        first = step.terms[0].source
        groups = first.groups if isinstance(first, Product) else 1
        channelwise = isinstance(first, Read) or groups == first.source.shape[0] == first.shape[0]
        if channelwise:
            groups = 1
        fills = self._fills(step.out)
        for group in range(groups):
            share = step.out.shape[0] // groups
            channels = slice(group * share, (group + 1) * share)
            order = None
            if channelwise:
                how = self._channelwise(first)
            else:
                how, order = self._product(first, group)
            out_rows = _in_order(self._positions(step.out, channels.start), order)
            self._row(
                **how,
                channels=share,
                panels=-(-share // self.tile.columns),
                positions=out_rows.size,
                out_rows=self._put("tables", self._whole_tiles(out_rows)),
                out_offset=step.out.zero or 0,
                **self._epilogue(step, channels, order),
                **(fills if group == 0 else {}),
            )

    def _positions(self, buffer: Buffer, channel: int = 0) -> np.ndarray:
        """The offset of every position of a tensor."""
        _, height, width = buffer.shape
        rows = np.arange(height)[:, None] * buffer.padded[1] + np.arange(width)
        return (self._first_pixel(buffer) + rows * buffer.shape[0] + channel).reshape(-1)

    def _whole_tiles(self, rows: np.ndarray) -> np.ndarray:
        return in_whole_tiles(rows, self.tile.rows)

    def _product(self, product: Product, group: int) -> tuple[dict[str, int], np.ndarray | None]:
        """Also the order of positions, where the back end wants another than theirs."""
        source, windows = product.source, product.windows
        share = len(product.levels) // product.groups
        levels = product.levels[group * share : (group + 1) * share]
        pixel = source.shape[0]
        runs, _ = windows.runs(pixel, source.border, apart=product.groups > 1)
        parted = by_run(levels.astype(np.int8), runs)
        packed = pack_weights(parted, self.backend)
        rows = windows.rows(pixel, source.border) + self.places[source] + group * levels.shape[1]
        order, pitch = None, 0
        if self.tile.is_spaced:
            order, rows, pitch = equally_spaced(rows)
        steps = -(-parted.shape[2] // self.tile.depth)
        self._reach(rows, runs, steps * self.tile.depth)
        fields = {
            "kind": codes.PRODUCT,
            "rows": self._put("tables", self._whole_tiles(rows.reshape(-1))),
            "pitch": pitch,
            "runs": self._put("tables", runs),
            "n_runs": len(runs),
            "steps": steps,
            "weights": self._put("weights", packed),
            "panel_size": packed[0].size,
        }
        return fields, order

    def _channelwise(self, first: Product | Read) -> dict[str, int]:
        source = first.source
        windows = first.windows if isinstance(first, Product) else Windows(source.shape[1:])
        shape = first.shape
        if isinstance(first, Product):
            levels = first.levels.reshape(shape[0], -1).astype(np.int8)
        else:
            levels = np.ones((shape[0], 1), np.int8)
        taps = windows.taps(shape[0], source.border).reshape(-1)
        packed = pack_channelwise(levels, self.tile.columns)
        rows = windows.rows(shape[0], source.border).reshape(-1) + self.places[source]
        self._reach(rows, taps, packed.shape[0] * self.tile.columns)
        return {
            "kind": codes.CHANNELWISE if source.is_bytes else codes.LOAD_SUMS,
            "rows": self._put("tables", self._whole_tiles(rows.reshape(-1))),
            "runs": self._put("tables", taps),
            "n_runs": len(taps),
            "weights": self._put("weights", packed),
            "panel_size": packed[0].size,
        }

    def _reach(self, rows: np.ndarray, runs: np.ndarray, length: int) -> None:
        """Take note of how far a step reads."""
        self.farthest = max(self.farthest, int(rows.max() + runs.max()) + length)

    def _epilogue(
        self, step: MakeTensor, channels: slice, order: np.ndarray | None
    ) -> dict[str, int]:
        """The parameters of what is made of a step's sums, padded to whole tiles."""
        fields = {"bias": self._put("ints", self._padded(_bias(step)[channels].astype(np.int32)))}
        made = step.epilogue
        if made is None:
            return fields | {"mode": codes.KEEP_SUMS}
        multiplier = self._padded(made.multipliers[0][channels])
        fields |= {"mode": codes.BY_FLOAT, "low": made.low, "high": made.high}
        fields["multiplier"] = self._put("floats", multiplier)
        if made.addend is not None:
            fields["addend"] = self._put("floats", self._padded(made.addend[channels]))
        if len(step.terms) > 1:
            other = step.terms[1].source.source
            rows = _in_order(self._positions(other, channels.start), order)
            fields |= {
                "other": codes.BYTES if other.is_bytes else codes.SUMS,
                "other_rows": self._put("tables", self._whole_tiles(rows.reshape(-1))),
                "other_offset": other.zero or 0,
                "other_multiplier": self._put(
                    "floats", self._padded(made.multipliers[1][channels])
                ),
            }
        return fields

    def _padded(self, values: np.ndarray) -> np.ndarray:
        """Values of whole tiles of channels, the rest 0."""
        return np.pad(values, (0, -len(values) % self.tile.columns))


def _in_order(rows: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Offsets of positions in another order, -1 where there is no position."""
    return rows if order is None else np.where(order == NO_POSITION, -1, rows[order])


def _bias(step: MakeTensor) -> np.ndarray:
    """What is added to the first term's sums: its bias, less what the offset of the bytes adds, as
    32 bits hold it."""
    first = step.terms[0].source
    if isinstance(first, Read):
        return np.full(first.shape[0], -(first.source.zero or 0), np.int64)
    by_row = first.levels.reshape(len(first.levels), -1).sum(axis=1)
    total = first.bias - first.source.zero * by_row
    return (total + 2**31) % 2**32 - 2**31
