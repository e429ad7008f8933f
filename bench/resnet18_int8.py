"""An int8 ResNet-18 in qsim's engine beside ONNX Runtime and OpenVINO, its integers compared first.

Run as ``python bench/resnet18_int8.py``, with the extras ``test`` and ``bench`` installed; a peer
that is not there is left out with a word. ``--format json`` prints one JSON document.

The network comes from torch, 224 x 224, with seeded weights, quantized per channel, uint8 by int8,
by ONNX Runtime's static quantizer. Every tensor of integers and every logit that qsim computes must
equal ONNX Runtime's; otherwise nothing is timed, and the exit status is 1. Then the engines take
turns in one process for each number of threads, all held to the same cores. A ratio is qsim's time
over a peer's, the median of those of all turns; ONNX Runtime runs both forms of the model, and the
ratio is to the faster one. Where ``--backend`` names an older instruction set than the machine
has, OpenVINO is held to that set too; ONNX Runtime has no such switch.
"""

import argparse
import json
import sys

import numpy as np
import peers
from machine import instruction_set, processor
from resnet18_models import FORMS, images, int8_models
from side_by_side import Neighbours, cores, hold, take_turns

OURS, OPENVINO = "qsim", "OpenVINO, qdq"
RUNTIME = {form: f"ONNX Runtime, {form}" for form in FORMS}
COMPARED_IMAGES = 2
WARM_UP = 2  # calls of every engine before the caller is held to one core


def engine_of(program, backend, threads, at):
    """qsim's engine for a program. Raises peers.Absent where a back end cannot run here."""
    from qsim.engine import Engine

    return Engine(program, backend=backend, threads=threads, affinity=at)


def part(arguments) -> dict:
    """All engines on one number of threads: milliseconds a call, ratios, what was compared."""
    [threads], at = arguments.threads, cores(arguments.threads[0])
    hold(at)
    models = int8_models()
    engines, absent = _engines(models, arguments.backend, threads, at)
    found = {"threads": threads, "absent": absent, "batches": {}}
    if OURS in engines:
        engine, held = engines[OURS]
        found |= {"backend": engine.backend, "compared": _compared(engine, held, models["qdq"])}
        if found["compared"]["different"]:
            return found
    with Neighbours() as neighbours:
        for batch in arguments.batch:
            found["batches"][str(batch)] = _timed(engines, models, batch, at, arguments.rounds)
    return found | {"others_cores": neighbours.cores}


def _engines(models, backend, threads, at):
    """What can run here, by name, and why the rest cannot."""
    engines, absent = {}, {}
    try:
        peers.use_tests()
        import onnx
        from conformance.program_files import read

        held = read(onnx.load(models["qdq"]))
        engines[OURS] = engine_of(held.program, backend, threads, at), held
    except (peers.Absent, ValueError, ImportError) as reason:
        absent[OURS] = str(reason)
    for name, module in [*((name, "onnxruntime") for name in RUNTIME.values()),
                         (OPENVINO, "openvino")]:  # fmt: skip
        try:
            peers.need(module)
            engines[name] = None
        except peers.Absent as reason:
            absent[name] = str(reason)
    return engines, absent


def _compared(engine, held, path) -> dict:
    """How many tensors of integers, and logits, are ONNX Runtime's, and the names of the others."""
    import onnx
    from conformance.quantized_networks import with_outputs

    from qsim.onnx_runtime import zero_point_of

    batch, model = images(COMPARED_IMAGES), onnx.load(path)
    session = peers.onnxruntime_session(
        with_outputs(model, list(held.layers)).SerializeToString(), cores(1)
    )
    names = [output.name for output in session.get_outputs()]
    fed = {session.get_inputs()[0].name: batch}
    theirs = dict(zip(names, session.run(None, fed), strict=True))
    ours, different = engine.tensors(batch), []
    for tensor, layer in held.layers.items():
        codes = ours[layer] + zero_point_of(held.program.formats[layer])
        if not np.array_equal(codes, theirs[tensor]):
            different.append(tensor)
    logits = engine.run(batch).astype(np.float32)
    alone = peers.onnxruntime_call(path, batch, cores(1))()
    if not np.array_equal(logits, alone):
        different.append("logits")
    integers = sum(theirs[tensor].size for tensor in held.layers)
    return {
        "tensors": len(held.layers) + 1, "different": different, "integers": integers,
        "logits": int(alone.size),
    }  # fmt: skip


def _timed(engines, models, batch, at, rounds) -> dict:
    """Milliseconds of each engine for a batch of images, and our ratio to each."""
    x = images(batch)
    calls = {}
    for name in engines:
        if name == OURS:
            calls[name] = lambda engine=engines[OURS][0]: engine.run(x)
        elif name == OPENVINO:
            calls[name] = peers.openvino_call(models["qdq"], x, at)
        else:
            form = next(form for form in FORMS if RUNTIME[form] == name)
            calls[name] = peers.onnxruntime_call(models[form], x, at)
    for call in calls.values():  # starts their threads, which may run on all cores
        for _ in range(WARM_UP):
            call()
    hold(at[:1])
    times = take_turns(calls, rounds, len(at))
    hold(at)
    found = {name: {"ms": 1e3 * each.median_s} for name, each in times.items()}
    for name, each in times.items() if OURS in times else ():
        found[name]["ratio"] = times[OURS].over(each)
        found[name]["ratio_of_medians"] = times[OURS].of_medians(each)
    return found


def summary(parts: list[dict], backend: str | None) -> dict:
    """The document that ``--format json`` prints."""
    absent = {name: why for part in parts for name, why in part["absent"].items()}
    compared = next((part["compared"] for part in parts if "compared" in part), None)
    document = {
        "network": "resnet18, 224 x 224, int8, quantized by ONNX Runtime, uint8 x int8 per channel",
        "processor": processor(),
        "instruction_set": instruction_set(),
        "backend": next((part["backend"] for part in parts if "backend" in part), None),
        "peers_held_to": peers.capped(backend).get("ONEDNN_MAX_CPU_ISA"),
        "identical_tensors": None,
        "compared_tensors": None,
    }
    if compared:
        document["compared_tensors"] = compared["tensors"]
        different = {name for part in parts for name in part["compared"]["different"]}
        document["identical_tensors"] = compared["tensors"] - len(different)
        document["different_tensors"] = sorted(different)
        document["compared_integers"] = compared["integers"]
        document["compared_logits"] = compared["logits"]
    reasons = {}
    for threads in (1, 2):
        for peer, names in {"onnxruntime": RUNTIME.values(), "openvino": [OPENVINO]}.items():
            for batch, suffix in ((1, ""), (16, "_batch16")):
                key = f"ratio_{peer}_{threads}t{suffix}"
                document[key], why = _ratio(parts, threads, batch, names, absent)
                if why:
                    reasons[key] = why
    if document["backend"] is None:
        reasons["backend"] = reasons["identical_tensors"] = absent.get(OURS, "not compared")
    return document | {"reasons": reasons, "absent": absent, "parts": parts}


def _ratio(parts, threads, batch, names, absent):
    """Our time over that of the fastest of some engines, or None and why."""
    for part in parts:
        found = part["batches"].get(str(batch), {})
        there = [found[name] for name in names if name in found]
        if part["threads"] == threads and there:
            fastest = min(there, key=lambda each: each["ms"])
            if "ratio" in fastest:
                return fastest["ratio"], ""
    for name in (OURS, *names):
        if name in absent:
            return None, f"{name}: {absent[name]}"
    return None, f"not measured on {threads} threads with {batch} images"


def main(argv=None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.part:
        json.dump(part(arguments), sys.stdout)
        return 0
    try:
        int8_models()
    except peers.Absent as reason:
        print(f"the model cannot be made: {reason}", file=sys.stderr)
        return 2
    options = [f"--rounds={arguments.rounds}", "--part"]
    options += ["--batch=" + ",".join(map(str, arguments.batch))]
    options += [f"--backend={arguments.backend}"] if arguments.backend else []
    environment = peers.capped(arguments.backend)
    counts = [count for count in arguments.threads if len(cores(count)) == count]
    parts = [
        peers.part(__file__, [*options, f"--threads={count}"], environment) for count in counts
    ]
    document = summary(parts, arguments.backend)
    if arguments.format == "json":
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        _print_table(document, arguments)
    return 1 if document.get("different_tensors") else 0


def _print_table(document: dict, arguments) -> None:
    print(document["network"])
    print(f"{document['processor']}: {document['instruction_set']}")
    if document["backend"]:
        print(f"qsim's back end: {document['backend']}")
        print(
            f"identical to ONNX Runtime: {document['identical_tensors']} of"
            f" {document['compared_tensors']} tensors ({document['compared_integers']:,} integers,"
            f" {document['compared_logits']:,} logits)"
        )
    for name in document.get("different_tensors", []):
        print(f"different: {name}; nothing is timed")
    if document["peers_held_to"]:
        print(f"OpenVINO is held to {document['peers_held_to']}")
    columns = [
        (part, batch) for part in document["parts"] for batch in map(str, arguments.batch)
        if batch in part["batches"]
    ]  # fmt: skip
    heads = [f"batch {batch}, {part['threads']} thr." for part, batch in columns]
    print(f"\n{'ms a call, ratio of qsim to it':32}" + "".join(f"{head:>22}" for head in heads))
    for name in (OURS, *RUNTIME.values(), OPENVINO):
        if name in document["absent"]:
            print(f"{name:32}  left out: {document['absent'][name]}")
            continue
        cells = [part["batches"][batch].get(name) for part, batch in columns]
        print(f"{name:32}" + "".join(f"{_cell(cell, name):>22}" for cell in cells))
    for part in document["parts"]:
        if part.get("others_cores") is not None:
            others, threads = part["others_cores"], part["threads"]
            print(f"other programs kept {others:.2f} cores busy meanwhile ({threads} thr.)")


def _cell(cell: dict | None, name: str) -> str:
    if cell is None:
        return ""
    ratio = f"{cell['ratio']:7.3f}" if "ratio" in cell and name != OURS else " " * 7
    return f"{cell['ms']:9.2f} {ratio}"


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", help="of qsim; by default the fastest")
    parser.add_argument("--threads", type=_numbers, default=[1, 2], metavar="N,...")
    parser.add_argument("--batch", type=_numbers, default=[1, 16], metavar="N,...")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each engine")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
