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
    splat,
    store,
    vector,
    zeros,
)


def emit_pairs(builder: ir.IRBuilder, tile, data, rows, pitch, runs, n_runs, steps, weights, sums):
    """As ``multiply_tile``, on addresses, in vectors of 16 lanes where 64 columns are multiplied,
    else of 8."""
    lanes = 16 if tile.columns == 64 else 8
    blocks = tile.columns // lanes
    narrow, pairs, kind = vector(I8, 2 * lanes), vector(I16, 2 * lanes), vector(I32, lanes)
    wide = vector(I32, 2 * lanes)
    begins = [
        builder.add(data, load(builder, builder.add(rows, I64(8 * m)), I64))
        for m in range(tile.rows)
    ]
    totals = [zeros(kind)] * (tile.rows * blocks)
    over_runs = Loop(builder, n_runs, [weights, *totals], "run")
    offset = load(builder, builder.add(runs, builder.mul(over_runs.index, I64(8))), I64)
    over_steps = Loop(builder, steps, [offset, *over_runs.carried], "step")
    at, w, *totals = over_steps.carried
    size = 2 * lanes
    columns = [
        builder.sext(load(builder, builder.add(w, I64(size * n)), narrow, size), wide)
        for n in range(blocks)
    ]
    for m in range(tile.rows):
        both = builder.zext(load(builder, builder.add(begins[m], at), I16), I32)
        both = builder.and_(builder.or_(both, builder.shl(both, I32(8))), I32(0x00FF00FF))
        x = builder.sext(builder.bitcast(splat(builder, both, lanes), pairs), wide)
        for n in range(blocks):
            product = builder.mul(x, columns[n])
            even = pick(builder, product, list(range(0, size, 2)))
            odd = pick(builder, product, list(range(1, size, 2)))
            added = builder.add(even, odd)
            totals[m * blocks + n] = builder.add(totals[m * blocks + n], added)
    w = builder.add(w, I64(size * blocks))
    over_steps.close([builder.add(at, I64(tile.depth)), w, *totals])
    over_runs.close([w, *totals])
    for place, total in enumerate(totals):
        store(builder, total, builder.add(sums, I64(4 * lanes * place)), 4 * lanes)
