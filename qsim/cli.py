"""The command line: parse, call one function, print. Nothing else prints.

Exit status: 0 done, 2 a mistake in what was asked, 1 a fault of qsim.
"""

import argparse
import gc
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from hwmodels.errors import InputError
from qsim.arguments import make_parser

COLLECT_AFTER = 250_000  # objects: a start makes many, and hardly one of them is rubbish
PIPE_COLUMNS = 120  # width of tables that do not go to a terminal


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` (by default this process's) and return its exit status."""
    try:
        args = make_parser().parse_args(argv)
        return COMMANDS[args.command](args)
    except InputError as error:
        print(f"qsim: {_one_line(error)}", file=sys.stderr)
        return 2
    except MemoryError as error:
        what = _one_line(error) or "out of memory"
        print(f"qsim: needs more memory than there is ({what}); ask for less", file=sys.stderr)
        return 2


def run() -> None:
    """`qsim` as a program."""
    gc.set_threshold(COLLECT_AFTER)
    # numba would import scipy, a tenth of a second, for linear algebra that no kernel has
    sys.modules.setdefault("scipy", None)
    if sys.stdout is None:  # started with its output closed
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process)
    sys.stdout.reconfigure(errors="replace")  # a terminal of few characters shows what it can
    try:
        status = main()
        sys.stdout.flush()
    except OSError as error:  # our output cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        gone = isinstance(error, BrokenPipeError)  # its reader left, as `| head` does
        status = 0 if gone else 2
        if not gone:
            print(f"qsim: the output cannot be written: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
    gc.freeze()  # nothing of what is left is looked through again when the interpreter ends
    sys.exit(status)


def _evaluate(args: argparse.Namespace) -> int:
    from qsim.evaluate import evaluate
    from qsim.report import files
    from qsim.request import requested

    workload = requested(args.workload, _options(args))
    if args.explain is not None:
        return _explain(workload, args.explain)
    if workload.document.execute is not None:
        _check_back_end()
    if args.out is not None:
        files.prepare_folder(args.out)
    with _progress(args.quiet) as progress:
        evaluation = evaluate(workload, progress)
    if args.format == "json":
        print(files.to_json(evaluation))
    elif args.format == "csv":
        print(files.to_csv(evaluation), end="")
    else:
        from qsim.report.tables import evaluation_table

        _print(evaluation_table(evaluation))
    written = files.write_files(evaluation, args.out) if args.out is not None else []
    if written and not args.quiet:
        print(f"written: {', '.join(str(path) for path in written)}", file=sys.stderr)
    return _verdict(evaluation)


def _explain(workload, figure: str) -> int:
    from qsim.evaluate import explain
    from qsim.report.hardware import explanation

    for priced, origin in explain(workload, figure):
        _print(explanation(priced, figure, origin))
    return 0


def _run(args: argparse.Namespace) -> int:
    from qsim.evaluate import evaluate
    from qsim.report.tables import run_table
    from qsim.request import requested
    from qsim.results import Results, check_writable, write_arrays

    _check_back_end()
    _check_compiled(args)
    check_writable(args.output)
    workload = requested(args.model, _options(args))
    if args.compiled:
        return _run_compiled(args, workload)
    results = Results(tensors=args.tensors)
    with _progress(args.quiet) as progress:
        evaluation = evaluate(workload, progress, results.keep)
    write_arrays(args.output, results.arrays())
    if not args.quiet:
        _print(run_table(evaluation))
        print(f"written: {args.output}", file=sys.stderr)
    return _verdict(evaluation)


def _check_compiled(args: argparse.Namespace) -> None:
    """Refuse options that belong to the other way to run."""
    from qsim.errors import QsimError

    if args.compiled and args.tensors:
        raise QsimError("--tensors: a compiled program keeps no tensors; leave out --compiled")
    if not args.compiled and (args.threads or args.cores):
        raise QsimError("--threads and --cores are for a compiled program; add --compiled")


def _run_compiled(args: argparse.Namespace, workload) -> int:
    from qsim.report.compiled import compiled_table
    from qsim.results import write_arrays
    from qsim.run_compiled import run_compiled

    with _progress(args.quiet) as progress:
        done = run_compiled(
            workload, threads=args.threads or 1, affinity=args.cores, progress=progress
        )
    write_arrays(args.output, {"output": done.outputs.astype("float32")})
    if not args.quiet:
        _print(compiled_table(workload, done))
        print(f"written: {args.output}", file=sys.stderr)
    for name in done.differences:
        print(f"qsim: not bit-exact, a fault of qsim: tensor {name!r}", file=sys.stderr)
    return 1 if done.differences else 0


def _import(args: argparse.Namespace) -> int:
    from qsim.exchange import import_model

    written = import_model(args.model, args.parameters, args.out, args.weights)
    print(f"written: {', '.join(str(path) for path in written)}", file=sys.stderr)
    return 0


def _export(args: argparse.Namespace) -> int:
    from qsim.exchange import export_program, exported
    from qsim.request import requested

    _check_back_end()
    asked = requested(args.workload, _options(args))
    workload = exported(asked, args.to)
    with _progress(args.quiet) as progress:
        export_program(workload, args.to, args.out, progress)
    if not args.quiet:
        how = "" if workload is asked else ", with requantize: onnxruntime"
        print(f"written: {args.out}{how}", file=sys.stderr)
    return 0


def _reproduce(args: argparse.Namespace) -> int:
    from qsim.report import reproduction
    from qsim.report.files import prepare_folder
    from qsim.reproduce import reproduce

    _check_back_end()
    rows = reproduce(args.papers)
    if args.out is not None:
        prepare_folder(args.out)
    if args.format == "table":
        _print(reproduction.reproduction_table(rows))
    else:
        text = reproduction.to_json(rows) if args.format == "json" else reproduction.to_csv(rows)
        print(text.rstrip("\n"))
    if args.out is not None:
        written = reproduction.write_files(rows, args.out)
        print(f"written: {', '.join(str(path) for path in written)}", file=sys.stderr)
    return 0


def _options(args: argparse.Namespace):
    from qsim.request import Options

    return Options(
        args.precision,
        args.requantize,
        args.weights,
        args.images,
        args.calibrate,
        args.parameters,
        tuple(getattr(args, "on", ())),
        getattr(args, "cost_only", False),
        getattr(args, "memory", None),
    )


def _verdict(evaluation) -> int:
    """Complaints about what was found, and the exit status they mean."""
    for problem in evaluation.problems:
        print(f"qsim: {problem}", file=sys.stderr)
    execution = evaluation.execution
    if execution is not None and execution.differences:
        print(f"qsim: not bit-exact, a fault of qsim: {execution.differences[0]}", file=sys.stderr)
        return 1
    return 2 if evaluation.problems else 0


def _check_back_end() -> None:
    """Raise QsimError where the environment asks for kernels that cannot be had."""
    from qsim.doctor import back_end
    from qsim.errors import QsimError

    name, why = back_end()
    if name is None:
        raise QsimError(why)


def _doctor(args: argparse.Namespace) -> int:
    from qsim.doctor import diagnose
    from qsim.report.doctor import diagnosis_table, to_json

    found = diagnose()
    if args.format == "json":
        print(to_json(found))
    else:
        _print(diagnosis_table(found))
    if found.back_end is None:
        print(f"qsim: {found.why}", file=sys.stderr)
        return 2
    return 0


def _list(args: argparse.Namespace) -> int:
    from qsim.catalogue import CATALOGUES
    from qsim.report.tables import listing

    _print(listing(CATALOGUES[args.what]()))
    return 0


def _show_format(args: argparse.Namespace) -> int:
    from qsim.formats import parse
    from qsim.report.formats import card

    number = parse(args.text)
    if args.out is not None:
        from qsim.report.figures import format_figure, write_picture

        write_picture(format_figure(number), args.out)
    _print(card(number))
    return 0


def _show_network(args: argparse.Namespace) -> int:
    from qsim.model import load_model
    from qsim.network.widen import widen
    from qsim.report import networks

    document = {args.text: args.parameters} if args.parameters else args.text
    network = load_model(document, Path(), where="network").network
    if args.width is not None:
        network = widen(network, args.width)
    if args.format == "table":
        _print(networks.network_table(network))
    else:
        text = networks.to_json(network) if args.format == "json" else networks.to_csv(network)
        print(text.rstrip("\n"))
    return 0


def _show_device(args: argparse.Namespace) -> int:
    from qsim.report.devices import device_card

    _print(device_card(args.text))
    return 0


def _print(renderable) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    Console(width=width, highlight=False).print(renderable)


@contextmanager
def _progress(quiet: bool):
    """A function that shows progress on a terminal's stderr, and nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    from qsim.kernels.compiling import watch_compiling

    under_way = "starting"

    def show(what: str, done: int, steps: int) -> None:
        nonlocal under_way
        under_way = what
        bar.update(task, description=what, completed=done, total=steps)

    def show_kernel(name: str, count: int) -> None:
        bar.update(task, description=f"compiling kernels (first run only): {count}, {name}")

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(under_way, total=None)
        with watch_compiling(show_kernel, lambda: bar.update(task, description=under_way)):
            yield show


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


COMMANDS = {
    "evaluate": _evaluate,
    "run": _run,
    "import": _import,
    "export": _export,
    "reproduce": _reproduce,
    "doctor": _doctor,
    "show device": _show_device,
    "show format": _show_format,
    "show network": _show_network,
    "list": _list,
}
