"""Energy on FPGAs: a ceiling where a card has a limit, else not known, with the reason."""

import numpy as np
import pytest

from hwmodels.explain import recording, unknown
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.energy import energy_ceiling_j, static_energy_j


@pytest.mark.parametrize("name", device_names())
def test_energy_at_rest_is_not_known_and_says_why(name):
    with recording() as found:
        energy = static_energy_j(load_device(name), 0.1)
        reasons = unknown(found.node_of(energy))
    assert np.isnan(energy)
    assert reasons == [
        f"static_power_w of {name}: no public figure; the vendors' power estimators alone give one"
    ]


def test_a_card_with_a_limit_gives_a_ceiling():
    latency_s = np.array([0.1, 0.2])
    ceiling = energy_ceiling_j(load_device("alveo_u280"), latency_s)
    assert ceiling == pytest.approx([22.5, 45])
    assert np.isnan(energy_ceiling_j(load_device("xc7z020"), latency_s)).all()


def test_wrpns_bars_lie_under_the_ceiling_of_the_card():
    """Figure 3(e): throughput / efficiency implies 40 to 52 W; the card's slot gives 66."""
    ceiling_w = energy_ceiling_j(load_device("arria10_gx1150"), 1.0)
    for tops, gops_per_w in ((1.0, 19), (6.4, 128), (10.3, 202), (57.3, 1434)):
        assert tops * 1e3 / gops_per_w < ceiling_w
