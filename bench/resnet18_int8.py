"""An int8 ResNet-18 in qsim's engine beside ONNX Runtime and OpenVINO, its integers compared first.

Run as ``python bench/resnet18_int8.py``, with the extra ``bench`` installed; a peer that is not
there is left out with a word. ``--format json`` prints one JSON document.

The network comes from torch, 224 x 224, with seeded weights, quantized per channel, uint8 by int8,
by ONNX Runtime's static quantizer. Every tensor of integers and every logit that qsim computes, by
each of its back ends, must equal ONNX Runtime's; otherwise nothing is timed, and the exit status is
1. Then all take turns, in one process for each number of threads, held to the same cores.

A ratio is qsim's time over a peer's, the median of those of all turns. ONNX Runtime runs both forms
of the model; the ratio is to the faster one. On one thread time is the processor's for the process.
Where ``--backend`` names one that uses less than the machine has, OpenVINO is held to the same
instruction set; ONNX Runtime has no such switch. The back ends pairs16 and pairs8 are compiled to
whatever the processor has; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES make it an older one's, as
``haswell`` and ``+avx,+avx2,+bmi,+bmi2,+fma``.
"""

import argparse
import json
import sys

import numpy as np
import peers
from machine import instruction_set, processor
from resnet18_models import FORMS, images, int8_models
from side_by_side import Neighbours, cores, hold, said_of_neighbours, take_turns

from qsim.errors import QsimError
from qsim.kernels.simd import host

OPENVINO = "OpenVINO, qdq"
RUNTIME = {form: f"ONNX Runtime, {form}" for form in FORMS}
COMPARED_IMAGES = 2
WARM_UP = 2  # calls of everyone before the caller is held to one core
RATIOS = {"onnxruntime": list(RUNTIME.values()), "openvino": [OPENVINO]}
FIGURES = [(threads, batch) for threads in (1, 2) for batch in (1, 16)]


def ours(backend: str) -> str:
    """What a back end of ours is called in tables."""
    return f"qsim, {backend}"


def part(arguments) -> dict:
    """All engines on one number of threads: milliseconds a call, ratios, what was compared."""
    [threads] = arguments.threads
    at, models = cores(threads), int8_models()
    hold(at)
    engines, held, absent = _engines(models["qdq"], arguments.backend, at)
    found = {"threads": threads, "absent": absent, "batches": {}}
    if engines:
        found["compared"] = _compared(engines, held, models["qdq"])
        if any(found["compared"]["different"].values()):
            return found
    with Neighbours() as neighbours:
        for batch in arguments.batch:
            found["batches"][str(batch)] = _timed(
                engines, models, images(batch), at, arguments.rounds, absent
            )
    return found | {"others_cores": neighbours.cores}


def _engines(path, backends, at):
    """Our engines by back end, the model as it was read, and why what is absent is."""
    peers.use_tests()
    import onnx
    from conformance.program_files import read

    from qsim.engine import Engine

    held, engines, absent = read(onnx.load(path)), {}, {}
    for backend in backends:
        try:
            engines[ours(backend)] = Engine(held.program, backend, **peers.on(at))
        except QsimError as reason:
            absent[ours(backend)] = str(reason)
    return engines, held, absent


def _compared(engines, held, path) -> dict:
    """How many tensors of integers, and logits, there are, and those that are not ONNX Runtime's,
    of each engine."""
    import onnx
    from conformance.quantized_networks import with_outputs

    from qsim.onnx_runtime import zero_point_of

    batch, model = images(COMPARED_IMAGES), onnx.load(path)
    every = with_outputs(model, list(held.layers)).SerializeToString()
    session = peers.onnxruntime_session(every, cores(1))
    names = [output.name for output in session.get_outputs()]
    fed = {session.get_inputs()[0].name: batch}
    theirs = dict(zip(names, session.run(None, fed), strict=True))
    logits = peers.onnxruntime_call(path, batch, cores(1))()
    different = {}
    for name, engine in engines.items():
        levels = engine.tensors(batch)
        different[name] = [
            tensor
            for tensor, layer in held.layers.items()
            if not np.array_equal(
                levels[layer] + zero_point_of(held.program.formats[layer]), theirs[tensor]
            )
        ]
        if not np.array_equal(engine.run(batch).astype(np.float32), logits):
            different[name].append("logits")
    return {
        "tensors": len(held.layers) + 1, "different": different,
        "integers": sum(theirs[tensor].size for tensor in held.layers),
        "logits": int(logits.size), "openvino_equal_logits": _openvino_equal(path, batch, logits),
    }  # fmt: skip


def _openvino_equal(path, batch, logits) -> int | None:
    """How many logits of OpenVINO are ONNX Runtime's."""
    try:
        return int((peers.openvino_call(path, batch, cores(1))() == logits).sum())
    except peers.Absent:
        return None


def _timed(engines, models, x, at, rounds, absent: dict[str, str]) -> dict:
    """Milliseconds of everyone for a batch of images, and the ratio of ours to each peer."""
    makers = {RUNTIME[form]: (peers.onnxruntime_call, models[form]) for form in FORMS}
    makers[OPENVINO] = peers.openvino_call, models["qdq"]
    calls = {name: lambda engine=engine: engine.run(x) for name, engine in engines.items()}
    for name, (make, model) in makers.items():
        try:
            calls[name] = make(model, x, at)
        except peers.Absent as reason:
            absent[name] = str(reason)
    for call in calls.values():  # starts their threads, which may run on all cores
        for _ in range(WARM_UP):
            call()
    hold(at[:1])
    times = take_turns(calls, rounds, len(at))
    hold(at)
    found = {name: each.in_ms for name, each in times.items()}
    for name in engines:
        there = [peer for peer in makers if peer in times]
        found[name]["ratios"] = {peer: times[name].over(times[peer]) for peer in there}
        found[name]["ratios_of_medians"] = {
            peer: times[name].of_medians(times[peer]) for peer in there
        }
    return found


def summary(parts: list[dict], backends: list[str], held_to: str | None = None) -> dict:
    """The document that ``--format json`` prints; its ratios are those of the first back end, and
    under ``by_backend`` of each."""
    absent = {name: why for part in parts for name, why in part["absent"].items()}
    document = {
        "network": "resnet18, 224 x 224, int8, quantized by ONNX Runtime, uint8 x int8 per channel",
        "processor": processor(),
        "instruction_set": instruction_set(),
        "peers_held_to": held_to,
        "backend": backends[0],
    }
    by_backend, reasons = {}, {}
    for backend in backends:
        by_backend[backend], why = _figures(parts, backend, absent)
        reasons = reasons or why
    compared = [part["compared"] for part in parts if "compared" in part]
    more = {"compared_integers": "integers", "compared_logits": "logits",
            "openvino_equal_logits": "openvino_equal_logits"}  # fmt: skip
    more = {key: compared[0][name] if compared else None for key, name in more.items()}
    rest = {"by_backend": by_backend, "reasons": reasons, "absent": absent, "parts": parts}
    return document | by_backend[backends[0]] | more | rest


def _figures(parts, backend, absent) -> tuple[dict, dict[str, str]]:
    """What was compared and the ratios of a back end, None where there is none, and why."""
    name = ours(backend)
    compared = [part["compared"] for part in parts if "compared" in part]
    compared = [each for each in compared if name in each["different"]]
    different = sorted({tensor for each in compared for tensor in each["different"][name]})
    tensors = compared[0]["tensors"] if compared else None
    figures = {
        "compared_tensors": tensors, "different_tensors": different,
        "identical_tensors": tensors - len(different) if compared else None,
    }  # fmt: skip
    reasons = {} if compared else {"identical_tensors": absent.get(name, "not compared")}
    for peer, names in RATIOS.items():
        for threads, batch in FIGURES:
            key = f"ratio_{peer}_{threads}t" + (f"_batch{batch}" if batch > 1 else "")
            figures[key], why = _ratio(parts, (name, *names), threads, batch, absent)
            if why:
                reasons[key] = why
    return figures, reasons


def _ratio(parts, names, threads, batch, absent) -> tuple[float | None, str]:
    """Our time over that of the fastest of some peers, or None and why."""
    name, *others = names
    for part in parts:
        found = part["batches"].get(str(batch), {})
        there = [other for other in others if other in found]
        if part["threads"] == threads and there and name in found:
            fastest = min(there, key=lambda other: found[other]["ms"])
            return found[name]["ratios"][fastest], ""
    missing = [f"{each}: {absent[each]}" for each in names if each in absent]
    plural = f"{threads} thread{'s' * (threads > 1)} with {batch} image{'s' * (batch > 1)}"
    return None, "; ".join(missing) or f"not measured on {plural}"


def main(argv=None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.part:
        json.dump(part(arguments), sys.stdout)
        return 0
    try:
        int8_models()
    except peers.Absent as reason:
        print(f"nothing can be compared: {reason}", file=sys.stderr)
        return 2
    backends, held_to = _backends(arguments.backend)
    options = [f"--rounds={arguments.rounds}", "--part", "--backend=" + ",".join(backends)]
    options += ["--batch=" + ",".join(map(str, arguments.batch))]
    counts = [count for count in arguments.threads if len(cores(count)) == count]
    parts = [peers.part(__file__, [*options, f"--threads={count}"], held_to) for count in counts]
    document = summary(parts, backends, held_to.get("ONEDNN_MAX_CPU_ISA"))
    if arguments.format == "json":
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        _print_tables(document, arguments.batch)
    different = any(each["different_tensors"] for each in document["by_backend"].values())
    return 1 if different else 0


def _backends(asked: list[str] | None) -> tuple[list[str], dict[str, str]]:
    """The back ends to run, by default all but plain, and what holds peers to their sets."""
    if asked is None:
        return [name for name in host.available() if name != "plain"] or ["plain"], {}
    return asked, peers.capped(asked[0]) if asked[0] != host.choose().name else {}


def _print_tables(document: dict, batches: list[int]) -> None:
    print(document["network"])
    print(f"{document['processor']}: {document['instruction_set']}")
    for backend, figures in document["by_backend"].items():
        if figures["compared_tensors"] is not None:
            print(
                f"{ours(backend)}: {figures['identical_tensors']} of {figures['compared_tensors']}"
                f" tensors are ONNX Runtime's ({document['compared_integers']:,} integers,"
                f" {document['compared_logits']:,} logits)"
            )
        for name in figures["different_tensors"]:
            print(f"  different: {name}; nothing is timed")
    if document["openvino_equal_logits"] is not None:
        print(f"OpenVINO: {document['openvino_equal_logits']:,} of the logits are ONNX Runtime's")
    if document["peers_held_to"]:
        print(f"OpenVINO is held to {document['peers_held_to']}")
    for found in document["parts"]:
        _print_table(found, list(map(str, batches)))
    for name, reason in document["absent"].items():
        print(f"{name}: left out, {reason}")


def _print_table(found: dict, batches: list[str]) -> None:
    """Of one number of threads: a row for each engine, ours with their ratios to the peers."""
    threads = found["threads"]
    batches = [batch for batch in batches if batch in found["batches"]]
    print(f"\n{f'{threads} thread' + 's' * (threads > 1):26}" + "".join(
        f"{f'batch {batch}, ms':>14}{'to ORT':>9}{'to OpenVINO':>13}" for batch in batches
    ))  # fmt: skip
    for name in dict.fromkeys(name for batch in batches for name in found["batches"][batch]):
        cells = ""
        for batch in batches:
            cells += f"{found['batches'][batch][name]['ms']:14.2f}"
            for peer_names, width in zip(RATIOS.values(), (9, 13), strict=True):
                ratio = None
                if "ratios" in found["batches"][batch][name]:
                    ratio, _ = _ratio([found], (name, *peer_names), threads, int(batch), {})
                cells += " " * width if ratio is None else f"{ratio:{width}.3f}"
        print(f"{name:26}{cells}")
    print(said_of_neighbours(found.get("others_cores"), threads))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--backend", type=lambda text: [*map(peers.backend, text.split(","))], metavar="NAME,...",
        help="of qsim; by default all that this machine has, but plain",
    )  # fmt: skip
    parser.add_argument("--threads", type=_numbers, default=[1, 2], metavar="N,...")
    parser.add_argument("--batch", type=_numbers, default=[1, 16], metavar="N,...")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each engine")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
