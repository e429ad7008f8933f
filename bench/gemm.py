"""Matrix products of bytes by signed bytes: qsim's back ends, the libraries, and the ceilings.

Run as ``python bench/gemm.py``, with the extra ``bench`` installed for the libraries; who is not
there is left out with a word. ``--format json`` prints one JSON document.

For the shapes of ResNet-18's convolutions, written out as products, and a square one: every back
end that this machine can run (plain, the reference, where it is asked for), ONNX Runtime's
MatMulInteger (uint8 x int8) and torch's _int_mm (int8 x int8, so that its left operand is halved).
All results are compared with ``==`` with float64's, which is exact here; a library with wrong sums
(torch had some where it was held to AVX2) is left out. Then all take turns with the ceilings of the
instructions that the back ends rest on (bench/machine.py), in one process for each number of
threads; rates are medians.
"""

import argparse
import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import peers
from machine import available as instructions
from machine import instruction_set, loops, processor
from numba import njit
from side_by_side import Neighbours, cores, hold, said_of_neighbours, take_turns

from qsim.kernels.simd import host
from qsim.kernels.simd.product import TILES, aligned, multiply_tile, pack_weights
from qsim.kernels.simd.tag import Tag
from qsim.kernels.simd.thread_tiles import begin, end

SHAPES = [  # rows, depth, columns
    (1024, 1024, 1024), (3136, 576, 64), (784, 1152, 128), (196, 2304, 256), (49, 4608, 512),
    (12544, 147, 64),
]  # fmt: skip
RESTS_ON = {  # the instruction that bounds a back end, the first that there is
    "amx": ("tdpbusd",),
    "vnni512": ("vpdpbusd, 512 bits",),
    "pairs16": ("vpdpwssd, 512 bits", "vpmaddwd + vpsubd, 512 bits"),
    "pairs8": ("vpdpwssd, 256 bits", "vpmaddwd + vpsubd, 256 bits"),
}
RUNTIME, TORCH = "ONNX Runtime, MatMulInteger", "torch, _int_mm"
SLACK = 128  # bytes that a last step may read beyond the last row
IR_VERSION, OPSET = 8, 17


class Product:
    """The int32 product of fixed operands by one of qsim's back ends on some cores, as a call."""

    def __init__(self, backend: str, a: np.ndarray, b: np.ndarray, at: tuple[int, ...]):
        tile, (depth, columns) = TILES[backend], b.shape
        self._steps = -(-depth // tile.depth)
        self._tag, self._count = Tag(backend), len(a)
        self._out = np.zeros((len(a), columns), np.int32)
        whole = -(-len(a) // tile.rows) * tile.rows
        self._data = np.zeros(whole * depth + SLACK, np.uint8)
        self._data[: a.size] = a.ravel()
        self._rows, self._pitch = np.arange(whole) * depth, depth
        self._runs = np.zeros(1, np.int64)
        self._weights = aligned(pack_weights(b.T[:, None], backend))
        shares = np.linspace(0, whole // tile.rows, len(at) + 1).astype(int) * tile.rows
        self._shares = [*pairwise(shares)]
        self._sums = [aligned(np.zeros((tile.rows, tile.columns), np.int32)) for _ in at]
        self._pool = ThreadPoolExecutor(len(at)) if len(at) > 1 else None
        if self._pool:
            [*self._pool.map(lambda core: hold([core]), at)]

    def __call__(self) -> np.ndarray:
        if self._pool is None:
            self._part(0)
        else:
            [*self._pool.map(self._part, range(len(self._shares)))]
        return self._out

    def _part(self, thread: int) -> None:
        tables = self._rows, self._pitch, self._runs, self._steps
        first, last = self._shares[thread]
        _multiply(
            self._tag, self._data, *tables, self._weights.reshape(-1), self._sums[thread],
            self._out, first, min(last, self._count),
        )  # fmt: skip


@njit(nogil=True)
def _multiply(backend, data, rows, pitch, runs, steps, weights, sums, out, first, last):
    """Rows first .. last of the product, panel after panel, tile after tile."""
    height, width = sums.shape
    columns = out.shape[1]
    panels = -(-columns // width)
    panel_bytes = len(weights) // panels
    begin(backend)
    for panel in range(panels):
        left = panel * width
        wide = min(width, columns - left)
        for row in range(first, last, height):
            at = panel * panel_bytes
            multiply_tile(
                backend, data, rows, row, pitch, runs, 0, 1, steps, weights, at, len(sums), sums
            )
            for i in range(min(height, last - row)):
                of_row, of_tile = out[row + i, left : left + wide], sums[i]
                for j in range(wide):
                    of_row[j] = of_tile[j]
    end(backend)


def runtime_product(a, b, at) -> peers.Run:
    """ONNX Runtime's MatMulInteger. Raises peers.Absent."""
    peers.need("onnx", "onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, a.shape)],
        [helper.make_tensor_value_info("c", TensorProto.INT32, None)],
        [numpy_helper.from_array(b, "b")],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return peers.onnxruntime_call(model.SerializeToString(), a, at)


def torch_product(a, b, at) -> peers.Run:
    """torch's _int_mm of the halved ``a``. Raises peers.Absent."""
    peers.need("torch")
    import torch  # which holds the caller to the first core, as OMP_PROC_BIND says

    hold(at)
    torch.set_num_threads(len(at))
    left, right = torch.from_numpy((a >> 1).astype(np.int8)), torch.from_numpy(b)
    out = torch.empty((len(a), b.shape[1]), dtype=torch.int32)
    return lambda: torch._int_mm(left, right, out=out).numpy()


def part(threads: int, backends: list[str], rounds: int) -> dict:
    """Rates, in operations in a second, of everyone on one number of threads, and the share of its
    ceiling that each back end reaches, the median of those of all turns."""
    at = cores(threads)
    hold(at)
    limits = loops(at, {_bound(name) for name in backends})
    shapes, absent = {}, {}
    with Neighbours() as neighbours:
        for shape in SHAPES:
            calls = _calls(shape, backends, at, absent)
            calls |= {name: run for name, (run, _) in limits.items()}
            hold(at[:1])
            times = take_turns(calls, rounds, threads)
            hold(at)
            shapes["x".join(map(str, shape))] = _rates(times, shape, backends, limits)
    ceiling_of = {name: _bound(name) for name in backends if _bound(name)}
    return {
        "threads": threads, "shapes": shapes, "ceiling_of": ceiling_of, "absent": absent,
        "others_cores": neighbours.cores,
    }  # fmt: skip


def _rates(times, shape, backends, limits) -> dict[str, dict[str, float]]:
    operations = {name: 2 * math.prod(shape) for name in times}
    operations |= {name: count for name, (_, count) in limits.items()}
    found = {name: {"rate": operations[name] / each.median_s} for name, each in times.items()}
    for name in backends:
        if bound := _bound(name):
            longer = times[bound].over(times[name]) / operations[bound]
            found[name]["share"] = operations[name] * longer
    return found


def _bound(backend: str) -> str | None:
    """The instruction that bounds a back end here."""
    there = {each.name for each in instructions()}
    return next((name for name in RESTS_ON.get(backend, ()) if name in there), None)


def _calls(shape, backends, at, absent: dict[str, str]) -> dict[str, peers.Run]:
    """The products of one shape by name, each compared with an exact one."""
    rows, depth, columns = shape
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (rows, depth)).astype(np.uint8)
    b = rng.integers(-128, 128, (depth, columns)).astype(np.int8)
    makers = {name: partial(Product, name) for name in backends}
    makers |= {RUNTIME: runtime_product, TORCH: torch_product}
    calls = {}
    for name, make in makers.items():
        try:
            calls[name] = make(a, b, at)
        except peers.Absent as reason:
            absent[name] = str(reason)
            continue
        left = a >> 1 if name == TORCH else a
        exact = left.astype(np.float64) @ b.astype(np.float64)
        wrong = int((calls[name]() != exact).sum())
        if wrong and name in backends:
            raise SystemExit(f"{name}: the product of {shape} is wrong; nothing is timed")
        if wrong:
            absent[name] = f"{wrong:,} of {exact.size:,} sums of {shape} are wrong"
            del calls[name]
    return calls


def main(argv=None):
    arguments = _parser().parse_args(argv)
    backends = [name for name in host.available() if name in TILES and name != "plain"]
    if arguments.backend:
        backends = [arguments.backend]
    if arguments.part:
        json.dump(part(arguments.threads[0], backends, arguments.rounds), sys.stdout)
        return
    options = [f"--rounds={arguments.rounds}", "--part"]
    options += [f"--backend={arguments.backend}"] if arguments.backend else []
    environment = peers.capped(arguments.backend) | {"OMP_PROC_BIND": "true"}
    counts = [count for count in arguments.threads if len(cores(count)) == count]
    parts = [
        peers.part(__file__, [*options, f"--threads={count}"], environment) for count in counts
    ]
    document = {
        "processor": processor(), "instruction_set": instruction_set(),
        "peers_held_to": environment.get("ONEDNN_MAX_CPU_ISA"), "parts": parts,
    }  # fmt: skip
    if arguments.format == "json":
        json.dump(document, sys.stdout, indent=2)
        print()
        return
    print(f"{document['processor']}: {document['instruction_set']}")
    if document["peers_held_to"]:
        print(f"torch is held to {document['peers_held_to']}")
    for each in parts:
        _print_table(each)


def _print_table(found: dict) -> None:
    threads, shapes = found["threads"], found["shapes"]
    heads = "".join(f"{shape:>16}" for shape in shapes)
    print(f"\n{f'GOPS, {threads} thread' + 's' * (threads > 1):32}{heads}")
    for name in dict.fromkeys(name for rates in shapes.values() for name in rates):
        cells = ""
        for rates in shapes.values():
            share = f"{rates[name]['share']:6.0%}" if "share" in rates[name] else " " * 6
            cells += f"{rates[name]['rate'] / 1e9:10,.0f}{share}"
        print(f"{name:32}{cells}")
    for name, reason in found["absent"].items():
        print(f"{name:32}  left out: {reason}")
    for name, bound in found["ceiling_of"].items():
        print(f"  % of {name}: of {bound}, taking turns with it")
    print(said_of_neighbours(found["others_cores"], threads))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", type=peers.backend, help="of qsim; by default all but plain")
    parser.add_argument("--threads", type=_numbers, default=[1, 2], metavar="N,...")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
