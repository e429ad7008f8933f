"""The product of a tile by vpdpbusd: four bytes times four signed bytes, added to 32 bits."""

from llvmlite import ir

from qsim.kernels.simd.ir import I32, I64, Loop, call, load, splat, store, vector, zeros

LANES = 16
SUMS = vector(I32, LANES)
LINE = 64


def emit_dot(builder: ir.IRBuilder, tile, data, rows, pitch, runs, n_runs, steps, weights, sums):
    """As ``multiply_tile``, on addresses. Each step, a vector of each block of columns meets four
    bytes of every row, broadcast; the sums stay in registers."""
    blocks = tile.columns // LANES
    begins = [
        builder.add(data, load(builder, builder.add(rows, I64(8 * m)), I64))
        for m in range(tile.rows)
    ]
    totals = [zeros(SUMS)] * (tile.rows * blocks)
    over_runs = Loop(builder, n_runs, [weights, *totals], "run")
    offset = load(builder, builder.add(runs, builder.mul(over_runs.index, I64(8))), I64)
    over_steps = Loop(builder, steps, [offset, *over_runs.carried], "step")
    at, w, *totals = over_steps.carried
    columns = [load(builder, builder.add(w, I64(LINE * n)), SUMS, LINE) for n in range(blocks)]
    for m in range(tile.rows):
        x = splat(builder, load(builder, builder.add(begins[m], at), I32), LANES)
        for n in range(blocks):
            total = totals[m * blocks + n]
            totals[m * blocks + n] = call(
                builder, "llvm.x86.avx512.vpdpbusd.512", SUMS, total, x, columns[n]
            )
    w = builder.add(w, I64(LINE * blocks))
    over_steps.close([builder.add(at, I64(tile.depth)), w, *totals])
    over_runs.close([w, *totals])
    for place, total in enumerate(totals):
        store(builder, total, builder.add(sums, I64(LINE * place)), LINE)
