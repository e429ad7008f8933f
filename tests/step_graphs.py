"""Generated tables of steps: any graph of layers, sizes without meaning."""

from hypothesis import strategies as st

from hwmodels.work import Step

SAME_SIZE = ("batch_norm", "relu", "relu6", "scale", "gelu", "softmax", "flatten", "transpose",
             "layer_norm", "leaky_relu")  # fmt: skip
WEIGHTED = ("conv", "linear", "embedding")
BITS = (1, 2, 4, 8, 16, 32)


@st.composite
def step_graphs(draw, max_steps=12, all_stored=True, bits=BITS, chain=False):
    """Steps of a network: an input, then layers that read any before them."""
    steps = [Step("input", "input", (), draw(st.integers(1, 40)), draw(st.sampled_from(bits)))]
    for index in range(draw(st.integers(1, max_steps))):
        stored = all_stored or draw(st.booleans())
        steps.append(_layer(draw, f"t{index}", steps, stored, draw(st.sampled_from(bits)), chain))
    return tuple(steps)


def _layer(draw, name, steps, stored, bits, chain):
    kinds = (*SAME_SIZE, *WEIGHTED, "max_pool", "average_pool", "concat", "lstm")
    kind = draw(st.sampled_from(kinds if chain else (*kinds, "add", "add", "add", "multiply")))
    recent = steps[-1:] if chain else steps[-4:]
    first = draw(st.sampled_from(recent))
    if kind in SAME_SIZE:
        parameters = draw(st.integers(0, 9)) if kind == "batch_norm" else 0
        if kind == "layer_norm":
            parameters = 2 * draw(st.integers(0, 4))
        same_bits = first.bits if draw(st.booleans()) else bits
        return Step(name, kind, (first.name,), first.values, same_bits, stored, parameters)
    if kind in ("add", "multiply"):
        alike = [step for step in steps if step.values == first.values]
        second = draw(st.sampled_from(alike))
        same_bits = first.bits if draw(st.booleans()) else bits
        return Step(name, kind, (first.name, second.name), first.values, same_bits, stored)
    if kind == "concat":
        second = draw(st.sampled_from(recent))
        values = first.values + second.values
        return Step(name, kind, (first.name, second.name), values, bits, stored)
    values = draw(st.integers(1, 40))
    if kind not in (*WEIGHTED, "lstm"):
        return Step(name, kind, (first.name,), values, bits, stored)
    weights, rows = draw(st.integers(1, 50)), draw(st.integers(1, 5))
    biases = draw(st.integers(0, 5))
    weight_bits = draw(st.sampled_from(BITS))
    macs = 0 if kind == "embedding" else weights * values
    return Step(
        name, kind, (first.name,), values, bits, stored, weights + biases, weights, weight_bits,
        rows, macs,
    )  # fmt: skip
