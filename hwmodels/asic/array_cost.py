"""What the model of a spatial array says of a network: its figures and how far to believe them."""

from dataclasses import dataclass

import numpy as np

from hwmodels.outputs import Output


@dataclass(frozen=True)
class Cost:
    """What a work table costs on a design: arrays of the designs' shape, or with a last axis of
    layers where a name begins with ``layer_``. Latencies and energies are per image. A figure that
    rests on an unknown one is NaN."""

    layer_cycles: np.ndarray
    layer_compute_s: np.ndarray
    layer_dram_s: np.ndarray
    layer_latency_s: np.ndarray
    layer_utilization: np.ndarray
    layer_energy_j: np.ndarray
    latency_s: np.ndarray
    images_per_s: np.ndarray
    gops: np.ndarray
    peak_gops: np.ndarray
    utilization: np.ndarray
    energy_j: np.ndarray
    energy_j_low: np.ndarray
    energy_j_high: np.ndarray
    product_j: np.ndarray
    product_j_low: np.ndarray
    product_j_high: np.ndarray
    register_j: np.ndarray
    sram_j: np.ndarray
    sram_j_low: np.ndarray
    sram_j_high: np.ndarray
    dram_j: np.ndarray
    dram_j_low: np.ndarray
    dram_j_high: np.ndarray
    power_w: np.ndarray
    power_w_low: np.ndarray
    power_w_high: np.ndarray
    gops_per_w: np.ndarray
    gops_per_w_low: np.ndarray
    gops_per_w_high: np.ndarray
    area_mm2: np.ndarray
    area_mm2_low: np.ndarray
    area_mm2_high: np.ndarray
    logic_mm2: np.ndarray
    logic_mm2_low: np.ndarray
    logic_mm2_high: np.ndarray
    sram_mm2: np.ndarray
    sram_mm2_low: np.ndarray
    sram_mm2_high: np.ndarray
    gops_per_mm2: np.ndarray
    gops_per_mm2_low: np.ndarray
    gops_per_mm2_high: np.ndarray
    buffer_bytes: np.ndarray
    dram_bytes: np.ndarray


OUTPUTS = {
    "latency_s": Output(
        "latency per image", "s", "estimate",
        ignores="whether the logic reaches the clock, pooling and additions (on the sums as they"
        " leave), control, filling the first buffers",
        validation="cycles without stalls equal those of SCALE-Sim 3.0.0",
    ),
    "images_per_s": Output("throughput", "images/s", "estimate"),
    "gops": Output("effective rate", "GOPS", "estimate"),
    "peak_gops": Output("peak rate", "GOPS", "peak"),
    "utilization": Output("PE utilization", "%", "estimate"),
    "energy_j": Output(
        "energy per image", "J", "estimate",
        ignores="leakage, clock tree, wires, control, requantizers; zeros are not skipped",
        validation="the tables that it rests on differ by a factor of 4 to 5 at one node",
    ),
    "product_j": Output("of it products", "J", "estimate"),
    "register_j": Output("of it registers", "J", "estimate", ignores="one source, without a band"),
    "sram_j": Output("of it buffers", "J", "estimate"),
    "dram_j": Output("of it DRAM", "J", "estimate"),
    "power_w": Output("power", "W", "estimate", ignores="what the energy ignores"),
    "gops_per_w": Output("efficiency", "GOPS/W", "estimate"),
    "area_mm2": Output(
        "area", "mm2", "estimate", ignores="wires, rows left empty, pads, DRAM interface, control"
    ),
    "logic_mm2": Output(
        "of it logic", "mm2", "estimate",
        validation="an adder and a multiplier of 32 bits at 40 nm: -6 % and +35 %",
    ),
    "sram_mm2": Output("of it buffers", "mm2", "estimate"),
    "gops_per_mm2": Output("rate per area", "GOPS/mm2", "estimate"),
    "buffer_bytes": Output("on-chip buffers", "B", "count"),
    "dram_bytes": Output(
        "DRAM per image", "B", "count", ignores="pools and additions of what is stored already"
    ),
}  # fmt: skip
