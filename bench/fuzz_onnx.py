"""What becomes of thousands of ONNX files with something in them changed.

Run as ``python bench/fuzz_onnx.py [--count N] [--seed S] [--first K] [--no-compare]``, where onnx
is installed. Valid models of many operators (tests/onnx_seeds.py) are changed in bytes or fields
(tests/onnx_mutations.py) and read. Each must be refused in one sentence, or be read as what it is:
where ONNX Runtime is installed and runs the file too, the results are compared.

Cases run in parts, each in a process with an address space of ``MOST_BYTES``; a case that takes
more than ``MOST_SECONDS`` is a failure, as is a process that ends. Printed are the verdicts by
kind, the failures with their numbers (``--first K --count 1`` repeats one), the slowest case and
the most memory. The exit status is 1 where anything failed.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PART = 500
MOST_BYTES = 6 * 2**30
MOST_SECONDS = 10


def part(arguments: argparse.Namespace) -> None:
    """Run cases in this process and print what became of each, a line of JSON for each."""
    sys.path.insert(0, str(ROOT / "tests"))
    import onnx_mutations
    from onnx_seeds import SEEDS
    from onnx_verdicts import computed, verdict

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _late)
    valid = [make() for make in SEEDS.values()]
    run = None if arguments.no_compare else computed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for number in range(arguments.first, arguments.first + arguments.count):
            print(json.dumps({"begun": number}), flush=True)
            which, data = onnx_mutations.mutated(valid, arguments.seed, number)
            path.write_bytes(data)
            start = time.perf_counter()
            signal.alarm(MOST_SECONDS)
            try:
                found = verdict(path, run)
            except BaseException as error:
                found = f"failed: {type(error).__name__}: {str(error)[:300]}"
                if arguments.count == 1:
                    traceback.print_exc()
            signal.alarm(0)
            usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            line = {
                "number": number, "model": list(SEEDS)[which], "found": found,
                "seconds": time.perf_counter() - start, "kilobytes": usage,
            }  # fmt: skip
            print(json.dumps(line), flush=True)


def _late(*_):
    raise TimeoutError(f"longer than {MOST_SECONDS} s")


def main() -> int:
    """Run the parts and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--no-compare", action="store_true", help="without ONNX Runtime")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part(arguments)
        return 0
    found: Counter = Counter()
    failures, slowest, most = [], (0.0, -1), 0
    last = arguments.first + arguments.count
    first = arguments.first
    while first < last:
        lines, begun, code = _run_part(arguments, first, min(PART, last - first))
        for line in lines:
            kind = "failed" if line["found"].startswith("failed") else line["found"]
            found[line["model"], kind] += 1
            if kind == "failed":
                failures.append((line["number"], line["model"], line["found"]))
            slowest = max(slowest, (line["seconds"], line["number"]))
            most = max(most, line["kilobytes"])
        if code:
            failures.append((begun, "", f"failed: the process ended with status {code}"))
        first = begun + 1
    kinds = ("refused", "read", "equal", "failed")
    print(f"{'model':12}" + "".join(f"{kind:>9}" for kind in kinds))
    for model in sorted({model for model, _ in found}):
        print(f"{model:12}" + "".join(f"{found[model, kind]:>9,}" for kind in kinds))
    totals = [sum(n for (_, k), n in found.items() if k == kind) for kind in kinds]
    print(f"{'all':12}" + "".join(f"{n:>9,}" for n in totals))
    print(f"slowest {slowest[0]:.2f} s (case {slowest[1]}), most memory {most / 2**10:,.0f} MB")
    for number, model, text in failures:
        print(f"case {number} ({model}) {text}")
    return 1 if failures else 0


def _run_part(arguments: argparse.Namespace, first: int, count: int):
    """What became of cases in another process, the last that was begun, and its status."""
    command = [sys.executable, __file__, "--part", "--first", str(first), "--count", str(count)]
    command += ["--seed", str(arguments.seed)] + ["--no-compare"] * arguments.no_compare
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    begun = max((line["begun"] for line in lines if "begun" in line), default=first + count - 1)
    return [line for line in lines if "found" in line], begun, ran.returncode


if __name__ == "__main__":
    sys.exit(main())
