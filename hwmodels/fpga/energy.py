"""Energy of a run on an FPGA: what little the sources allow.

What a device draws at rest is published for none (vendors' estimators alone give it), so that the
energy of a run is not known. The limit of a card gives a ceiling. An estimate of the datapath alone
from energies of ASICs would mislead: for 4-bit products it comes to less than a tenth of what
WRPN's bars imply for a filled Arria 10 (16 pJ for each MAC at 50 W).
"""

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.fpga.device import Fpga


@formula
def static_energy_j(device: Fpga, latency_s):
    """Power at rest x time."""
    return read(device, "static_power_w") * np.asarray(latency_s)


@formula
def energy_ceiling_j(device: Fpga, latency_s):
    """Limit of the card's power x time; memory and regulators are in it."""
    return read(device, "card_power_w") * np.asarray(latency_s)
