"""The product of a tile in no particular instruction set: pairs of 16-bit products, added.

LLVM finds the instruction of each machine: vpmaddwd, vpdpwssd, or smull and addp.
"""

from llvmlite import ir

from qsim.kernels.simd.ir import (
    I8,
    I16,
    I32,
    I64,
    Loop,
    load,
    pick,
    store,
    vector,
    zeros,
)


def emit_pairs(builder: ir.IRBuilder, tile, data, rows, pitch, runs, n_runs, steps, weights, sums):
    """As ``multiply_tile``, on addresses, in vectors of 16 lanes where 64 columns are multiplied,
    else of 8. A step of four bytes is two pairs, whose weights lie one pair after the other."""
    lanes = 16 if tile.columns == 64 else 8
    blocks, pairs = tile.columns // lanes, tile.depth // 2
    kind, size = vector(I32, lanes), 2 * lanes
    begins = [
        builder.add(data, load(builder, builder.add(rows, I64(8 * m)), I64))
        for m in range(tile.rows)
    ]
    totals = [zeros(kind)] * (tile.rows * blocks)
    over_runs = Loop(builder, n_runs, [weights, *totals], "run")
    offset = load(builder, builder.add(runs, builder.mul(over_runs.index, I64(8))), I64)
    over_steps = Loop(builder, steps, [offset, *over_runs.carried], "step")
    at, w, *totals = over_steps.carried
    inputs = [_pairs_of_row(builder, builder.add(begin, at), pairs) for begin in begins]
    for pair in range(pairs):
        columns = []
        for n in range(blocks):
            place = builder.add(w, I64(size * (blocks * pair + n)))
            narrow = load(builder, place, vector(I8, size), size)
            columns.append(builder.sext(narrow, vector(I32, size)))
        for m, row in enumerate(inputs):
            both = builder.bitcast(pick(builder, row, [pair] * lanes), vector(I16, size))
            x = builder.sext(both, vector(I32, size))
            for n in range(blocks):
                total = m * blocks + n
                totals[total] = builder.add(totals[total], _pair_sums(builder, x, columns[n]))
    w = builder.add(w, I64(size * blocks * pairs))
    over_steps.close([builder.add(at, I64(tile.depth)), w, *totals])
    over_runs.close([w, *totals])
    for place, total in enumerate(totals):
        store(builder, total, builder.add(sums, I64(4 * lanes * place)), 4 * lanes)


def _pairs_of_row(builder: ir.IRBuilder, address: ir.Value, pairs: int) -> ir.Value:
    """The bytes of a step as pairs of 16-bit numbers, each an integer of 32 bits."""
    narrow = load(builder, address, vector(I8, 2 * pairs))
    return builder.bitcast(builder.zext(narrow, vector(I16, 2 * pairs)), vector(I32, pairs))


def _pair_sums(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """The sums of products of neighbours."""
    product = builder.mul(x, y)
    even = pick(builder, product, list(range(0, product.type.count, 2)))
    odd = pick(builder, product, list(range(1, product.type.count, 2)))
    return builder.add(even, odd)
