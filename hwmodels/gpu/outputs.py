"""What is said of every figure of the GPU model."""

from hwmodels.outputs import Output

OUTPUTS = {
    "latency_s": Output("latency per image", "s", "estimate"),
    "batch_latency_s": Output("latency of a batch", "s", "estimate"),
    "images_per_s": Output("throughput", "images/s", "estimate"),
    "gops": Output("effective rate", "GOPS", "estimate"),
    "peak_gops": Output(
        "peak rate", "GOPS", "peak",
        validation="derived peaks are within 1 % of all published ones, but those of H100 and H200"
        " in FP32 and of B200 only at clocks derived from them",
    ),
    "utilization": Output("utilization", "%", "estimate"),
    "peak_gops_per_w": Output("peak rate per W of TDP", "GOPS/W", "peak"),
    "energy_j": Output(
        "energy per image", "J", "estimate",
        ignores="the power that is really drawn: TDP by activity is assumed",
    ),
    "memory_bytes": Output(
        "memory", "B", "estimate", of_device="mem_bytes",
        ignores="workspaces and the runtime's own; activations other than of the largest layer",
    ),
    "dram_bytes": Output("DRAM per image", "B", "estimate", ignores="what tiles read again"),
}  # fmt: skip
