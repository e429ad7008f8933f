"""Designs that the FINN project publishes, as tables of work and foldings.

Source: Xilinx finn-examples, build/bnn-pynq/folding_config/cnv-w1a1_folding_config.json and
build/vgg10-radioml/folding_config/ZCU104_folding_config.json; the networks are those of Brevitas'
examples and of the RadioML sandbox, layer by layer.
"""

from hwmodels.fpga.folding import LayerFolding
from hwmodels.work import LayerWork, WorkTable


def cnv_w1a1():
    """CNV on 32 x 32 images: six convolutions of 3 x 3 without padding, a pool after each pair."""
    sizes = [  # channels, rows, side in, pe, simd
        (3, 64, 32, 16, 3), (64, 64, 30, 32, 32), (64, 128, 14, 16, 32),
        (128, 128, 12, 16, 32), (128, 256, 5, 4, 32), (256, 256, 3, 1, 32),
        (256, 512, 1, 1, 4), (512, 512, 1, 1, 8), (512, 10, 1, 5, 1),
    ]  # fmt: skip
    return _design(sizes, "binary", (1, 1), ("unsigned", "plus_minus_one"))


def vgg10_w4a4():
    """VGG10 on 1,024 samples of a signal: seven convolutions of 3, a pool after each."""
    convolutions = [(2, 32, 1024, 32, 6)]
    pe = (16, 8, 4, 2, 1, 1)
    convolutions += [(32, 32, 512 >> at, count, 96) for at, count in enumerate(pe)]
    linear = [(256, 128, 1, 2, 32), (128, 128, 1, 1, 32), (128, 24, 1, 1, 8)]
    return _design(convolutions + linear, "fixed", (4, 4), ("signed", "unsigned"), of_signal=True)


def _design(sizes, weights, bits, schemes, first_bits=8, of_signal=False):
    """Bits of weights and activations; schemes of the first and the other activations."""
    layers, folding = [], {}
    for index, (channels, rows, side, pe, simd) in enumerate(sizes):
        kernel = 1 if side == 1 else 3
        out = side if of_signal or side == 1 else side - 2
        if of_signal:
            geometry = (kernel, 1, 1, side, 1, out, 1)
        else:
            geometry = (kernel, kernel, 1, side, side, out, out)
        as_stored = (bits[0], first_bits if index == 0 else bits[1])
        result = (rows * out, 32 if index == len(sizes) - 1 else bits[1])
        layers.append(
            LayerWork(
                *(f"l{index}", "conv" if kernel > 1 else "linear", channels, rows),
                *(*geometry, rows, 0, *as_stored, *result),
                multiplied_as=weights,
                activation_scheme=schemes[0 if index == 0 else 1],
            )
        )
        folding[f"l{index}"] = LayerFolding(simd=simd, pe=pe)
    return WorkTable(tuple(layers)), folding
