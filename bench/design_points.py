"""Designs per second: ResNet-18 as a whole on random designs, with the full row of figures.

Run as ``python bench/design_points.py``; ``--format json`` prints one JSON document. A row is
latency, throughput, rates, utilization, DSPs, LUTs, RAM blocks, buffers, DRAM traffic and energy of
MSQ's architecture (energy is not known of this device, and stays NaN), and the memory of the
network at as many images as the design computes at a time. Side by side, in turns:

  sweep, N threads   hwmodels.sweep over all designs
  one by one         the same formulas, called in a loop for one design at a time (its twin)

Every figure of a sample of designs is compared with ``==`` between the two.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import numpy as np

from hwmodels.fpga import gemm
from hwmodels.fpga.device import load_device
from hwmodels.memory.footprint import footprint
from hwmodels.sweep import sweep
from qsim.explore.networks import work as work_of

NETWORK = "resnet18"
PRECISION = "msq(bits=4, fixed_to_sp2=1:1.5) / fixed(bits=4, signed=false)"
DEVICE = load_device("xc7z020")
MOST_IMAGES = 8


def random_designs(points, seed=0):
    rng = np.random.default_rng(seed)
    return gemm.Design(
        bat=rng.integers(1, MOST_IMAGES + 1, points),
        blk_in=rng.integers(4, 65, points),
        blk_out_fixed=rng.integers(1, 65, points),
        blk_out_sp2=rng.integers(1, 129, points),
        clock_hz=rng.uniform(50e6, 300e6, points),
        weight_buffer_elements=2 ** rng.integers(14, 20, points),
    )


def rows(work, memory_of_batch, design):
    """The figures of designs; their network's memory depends on the images alone."""
    cost = gemm.evaluate(work, design, DEVICE)
    memory_bytes = memory_of_batch[np.asarray(design.bat) - 1]
    return vars(cost) | {"memory_bytes": memory_bytes}


def sweep_all(work, designs, executor):
    batches = np.arange(1, MOST_IMAGES + 1)
    memory_of_batch = footprint(work.steps, rule="schedule", batch=batches).total_bytes
    return sweep(partial(rows, work, memory_of_batch), designs, executor=executor)


def one_by_one(work, designs):
    """The same of every design, one after another."""
    table = []
    for one in designs:
        memory = footprint(work.steps, rule="schedule", batch=one.bat).total_bytes
        table.append(vars(gemm.evaluate(work, one, DEVICE)) | {"memory_bytes": memory})
    return table


def designs_at(designs, places):
    swept = {
        name: value
        for name in designs.__struct_fields__
        if isinstance(value := getattr(designs, name), np.ndarray)
    }
    return [
        msgspec.structs.replace(designs, **{name: v[i].item() for name, v in swept.items()})
        for i in places
    ]


def timed(call):
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def measure(points, sample, repeats, threads):
    work = work_of(NETWORK, PRECISION)
    designs = random_designs(points)
    places = np.random.default_rng(1).choice(points, sample, replace=False)
    some = designs_at(designs, places)
    seconds = {"sweep": [], "one_by_one": []}
    with ThreadPoolExecutor(threads) as executor:
        for _ in range(repeats):
            columns, taken = timed(lambda: sweep_all(work, designs, executor))
            seconds["sweep"].append(taken)
            table, taken = timed(lambda: one_by_one(work, some))
            seconds["one_by_one"].append(taken)
    for i, row in zip(places, table, strict=True):
        for name, column in columns.items():
            assert np.array_equal(column[i], row[name], equal_nan=True), (name, i)
    swept, single = (statistics.median(each) for each in seconds.values())
    return {
        "network": NETWORK,
        "precision": PRECISION,
        "device": DEVICE.name,
        "points": points,
        "threads": threads,
        "cores": os.cpu_count(),
        "figures": sorted(columns),
        "unknown_figures": sorted(n for n, column in columns.items() if np.isnan(column).all()),
        "points_per_s": points / swept,
        "points_per_s_of_repeats": [points / s for s in seconds["sweep"]],
        "one_by_one_points_per_s": sample / single,
        "ratio": (points / swept) / (sample / single),
        "compared_designs": sample,
        "compared_figures": sample * len(columns),
        "result_bytes": sum(column.nbytes for column in columns.values()),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args(argv)
    found = measure(args.points, args.sample, args.repeats, args.threads)
    if args.format == "json":
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    slowest, fastest = min(found["points_per_s_of_repeats"]), max(found["points_per_s_of_repeats"])
    print(f"{args.points:,} designs of {NETWORK}, {len(found['figures'])} figures each")
    print(f"sweep, {args.threads} threads  {found['points_per_s']:13,.0f} designs/s, median of"
          f" {args.repeats} ({slowest:,.0f} to {fastest:,.0f})")  # fmt: skip
    print(f"one by one        {found['one_by_one_points_per_s']:13,.0f} designs/s")
    print(f"ratio             {found['ratio']:13,.0f}")
    print(f"peak memory       {found['peak_memory_bytes'] / 1e6:13,.0f} MB, of which"
          f" {found['result_bytes'] / 1e6:,.0f} MB are the result")  # fmt: skip
    print(f"compared with ==  {found['compared_figures']:13,} figures, all equal")
    print(f"not known         {', '.join(found['unknown_figures']) or 'none'}")


if __name__ == "__main__":
    main()
