"""Generated tables of work, and devices, for the tests of cost models."""

import msgspec
from hypothesis import strategies as st

from hwmodels.work import LayerWork, WorkTable

FORMATS = {  # what the weights are: multiplied or shifted, as what, bits, bits of activations
    "fixed": ({"multiplied_as": "fixed"}, (2, 8), (1, 8)),
    "sp2": ({"shifted_as": "sp2"}, (3, 8), (1, 8)),
    "power_of_two": ({"shifted_as": "power_of_two"}, (3, 5), (2, 8)),
    "ternary": ({"multiplied_as": "ternary"}, (2, 2), (1, 8)),
    "binary": ({"multiplied_as": "binary"}, (1, 1), (1, 8)),
    "xnor": ({"multiplied_as": "binary", "activation_scheme": "plus_minus_one"}, (1, 1), (1, 1)),
}


@st.composite
def layer_works(draw, name="l", formats=tuple(FORMATS), **given):
    """A layer whose rows all have one format."""
    called, weight_range, activation_range = FORMATS[draw(st.sampled_from(formats))]
    groups = draw(st.sampled_from([1, 1, 1, 2, 4]))
    channels, rows = (groups * draw(st.integers(1, 12)) for _ in range(2))
    kernel, side = draw(st.integers(1, 3)), draw(st.integers(3, 8))
    shifts = "shifted_as" in called
    sizes = {
        "name": name, "kind": "conv", "in_channels": channels, "out_channels": rows,
        "kernel_h": kernel, "kernel_w": kernel, "groups": groups, "in_h": side, "in_w": side,
        "out_h": side, "out_w": side, "rows_multiply": 0 if shifts else rows,
        "rows_shift_add": rows if shifts else 0, "stored_values": rows * side * side,
        "weight_bits": draw(st.integers(*weight_range)),
        "activation_bits": draw(st.integers(*activation_range)),
        "stored_bits": draw(st.sampled_from([1, 2, 4, 8, 32])),
    }  # fmt: skip
    return LayerWork(**sizes | called | given)


@st.composite
def tables(draw, most=3, formats=tuple(FORMATS), **given):
    """Up to so many layers, one after another, all of one format."""
    one = draw(st.sampled_from(formats))
    count = draw(st.integers(1, most))
    each = (draw(layer_works(f"l{at}", formats=(one,), **given)) for at in range(count))
    return WorkTable(tuple(each))


def with_figure(device, **values):
    """The device with other values of figures."""
    changed = {
        name: msgspec.structs.replace(getattr(device, name), value=value, status="assumed")
        for name, value in values.items()
    }
    return msgspec.structs.replace(device, **changed)
