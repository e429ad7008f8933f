"""What is said of every figure of the GPU model."""

from hwmodels.outputs import Output

IGNORES = (
    "transfers from the host, clocks that fall under load, algorithms of fewer products (Winograd),"
    " kernels side by side"
)
VALIDATION = (
    "35 measured latencies that it was not fitted to (V100, T4, A100, TX2, TITAN X Pascal): half of"
    " them within 17 %, from -64 % (MobileNet-v1 in FP16 on a TX2) to +69 % (VGG-16 in FP32 on a"
    " TITAN X Pascal); of the 14 on the two devices that nothing was fitted to half are within"
    " 33 %; no constant was fitted to them, but the form of the model was chosen knowing them;"
    " the 12 it was fitted to from -36 % to +62 %"
)

OUTPUTS = {
    "latency_s": Output("latency per image", "s", "estimate", IGNORES, VALIDATION),
    "batch_latency_s": Output("latency of a batch", "s", "estimate", IGNORES, VALIDATION),
    "steps_s": Output("of it steps besides the layers", "s", "estimate"),
    "images_per_s": Output("throughput", "images/s", "estimate", IGNORES, VALIDATION),
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
