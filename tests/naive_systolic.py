"""Slow twins of spatial arrays: the registers of every element, moved cycle by cycle."""

import numpy as np


class Counter:
    """Cycles that have passed, and values that have crossed the edges."""

    def __init__(self):
        self.cycles = self.inputs = self.weights = self.sums = self.partial_sums = 0


def multiply(x, w, rows, columns, dataflow):
    """x (positions, depth) times w (depth, channels), fold after fold; the product, and what was
    counted."""
    run = {
        "weight_stationary": _weight_stationary,
        "output_stationary": _output_stationary,
        "input_stationary": _input_stationary,
    }[dataflow]
    counted = Counter()
    return run(x, w, rows, columns, counted), counted


def _weight_stationary(x, w, rows, columns, counted):
    (positions, depth), channels = x.shape, w.shape[1]
    out = np.zeros((positions, channels), int)
    for left in range(0, channels, columns):
        for top in range(0, depth, rows):
            kept = w[top : top + rows, left : left + columns]
            streamed = x[:, top : top + rows]
            counted.weights += kept.size
            counted.inputs += streamed.size
            part = _stationary_fold(streamed, kept, rows, columns, counted)
            if top > 0:
                counted.partial_sums += part.size
            counted.sums += part.size
            out[:, left : left + columns] += part
    return out


def _input_stationary(x, w, rows, columns, counted):
    turned = Counter()
    out = _weight_stationary(w.T, x.T, rows, columns, turned)
    counted.cycles, counted.sums = turned.cycles, turned.sums
    counted.partial_sums = turned.partial_sums
    counted.inputs, counted.weights = turned.weights, turned.inputs
    return out.T


def _stationary_fold(streamed, kept, rows, columns, counted):
    """Each element keeps a weight, passes its input to the right and its sum down."""
    steps = len(streamed)
    weight = np.zeros((rows, columns), int)
    held = np.zeros((rows, columns), int)
    held[: kept.shape[0], : kept.shape[1]] = kept
    for row in reversed(range(rows)):  # shifted in from the top, the last row first
        weight[1:] = weight[:-1].copy()
        weight[0] = held[row]
        counted.cycles += 1
    value = np.zeros((rows, columns), int)  # what an element has taken in this cycle
    total = np.zeros((rows, columns), int)
    result = np.zeros((steps, columns), int)
    left, cycle = steps * columns, 0
    while left:
        entering = np.array([
            streamed[cycle - row, row] if 0 <= cycle - row < steps and row < streamed.shape[1] else 0
            for row in range(rows)
        ])  # fmt: skip
        value = np.column_stack([entering, value[:, :-1]])
        total = np.vstack([np.zeros((1, columns), int), total[:-1]]) + weight * value
        for column in range(columns):  # what leaves the last row
            step = cycle - (rows - 1) - column
            if 0 <= step < steps:
                result[step, column] = total[-1, column]
                left -= 1
        cycle += 1
    counted.cycles += cycle
    return result[:, : kept.shape[1]]


def _output_stationary(x, w, rows, columns, counted):
    positions, channels = len(x), w.shape[1]
    out = np.zeros((positions, channels), int)
    for left in range(0, channels, columns):
        for top in range(0, positions, rows):
            down, across = x[top : top + rows], w[:, left : left + columns]
            counted.inputs += down.size
            counted.weights += across.size
            part = _output_fold(down, across, rows, columns, counted)
            counted.sums += part.size
            out[top : top + rows, left : left + columns] = part
    return out


def _output_fold(down, across, rows, columns, counted):
    """Each element keeps a sum, passes one operand to the right and the other down."""
    depth = len(across)
    from_left, from_top, total = (np.zeros((rows, columns), int) for _ in range(3))
    taken = np.zeros((rows, columns), int)
    cycle = 0
    while (taken < depth).any():
        entering = np.zeros(rows, int)
        above = np.zeros(columns, int)
        for row in range(down.shape[0]):
            entering[row] = down[row, cycle - row] if 0 <= cycle - row < depth else 0
        for column in range(across.shape[1]):
            above[column] = across[cycle - column, column] if 0 <= cycle - column < depth else 0
        from_left = np.column_stack([entering, from_left[:, :-1]])
        from_top = np.vstack([above, from_top[:-1]])
        total += from_left * from_top
        reached = np.add.outer(np.arange(rows), np.arange(columns))
        taken += (cycle >= reached) & (cycle < reached + depth)
        cycle += 1
    counted.cycles += cycle
    return total[: down.shape[0], : across.shape[1]]
