"""LLVM IR that counts the bits in which rows of words agree with panels of weights.

Two styles, both in target-independent IR. Where the processor counts the bits of 32-bit lanes,
every count is added to a register of such lanes. Elsewhere (a table of nibbles on AVX2, ``cnt`` on
Arm) the bits of bytes are counted and added as bytes, which are summed before they can overflow.
"""

from typing import NamedTuple

from llvmlite import ir

from qsim.kernels.simd.ir import (
    I1,
    I8,
    I16,
    I32,
    I64,
    Loop,
    call,
    filled,
    load,
    splat,
    store,
    vector,
    zeros,
)

MASKED = ("masked_xor", "ternary")  # whose weights have a mask after every word


class Tile(NamedTuple):
    """The registers of a micro-kernel: ``rows`` times ``vectors`` of ``lanes`` 32-bit counts."""

    rows: int
    vectors: int
    lanes: int
    in_bytes: bool

    @property
    def channels(self) -> int:
        """The out-channels of a panel."""
        return self.vectors * self.lanes


class Addresses(NamedTuple):
    """What the IR reads, as 64-bit values: addresses, and distances and counts as ``BitReads``."""

    x: ir.Value
    rows: ir.Value
    runs: ir.Value
    run_count: ir.Value
    pairs: ir.Value
    pair_count: ir.Value
    steps: ir.Value
    x_mask: ir.Value
    weights: ir.Value


def emit_counts(b: ir.IRBuilder, tile: Tile, op: str, at: Addresses) -> list[ir.Value]:
    """The counts of a tile, row by row, each row ``tile.vectors`` vectors of int32."""
    bases = [b.add(at.x, _words(b, load(b, _entry(b, at.rows, i), I64))) for i in range(tile.rows)]
    none = [zeros(vector(I32, tile.lanes))] * (tile.rows * tile.vectors)
    pairs = Loop(b, at.pair_count, none, "pair")
    pair = b.add(at.pairs, b.mul(pairs.index, I64(24)))
    x_plane, w_plane = (_words(b, load(b, _entry(b, pair, k), I64)) for k in range(2))
    shift = splat(b, b.trunc(load(b, _entry(b, pair, 2), I64), I32), tile.lanes)
    totals = [b.shl(total, shift) for total in pairs.carried]
    runs = Loop(b, at.run_count, [b.add(at.weights, w_plane), *totals], "run")
    run = _words(b, load(b, b.add(at.runs, b.shl(runs.index, I64(3))), I64))
    start = [b.add(x_plane, run), *runs.carried]
    emit = _emit_blocks if tile.in_bytes else _emit_steps
    _, *following = emit(b, tile, op, at, bases, start)
    runs.close(following)
    pairs.close(following[1:])
    return following[1:]


def _emit_steps(b, tile, op, at, bases, start) -> list[ir.Value]:
    """The words of a run, counted in 32-bit lanes. ``start`` and what is returned: the place in the
    rows, the place in the weights, the totals."""
    loop = Loop(b, b.lshr(at.steps, I64(1)), start, "step")
    place, weights, *totals = loop.carried
    for _ in range(2):  # the words of 64 channels
        counts = _emit_step(b, tile, op, at, bases, place, weights)
        totals = [b.add(total, count) for total, count in zip(totals, counts, strict=True)]
        place, weights = _next_step(b, tile, op, place, weights)
    following = [place, weights, *totals]
    loop.close(following)
    return following


def _emit_blocks(b, tile, op, at, bases, start) -> list[ir.Value]:
    """As ``_emit_steps``, counted in bytes, in blocks of so few words that no byte overflows."""
    longest = I64(255 // (16 if op == "ternary" else 8))
    blocks = b.udiv(b.add(at.steps, b.sub(longest, I64(1))), longest)
    outer = Loop(b, blocks, [at.steps, *start], "block")
    left, place, weights, *totals = outer.carried
    length = b.select(b.icmp_unsigned("<", left, longest), left, longest)
    none = [zeros(vector(I8, 4 * tile.lanes))] * len(totals)
    loop = Loop(b, length, [place, weights, *none], "step")
    place, weights, *octets = loop.carried
    counts = _emit_step(b, tile, op, at, bases, place, weights)
    octets = [b.add(octet, count) for octet, count in zip(octets, counts, strict=True)]
    following = [*_next_step(b, tile, op, place, weights), *octets]
    loop.close(following)
    sums = [_sum_of_bytes(b, octet, tile.lanes) for octet in octets]
    totals = [b.add(total, count) for total, count in zip(totals, sums, strict=True)]
    outer.close([b.sub(left, length), *following[:2], *totals])
    return [*following[:2], *totals]


def _sum_of_bytes(b, octets: ir.Value, lanes: int) -> ir.Value:
    """The four unsigned bytes of every 32-bit lane, added."""
    pairs = b.bitcast(octets, vector(I16, 2 * lanes))
    low = b.and_(pairs, filled(pairs.type, 255))
    pairs = b.add(low, b.lshr(pairs, filled(pairs.type, 8)))
    quads = b.bitcast(pairs, vector(I32, lanes))
    low = b.and_(quads, filled(quads.type, 2**16 - 1))
    return b.add(low, b.lshr(quads, filled(quads.type, 16)))


def _next_step(b, tile, op, place, weights) -> list[ir.Value]:
    planes = 2 if op in MASKED else 1
    return [b.add(place, I64(4)), b.add(weights, I64(4 * planes * tile.channels))]


def _emit_step(b, tile, op, at, bases, place, weights) -> list[ir.Value]:
    """The counts of one word of every row with one word of every channel of the panel."""
    kind = vector(I32, tile.lanes)

    def panel(start):
        places = (b.add(start, I64(4 * tile.lanes * j)) for j in range(tile.vectors))
        return [load(b, place, kind, align=4) for place in places]

    w, w_mask = panel(weights), [None] * tile.vectors
    if op in MASKED:
        w_mask = panel(b.add(weights, I64(4 * tile.channels)))
    counts = []
    for base in bases:
        x = splat(b, load(b, b.add(base, place), I32, align=4), tile.lanes)
        x_mask = None
        if op == "ternary":
            far = b.add(b.add(base, place), _words(b, at.x_mask))
            x_mask = splat(b, load(b, far, I32, align=4), tile.lanes)
        counts += [
            _count(b, tile, _words_to_count(b, op, (x, x_mask), pair))
            for pair in zip(w, w_mask, strict=True)
        ]
    return counts


def _words_to_count(b, op, x, w) -> list[ir.Value]:
    """The words whose ones are counted, of x and w, each a word and its mask."""
    if op == "and":
        return [b.and_(x[0], w[0])]
    unequal = b.xor(x[0], w[0])
    if op == "xor":
        return [unequal]
    if op == "masked_xor":
        return [b.and_(w[1], unequal)]
    both = b.and_(x[1], w[1])
    return [b.and_(both, unequal), b.not_(b.and_(both, b.not_(unequal)))]


def _count(b, tile, words) -> ir.Value:
    """The ones of each lane, or of each byte."""
    kind = vector(I8, 4 * tile.lanes) if tile.in_bytes else vector(I32, tile.lanes)
    name = f"llvm.ctpop.v{kind.count}i{kind.element.width}"
    counts = [call(b, name, kind, b.bitcast(word, kind)) for word in words]
    return counts[0] if len(counts) == 1 else b.add(*counts)


def emit_levels(b, tile: Tile, counts, limits, plane, flips, planes: int) -> list[list[ir.Value]]:
    """By row, the words of the output planes: whether counts are no larger than their limits.

    limits   address of the int32 limits of each row's first channel; ``plane`` bytes further those
             of the next threshold
    flips    an integer with a bit for each channel: whether its comparison is turned around
    planes   1, of one threshold, or 2, of three thresholds that follow one another
    """
    kind, rows = vector(I32, tile.lanes), []
    for i in range(tile.rows):
        row = counts[i * tile.vectors : (i + 1) * tile.vectors]
        reached = []
        for k in range(2**planes - 1):
            first = b.add(limits[i], b.mul(plane, I64(k)))
            bits = [
                b.icmp_signed("<=", count, load(b, b.add(first, I64(4 * tile.lanes * j)), kind, 4))
                for j, count in enumerate(row)
            ]
            reached.append(b.xor(_joined(b, bits, tile), flips))
        low = reached[0] if planes == 1 else b.xor(b.xor(reached[0], reached[1]), reached[2])
        rows.append([low] if planes == 1 else [low, reached[1]])
    return rows


def _joined(b, bits: list[ir.Value], tile: Tile) -> ir.Value:
    """Vectors of bits, one after another, as one integer."""
    while len(bits) > 1:
        lanes = ir.Constant(
            vector(I32, 2 * bits[0].type.count), list(range(2 * bits[0].type.count))
        )
        bits = [
            b.shuffle_vector(low, high, lanes)
            for low, high in zip(bits[::2], bits[1::2], strict=True)
        ]
    assert bits[0].type.element == I1
    return b.bitcast(bits[0], ir.IntType(tile.channels))


def emit_store(b, value: ir.Value, address: ir.Value) -> None:
    """Write an integer, the lowest byte first."""
    store(b, value, address, align=1)


def _entry(b, table: ir.Value, index: int) -> ir.Value:
    return b.add(table, I64(8 * index))


def _words(b, count: ir.Value) -> ir.Value:
    """A number of 32-bit words in bytes."""
    return b.shl(count, I64(2))
