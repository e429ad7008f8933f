"""A ResNet-18 of few bits in qsim's engine, beside its own int8 one and the programs others have.

Run as ``python bench/low_bits.py``, with the extras ``test`` and ``bench`` installed; a peer that
is not there is left out with a word. ``--format json`` prints one JSON document.

Weights and images are seeded. Every network is compared with ``qsim.execute`` before it is timed,
all its results with ``==``; where one differs, nothing is timed and the exit status is 1. Then:

  the formats          all take turns with int8; the first and the last layer have 8 bits where the
                       others have fewer than 4
  W4A4 and QONNX       QONNX's executor runs the program that qsim exports, its constants folded;
                       all scales are powers of two (requantize: shift), as it computes in float32
  W4A4 and ONNX        ONNX Runtime runs the program that qsim exports as QCDQ (requantize:
  Runtime              onnxruntime), whose results are the same
  int8 and LiteRT      LiteRT's reference kernels run the convolutions, pools and additions of a
                       program whose requantize is tflite-reference; every integer is the same

A ratio is qsim's time over the other's, the median of those of all turns; on one thread time is the
processor's for this process.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import peers
from machine import instruction_set, processor
from side_by_side import Neighbours, Times, cores, hold, said_of_neighbours, take_turns

from hwmodels.documents import convert
from qsim.errors import QsimError
from qsim.evaluate import make_program
from qsim.execute import execute
from qsim.kernels.simd.host import choose
from qsim.network.graph import INPUT
from qsim.program import Program
from qsim.values import Step, Value, real
from qsim.workload import WorkloadDocument, workload_of

NETWORK, SHAPE = "resnet18", (3, 224, 224)
UNSIGNED = {4: {"fixed": {"bits": 4, "signed": False}}, 8: {"fixed": {"bits": 8, "signed": False}}}
EIGHT = {"weights": {"fixed": {"bits": 8}}, "activations": UNSIGNED[8]}
ENDS = {"first": EIGHT, "last": EIGHT}
INT8 = "int8"
MOST_ROUNDS_OF_SLOW = 5  # turns of peers that take a second


def _of(weights, activations, **more) -> dict:
    return {"default": {"weights": weights, "activations": activations}} | more


PRECISIONS = {
    INT8: {"default": EIGHT},
    "W4A4": _of({"fixed": {"bits": 4}}, UNSIGNED[4]),
    "SP2, W4A4": _of({"sp2": {"bits": 4}}, UNSIGNED[4]),
    "MSQ, W4A4": _of({"msq": {"bits": 4, "fixed_to_sp2": "1:1.5"}}, UNSIGNED[4]),
    "DoReFa, W1A1": _of({"dorefa_weights": {"bits": 1}}, {"dorefa_activations": {"bits": 1}},
                        ends=ENDS),
    "DoReFa, W1A2": _of({"dorefa_weights": {"bits": 1}}, {"dorefa_activations": {"bits": 2}},
                        ends=ENDS),
    "TWN, ternary, A8": _of("twn", UNSIGNED[8], ends=ENDS),
    "TWN, ternary, A2": _of("twn", {"dorefa_activations": {"bits": 2}}, ends=ENDS),
}  # fmt: skip
AFFINE = {bits: _of({"affine": {"bits": bits, "mode": "restricted"}}, {"affine": {"bits": bits}})
          for bits in (4, 8)}  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """Our engine for a program whose results were compared, as a call.

    steps   by tensor, what ``execute`` computes
    """

    program: Program
    run: peers.Run
    steps: dict[str, Step]

    @property
    def output(self) -> Value:
        return self.steps[self.program.network.output].value

    def codes(self, name: str) -> np.ndarray:
        """A rounded tensor as LiteRT has it."""
        from conformance.litert_networks import codes_of

        return codes_of(self.program, name, self.steps[name].value.levels)


class Different(Exception):
    """Whose results differ, as a clause."""


def program_of(precision: dict, requantize: str = "onnx") -> Program:
    """The integer program of ResNet-18 with seeded weights."""
    asked = {"network": NETWORK, "precision": precision, "execute": {"requantize": requantize}}
    document = convert(asked, WorkloadDocument, where="bench")
    return make_program(workload_of(Path("bench"), document))


def prepared(precision: dict, requantize: str, image: np.ndarray, arguments) -> Prepared:
    """Our engine for a precision. Raises peers.Absent where it cannot be compiled, Different where
    a result is not that of ``execute``."""
    from qsim.engine import Engine

    program = program_of(precision, requantize)
    try:
        engine = Engine(program, arguments.backend, **peers.on(cores(arguments.threads)))
    except QsimError as reason:
        raise peers.Absent(str(reason)) from None
    steps = execute(program, image)
    ours = Prepared(program, lambda: engine.run(image), steps)
    if not np.array_equal(ours.run(), real(ours.output)):
        raise Different("a result of the engine is not that of execute")
    return ours


def beside_int8(image, arguments) -> dict:
    """Milliseconds of each precision, and its ratio to int8."""
    ready, absent = {}, {}
    for name, precision in PRECISIONS.items():
        try:
            ready[name] = prepared(precision, "onnx", image, arguments)
        except peers.Absent as reason:
            absent[name] = str(reason)
    calls = {name: each.run for name, each in ready.items()}
    times = take_turns(calls, arguments.rounds, arguments.threads)
    found = {name: each.in_ms for name, each in times.items()}
    for name, each in times.items() if INT8 in times else ():
        found[name]["ratio"] = each.over(times[INT8])
    return {"found": found, "absent": absent}


def beside_peer(precision, requantize, make_peer, image, arguments) -> dict:
    """Milliseconds of our engine and of a peer that ``make_peer`` makes of what is prepared, with a
    note on what of the two is equal."""
    try:
        ours = prepared(precision, requantize, image, arguments)
        peer, note = make_peer(ours, image)
    except peers.Absent as reason:
        return {"absent": str(reason)}
    rounds = min(arguments.rounds, MOST_ROUNDS_OF_SLOW)
    times = take_turns({"qsim": ours.run, "peer": peer}, rounds, arguments.threads)
    return _pair(times, note)


def _pair(times: dict[str, Times], note: str) -> dict:
    ours, peer = times["qsim"], times["peer"]
    return {
        **ours.in_ms, "peer_ms": 1e3 * peer.median_s, "ratio": ours.over(peer),
        "times_faster": peer.over(ours), "note": note,
    }  # fmt: skip


def qonnx_executor(ours: Prepared, image) -> tuple[peers.Run, str]:
    """QONNX's executor on the exported program. Raises peers.Absent, Different."""
    peers.need("onnx", "onnxruntime", "qonnx", "pytest")
    peers.use_tests()
    from conformance.qonnx_models import RUNTIME_IR_VERSION, prepared
    from qonnx.core import onnx_exec
    from qonnx.transformation.fold_constants import FoldConstants

    from qsim.onnx_writer import qonnx_model

    warnings.simplefilter("ignore")
    make = onnx_exec.qonnx_make_model  # its own would write what the runtime cannot read
    onnx_exec.qonnx_make_model = partial(make, ir_version=RUNTIME_IR_VERSION)
    model = prepared(qonnx_model(ours.program)).transform(FoldConstants())
    fed = {model.graph.input[0].name: image}
    [output] = [each.name for each in model.graph.output]

    def run():
        return onnx_exec.execute_onnx(model, fed)[output]

    if not np.array_equal(np.asarray(run()).reshape(-1), real(ours.output).reshape(-1)):
        raise Different("QONNX's result is another")
    return run, f"all {real(ours.output).size:,} results are equal"


def runtime_qcdq(ours: Prepared, image) -> tuple[peers.Run, str]:
    """ONNX Runtime on the exported program. Raises peers.Absent, Different."""
    peers.need("onnx", "onnxruntime")
    from qsim.onnx_writer import onnx_model

    model = onnx_model(ours.program, "qdq").SerializeToString()
    run = peers.onnxruntime_call(model, image, cores(1))
    [(sums, scale)] = ours.output.terms
    scaled = sums.astype(np.float32) * scale.astype(np.float32)  # as the runtime gives sums
    if not np.array_equal(run(), scaled):
        raise Different("ONNX Runtime's result is another")
    return run, f"all {sums.size:,} results are equal"


def litert_reference(ours: Prepared, image) -> tuple[peers.Run, str]:
    """LiteRT's reference kernels on the program's convolutions, pools and additions. Raises
    peers.Absent, Different."""
    peers.need("ai_edge_litert", "tflite", "flatbuffers", "pytest")
    peers.use_tests()
    from conformance.litert_networks import litert_file
    from conformance.tflite_models import interpreter

    content, names = litert_file(ours.program)
    loaded = interpreter(content, "reference")
    [fed] = loaded.get_input_details()
    loaded.set_tensor(fed["index"], ours.codes(INPUT))
    loaded.invoke()
    integers = 0
    for name, given in zip(names, loaded.get_output_details(), strict=True):
        theirs = loaded.get_tensor(given["index"])
        integers += theirs.size
        if not np.array_equal(theirs, ours.codes(name)):
            raise Different(f"LiteRT's tensor {name} is another")
    note = f"all {integers:,} integers of {len(names)} tensors are equal; without the last layer"
    return loaded.invoke, note


PEERS: dict[str, tuple[str, dict, str, Callable]] = {
    "w4a4_qonnx": ("W4A4, QONNX's executor", PRECISIONS["W4A4"], "shift", qonnx_executor),
    "w4a4_onnxruntime": ("W4A4, ONNX Runtime (QCDQ)", AFFINE[4], "onnxruntime", runtime_qcdq),
    "int8_litert_reference": ("int8, LiteRT's reference kernels", AFFINE[8], "tflite-reference",
                              litert_reference),
}  # fmt: skip


def measure(arguments) -> dict:
    """All comparisons. Raises Different."""
    image = np.random.default_rng(1).random((1, *SHAPE)).astype(np.float32)
    hold(cores(arguments.threads))
    with Neighbours() as neighbours:
        formats = beside_int8(image, arguments)
        beside = {
            key: beside_peer(precision, requantize, make, image, arguments)
            for key, (_, precision, requantize, make) in PEERS.items()
        }
    document = {
        "network": f"{NETWORK}, 224 x 224, seeded weights, 1 image",
        "processor": processor(), "instruction_set": instruction_set(),
        "backend": choose(arguments.backend).name, "threads": arguments.threads,
        "formats": formats["found"], "absent": formats["absent"], "peers": beside,
        "others_cores": neighbours.cores,
    }  # fmt: skip
    return document | {
        f"times_faster_{key}": found.get("times_faster") for key, found in beside.items()
    }


def main(argv=None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        document = measure(arguments)
    except Different as reason:
        print(f"{reason}; nothing is timed", file=sys.stderr)
        return 1
    if arguments.format == "json":
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        _print_tables(document)
    return 0


def _print_tables(document: dict) -> None:
    print(f"{document['network']}, {document['threads']} thread(s)")
    print(f"{document['processor']}: {document['instruction_set']}")
    print(f"qsim's back end: {document['backend']}")
    print(f"\n{'':34}{'ms':>10}{'of int8':>10}")
    for name, found in document["formats"].items():
        ratio = f"{found['ratio']:10.3f}" if "ratio" in found else ""
        print(f"{name:34}{found['ms']:10.2f}{ratio}")
    for name, reason in document["absent"].items():
        print(f"{name:34}  left out: {reason}")
    print(f"\n{'':34}{'qsim, ms':>10}{'peer, ms':>10}{'times faster':>14}")
    for key, found in document["peers"].items():
        title = PEERS[key][0]
        if "absent" in found:
            print(f"{title:34}  left out: {found['absent']}")
            continue
        figures = f"{found['ms']:10.2f}{found['peer_ms']:10.1f}{found['times_faster']:14.1f}"
        print(f"{title:34}{figures}  {found['note']}")
    print(said_of_neighbours(document["others_cores"], document["threads"]))


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", type=peers.backend, help="of qsim; by default the fastest")
    parser.add_argument("--threads", type=peers.thread_count, default=1, help="of qsim's engine")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    return parser


if __name__ == "__main__":
    sys.exit(main())
