"""Energy from the TDP and how busy the GPU is: a band, since its power is not measured."""

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.gpu.constants import constant
from hwmodels.gpu.device import Gpu


@formula
def activity(busy_s, total_s):
    """Share of the time in which the slowest of computing, L2 and DRAM is at its bound."""
    return np.minimum(busy_s / total_s, 1)


@formula
def energy_j(total_s, active, device: Gpu):
    """TDP x (idle share + (1 - idle share) x activity) x latency per image."""
    idle = constant("idle_power_fraction")
    return read(device, "tdp_w") * (idle + (1 - idle) * active) * total_s


@formula
def energy_j_low(total_s, device: Gpu):
    """TDP x idle share x latency per image."""
    return read(device, "tdp_w") * constant("idle_power_fraction") * total_s


@formula
def energy_j_high(total_s, device: Gpu):
    """TDP x latency per image."""
    return read(device, "tdp_w") * total_s
