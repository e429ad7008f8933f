"""From steps to the tables of a compiled program."""

from dataclasses import dataclass

import numpy as np

from qsim.engine.bit_tables import BitTables, pool_windows
from qsim.engine.growing import Growing
from qsim.engine.memory import places
from qsim.engine.parameters import Parameters
from qsim.engine.steps import (
    Buffer,
    LookUp,
    MakeTensor,
    Plan,
    PoolLargest,
    Product,
    Read,
    ReadImage,
    Step,
)
from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.product import TILES, pack_channelwise, pack_weights
from qsim.kernels.simd.spacing import NO_POSITION, equally_spaced
from qsim.kernels.simd.windows import Windows, by_run, in_whole_tiles, pixels_of


@dataclass(frozen=True, eq=False)
class Layout:
    """A compiled program.

    steps       of ``STEP``, one or more for each step of the plan
    constants   what they read
    places      the offset of every tensor
    bytes, sums, planes   how many bytes, sums and words of planes the tensors take at most
    reach       how many bytes there are to be, as tiles read beyond the last tensor
    """

    steps: np.ndarray
    constants: codes.Constants
    places: dict[Buffer, int]
    bytes: int
    sums: int
    planes: int
    reach: int


def layout(plan: Plan, backend: str, *, keep: bool = False) -> Layout:
    """The tables of a plan for one back end.

    keep   whether no tensor takes the place of another
    """
    return _Tables(plan, backend, keep).layout()


class _Tables:
    """Tables as they grow."""

    def __init__(self, plan: Plan, backend: str, keep: bool):
        self.plan, self.tile = plan, TILES[backend]
        self.backend = backend
        self.places, self.sizes = places(plan, keep=keep)
        self.rows, self.farthest = [], 0
        self.tables, self.weights = Growing(np.int64), Growing(np.int8)
        self.parameters = Parameters(self.tile.columns)
        self.bits = BitTables(backend, self.places, self.tables)

    def layout(self) -> Layout:
        for step in self.plan.steps:
            self._add(step)
        tables, weights = self.tables.array(), self.weights.array()
        constants = self.parameters.constants(tables, weights, self.bits.constants())
        reach = max(self.sizes["bytes"], self.farthest)
        return Layout(np.concatenate(self.rows), constants, self.places, **self.sizes, reach=reach)

    def _row(self, **fields: int) -> None:
        row = np.zeros(1, codes.STEP)
        for name, value in fields.items():
            row[name] = value
        self.rows.append(row)

    def _add(self, step: Step) -> None:
        match step:
            case ReadImage():
                self._read_image(step)
            case PoolLargest() if step.out.is_bytes:
                self._pool(step)
            case MakeTensor():
                self._tensor(step)
            case LookUp():
                self._look_up(step)
            case _:
                self._row(**self.bits.fields(step), **self._fills(step.out))

    def _fills(self, out: Buffer) -> dict[str, int]:
        """The border of a tensor of bytes as runs."""
        if not out.is_bytes:
            return {}
        filled = out.border_runs() + np.array([self.places[out], 0])
        return {"fills": self.tables.put(filled), "n_fills": len(filled)}

    def _first_pixel(self, buffer: Buffer) -> int:
        return self.places[buffer] + buffer.first_pixel

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
        out, source = step.out, step.source
        self._row(
            kind=codes.MAX_POOL,
            positions=out.shape[1] * out.shape[2],
            channels=out.shape[0],
            source=self._first_pixel(source),
            source_row=source.padded[1] * source.shape[0],
            out_rows=self._first_pixel(out),
            pitch=out.padded[1] * out.shape[0],
            out_offset=out.zero,
            **pool_windows(step),
            **self._fills(out),
        )

    def _look_up(self, step: LookUp) -> None:
        out, source = step.out, step.source
        self._row(
            kind=codes.LOOK_UP,
            positions=source.shape[1],
            width=source.shape[2],
            channels=source.shape[0],
            source=self._first_pixel(source),
            source_row=source.padded[1] * source.shape[0],
            out_rows=self._first_pixel(out) + step.channel,
            pitch=out.padded[1] * out.shape[0],
            out_pixel=out.shape[0],
            runs=self.tables.put(step.table),
            out_offset=out.zero,
            **(self._fills(out) if step.channel == 0 else {}),
        )

    def _tensor(self, step: MakeTensor) -> None:
        source = step.source
        channelwise = isinstance(source, Read) or _is_depthwise(source)
        groups = 1 if channelwise else source.groups
        fills = self._fills(step.out)
        for group in range(groups):
            share = source.shape[0] // groups
            channels = slice(group * share, (group + 1) * share)
            how, order = self._channelwise(source) if channelwise else self._product(source, group)
            self._row(
                **how,
                channels=share,
                panels=-(-share // self.tile.columns),
                **self._out(step, channels, order),
                **self.parameters.put(step, channels),
                **(fills if group == 0 else {}),
            )

    def _out(self, step: MakeTensor, channels: slice, order: np.ndarray | None) -> dict[str, int]:
        """Where the positions of the output are, and those of another tensor that is added."""
        at = self._positions(step.out, order, channels.start + step.channel)
        fields = {
            "positions": at.size,
            "out_rows": self._put_rows(at),
            "out_offset": step.out.zero or 0,
        }
        if step.other is not None:
            fields |= {
                "other_rows": self._put_rows(self._positions(step.other, order, channels.start)),
                "other": codes.LEVELS if step.other.is_bytes else codes.SUMS,
                "other_offset": step.other.zero or 0,
            }
        return fields

    def _positions(self, buffer: Buffer, order: np.ndarray | None, channel: int) -> np.ndarray:
        """The offset of every position of a tensor; in another order, -1 where there is none."""
        pixels = pixels_of(buffer.shape[1:], buffer.border, buffer.shape[0])
        at = self.places[buffer] + channel + pixels
        return at if order is None else np.where(order == NO_POSITION, -1, at[order])

    def _put_rows(self, rows: np.ndarray) -> int:
        return self.tables.put(in_whole_tiles(rows.reshape(-1), self.tile.rows))

    def _product(self, product: Product, group: int) -> tuple[dict[str, int], np.ndarray | None]:
        """Also the order of positions, where the back end wants another than theirs."""
        source, windows = product.source, product.windows
        pixel, depth = source.shape[0], product.passes[0][0].shape[1]
        runs, _ = windows.runs(pixel, source.border, apart=product.groups > 1)
        rows = windows.rows(pixel, source.border) + self.places[source] + group * depth
        order, pitch = None, 0
        if self.tile.is_spaced:
            order, rows, pitch = equally_spaced(rows)
        fields = {"kind": codes.PRODUCT, "rows": self._put_rows(rows), "pitch": pitch}
        packed = [self._packed(parts, product.groups, group, runs) for parts in product.passes]
        steps = packed[0].shape[2]
        self._reach(rows, runs, steps * self.tile.depth)
        again = [self.tables.put(np.tile(runs, len(parts))) for parts in product.passes]
        fields |= {
            "runs": again[0],
            "n_runs": packed[0].shape[1],
            "steps": steps,
            "weights": self.weights.put(packed[0]),
            "panel_size": packed[0][0].size,
            "passes": len(packed),
            "wrap": product.wrap % 32,
        }
        if len(packed) == 2:
            fields |= {
                "second_weights": self.weights.put(packed[1]),
                "second_runs": again[1],
                "second_n_runs": packed[1].shape[1],
                "is_wide": product.is_wide,
            }
        return fields, order

    def _packed(
        self, parts: tuple[np.ndarray, ...], groups: int, group: int, runs: np.ndarray
    ) -> np.ndarray:
        """The weights of a group, those of each part after those of the one before."""
        share = len(parts[0]) // groups
        rows = slice(group * share, (group + 1) * share)
        by_part = [by_run(part[rows], runs) for part in parts]
        return pack_weights(np.concatenate(by_part, axis=1), self.backend)

    def _channelwise(self, made: Product | Read) -> tuple[dict[str, int], None]:
        source, channels = made.source, made.shape[0]
        windows, weights = Windows(source.shape[1:]), np.ones((channels, 1), np.int8)
        parts, wrap = 1, 0
        if isinstance(made, Product):
            windows, parts, wrap = made.windows, len(made.passes[0]), made.wrap
            by_part = [part.reshape(channels, -1) for part in made.passes[0]]
            weights = np.concatenate(by_part, axis=1)
        taps = np.tile(windows.taps(channels, source.border).reshape(-1), parts)
        packed = pack_channelwise(weights, self.tile.columns)
        rows = windows.rows(channels, source.border).reshape(-1) + self.places[source]
        if source.is_bytes:
            self._reach(rows, taps, packed.shape[0] * self.tile.columns)
        fields = {
            "kind": codes.CHANNELWISE if source.is_bytes else codes.LOAD_SUMS,
            "rows": self._put_rows(rows),
            "runs": self.tables.put(taps),
            "n_runs": len(taps),
            "weights": self.weights.put(packed),
            "panel_size": packed[0].size,
            "passes": 1,
            "wrap": wrap % 32,
        }
        return fields, None

    def _reach(self, rows: np.ndarray, runs: np.ndarray, length: int) -> None:
        """Take note of how far a step reads."""
        self.farthest = max(self.farthest, int(rows.max() + runs.max()) + length)


def _is_depthwise(product: Product) -> bool:
    """Whether each channel is summed by itself, in one pass."""
    alone = product.groups == product.source.shape[0] == product.shape[0]
    return alone and len(product.passes) == 1
