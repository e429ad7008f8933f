"""The command line: parse, call one function, print. Nothing else prints.

Exit status: 0 done, 2 a mistake in what was asked, 1 a fault of qsim.
"""

import argparse
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from hwmodels.errors import InputError
from qsim import __version__

EXAMPLES = """\
examples:
  qsim evaluate resnet18-msq-xc7z020           a workload that comes with qsim
  qsim evaluate my.yaml --out results          one of your own; also JSON, CSV and pictures
  qsim evaluate digits-msq --format json       one JSON document on stdout
  qsim evaluate model.onnx --precision w4a8    a model of one's own, quantized on the way
  qsim run model.onnx --input x.npz --output y.npz     its result for images
  qsim export digits-affine8 --to qdq --out d.onnx     as a model for ONNX Runtime
  qsim list workloads                          what comes with qsim
  qsim show format "sp2(bits=4)"               the levels and codes of a number format
  qsim show network "mobilenet-v2(width=1.4)"  the layers of a network
"""
DATA = "an .npz or .npy file, a folder of .npy files, or a shipped dataset"
MODEL = "an ONNX file, a layer table, the name of a network or workload, or a workload's YAML file"
PIPE_COLUMNS = 120  # width of tables that do not go to a terminal


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` (by default this process's) and return its exit status."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args)
    except InputError as error:
        print(f"qsim: {_one_line(error)}", file=sys.stderr)
        return 2
    except MemoryError as error:
        what = _one_line(error) or "out of memory"
        print(f"qsim: needs more memory than there is ({what}); ask for less", file=sys.stderr)
        return 2


def run() -> None:
    """`qsim` as a program."""
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
    sys.exit(status)


def _evaluate(args: argparse.Namespace) -> int:
    from qsim.evaluate import evaluate
    from qsim.report import files
    from qsim.request import requested

    workload = requested(args.workload, _options(args))
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


def _run(args: argparse.Namespace) -> int:
    from qsim.evaluate import evaluate
    from qsim.report.tables import run_table
    from qsim.request import requested
    from qsim.results import Results, check_writable, write_arrays

    check_writable(args.output)
    workload = requested(args.model, _options(args))
    results = Results(tensors=args.tensors)
    with _progress(args.quiet) as progress:
        evaluation = evaluate(workload, progress, results.keep)
    write_arrays(args.output, results.arrays())
    if not args.quiet:
        _print(run_table(evaluation))
        print(f"written: {args.output}", file=sys.stderr)
    return _verdict(evaluation)


def _import(args: argparse.Namespace) -> int:
    from qsim.exchange import import_model

    written = import_model(args.model, args.parameters, args.out, args.weights)
    print(f"written: {', '.join(str(path) for path in written)}", file=sys.stderr)
    return 0


def _export(args: argparse.Namespace) -> int:
    from qsim.exchange import export_program, exported
    from qsim.request import requested

    asked = requested(args.workload, _options(args))
    workload = exported(asked, args.to)
    with _progress(args.quiet) as progress:
        export_program(workload, args.to, args.out, progress)
    if not args.quiet:
        how = "" if workload is asked else ", with requantize: onnxruntime"
        print(f"written: {args.out}{how}", file=sys.stderr)
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

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, steps: bar.update(
            task, description=what, completed=done, total=steps
        )


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str):
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="qsim",
        description="What a quantized neural network computes, bit for bit, and what it costs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qsim {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    evaluate = commands.add_parser(
        "evaluate",
        help="execute a workload bit for bit and price it on hardware",
        description="Execute a workload bit for bit, check it, and price it on hardware.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument(
        "workload", help="a YAML file, the name of a shipped workload or network, or an ONNX file"
    )
    evaluate.add_argument("--images", metavar="DATA", help="what to run: " + DATA)
    _add_model_options(evaluate)
    evaluate.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="what to print: a table (default), one JSON document, or the layers as CSV",
    )
    evaluate.add_argument(
        "--out", type=_folder, metavar="DIR", help="also write report.json, CSV files and pictures"
    )
    evaluate.add_argument("--quiet", action="store_true", help="no progress bar, no notes")
    evaluate.set_defaults(run=_evaluate)

    run = commands.add_parser(
        "run",
        help="run a model on images of one's own and write what comes out",
        description="Quantize a model, run it bit for bit on images, and write what it computes.",
    )
    run.add_argument("model", help=MODEL)
    run.add_argument(
        "--input", required=True, dest="images", metavar="DATA", help="what to run: " + DATA
    )
    run.add_argument(
        "--output", required=True, type=Path, metavar="FILE.npz", help="where its results go"
    )
    run.add_argument(
        "--tensors", action="store_true", help="also write every tensor: levels and scales"
    )
    _add_model_options(run)
    run.add_argument("--quiet", action="store_true", help="print nothing")
    run.set_defaults(run=_run)

    importing = commands.add_parser(
        "import", help="write an ONNX model as a layer table, and its weights as .npz"
    )
    importing.add_argument("model", type=Path, metavar="MODEL.onnx")
    importing.add_argument(
        "--out", required=True, type=Path, metavar="NET.yaml", help="where the layer table goes"
    )
    importing.add_argument(
        "--weights", type=Path, metavar="FILE.npz", help="where the weights go: beside the table"
    )
    _add_parameters(importing)
    importing.set_defaults(run=_import)

    exporting = commands.add_parser(
        "export", help="write a quantized model for other programs: QDQ, QOperator, QONNX, or .npz"
    )
    exporting.add_argument("workload", help=MODEL)
    exporting.add_argument(
        "--to", required=True, choices=("qdq", "qoperator", "qonnx", "qonnx-thresholds", "npz"),
        help="ONNX with QuantizeLinear and DequantizeLinear, with quantized operators, QONNX,"
        " QONNX of integers and thresholds, or the integers themselves as arrays",
    )  # fmt: skip
    exporting.add_argument("--out", required=True, type=Path, metavar="FILE")
    exporting.add_argument("--images", metavar="DATA", help=argparse.SUPPRESS)
    _add_model_options(exporting)
    exporting.add_argument("--quiet", action="store_true", help="no progress bar, no notes")
    exporting.set_defaults(run=_export)

    show = commands.add_parser("show", help="show one thing in full: a number format, a network")
    _add_shown(show.add_subparsers(metavar="WHAT", required=True, parser_class=_Parser))

    listing = commands.add_parser("list", help="show what comes with qsim")
    listing.add_argument("what", choices=("networks", "formats", "devices", "workloads"))
    listing.set_defaults(run=_list)
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    """What is said of a model, or in the place of what a workload says."""
    parser.add_argument(
        "--precision",
        metavar="FORMATS",
        help="w4a8, 'WEIGHTS / ACTIVATIONS', or a YAML file (w8a8)",
    )
    parser.add_argument(
        "--requantize", metavar="MODE", help="whose arithmetic rounds sums (onnx); see the README"
    )
    parser.add_argument(
        "--weights", metavar="FILE.npz", help="trained weights, or the name of shipped ones"
    )
    parser.add_argument(
        "--calibrate", metavar="DATA", help="images that set the ranges of activations"
    )
    _add_parameters(parser)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", dest="parameters", action=_Parameters, metavar="KEY=VALUE",
        help="a parameter of the network or of how an ONNX file is read",
    )  # fmt: skip


class _Parameters(argparse.Action):
    """Gathers KEY=VALUE, the value in YAML, to a dict."""

    def __call__(self, parser, namespace, values, option_string=None):
        from hwmodels.strict_yaml import read_value

        key, equals, value = values.partition("=")
        if not equals or not key:
            raise InputError(f"--set {values}: expected KEY=VALUE, as width=1.4")
        gathered = dict(getattr(namespace, self.dest) or {})
        if key in gathered:
            raise InputError(f"--set {key}: is given twice")
        setattr(namespace, self.dest, gathered | {key: read_value(value, where=f"--set {key}")})


def _add_shown(things) -> None:
    """What can be shown in full."""
    number = things.add_parser("format", help="a number format: its levels and codes")
    number.add_argument("text", metavar="FORMAT", help="as in a report: 'sp2(bits=4)'")
    number.add_argument(
        "--out", type=_picture, metavar="FILE.png", help="also draw its levels as a picture"
    )
    number.set_defaults(run=_show_format)

    network = things.add_parser("network", help="a network: its layers, MACs and parameters")
    network.add_argument(
        "text",
        metavar="NETWORK",
        help="one that comes with qsim, 'mobilenet-v2(width=1.4)', a layer table, or an ONNX file",
    )
    _add_parameters(network)
    network.add_argument("--width", type=_factor, help="so many times the channels, as in WRPN")
    network.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="what to print: a table (default), one JSON document, or the layers as CSV",
    )
    network.set_defaults(run=_show_network)


def _factor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--width: expected a number, not {text!r}") from None


def _folder(text: str) -> Path:
    if not text:
        raise InputError("--out needs the name of a folder")
    return Path(text)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".png":
        raise InputError(f"--out: {text}: pictures are written as .png")
    if not path.parent.is_dir():
        raise InputError(f"--out: {path.parent}: no such folder")
    return path


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
