"""A filled FPGA: worked by hand, and the laws of its rates."""

import numpy as np
import pytest

from hwmodels.fpga import filled
from hwmodels.fpga.device import load_device
from hwmodels.fpga.pe import pe_lut

ARRIA = load_device("arria10_gx1150")


def test_products_are_luts_over_luts_of_one():
    share = filled.load_constants().logic_share.value
    each = pe_lut("ternary", 2, 4, 32, cells="merged") * 0.594 / 32
    ours = filled.logic_products(ARRIA, "ternary", 2, 4)
    assert ours == pytest.approx(427200 * share / each, rel=1e-12)
    assert filled.multiplier_products(ARRIA, 4, 4) == 2 * 1518
    assert filled.float_products(ARRIA) == 1518


def test_rates_are_two_operations_a_product_and_cycle():
    constants = filled.load_constants()
    assert filled.tops(1e6) == pytest.approx(2e6 * constants.clock_hz.value / 1e12)
    assert filled.gops_per_w(1.0) == pytest.approx(1000 / constants.power_w.value)


def test_more_bits_are_never_faster():
    bits = np.arange(1, 9)
    by_weights = filled.logic_products(ARRIA, "fixed", bits, 4)
    by_activations = filled.logic_products(ARRIA, "fixed", 4, bits)
    assert (np.diff(by_weights) <= 0).all()
    assert (np.diff(by_activations) <= 0).all()
    alone = [float(filled.logic_products(ARRIA, "fixed", int(each), 4)) for each in bits]
    assert by_weights.tolist() == alone


def test_constants_say_what_they_were_fitted_to():
    held = filled.load_constants()
    for name in ("clock_hz", "logic_share", "power_w"):
        figure = getattr(held, name)
        assert figure.status == "calibrated"
        assert figure.fitted_to
