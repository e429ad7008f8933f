"""What can be asked for on the command line, and how."""

import argparse
from pathlib import Path

from hwmodels.errors import InputError
from qsim import __version__

EXAMPLES = """\
examples:
  qsim evaluate resnet18-msq-xc7z020           a workload that comes with qsim
  qsim evaluate my.yaml --out results          one of your own; also JSON, CSV and pictures
  qsim evaluate digits-msq --format json       one JSON document on stdout
  qsim evaluate digits-msq --explain latency_s     the formulas and sources behind a figure
  qsim evaluate model.onnx --precision w4a8    a model of one's own, quantized on the way
  qsim run model.onnx --input x.npz --output y.npz     its result for images
  qsim export model.onnx --calibrate x.npz --to qdq --out int8.onnx   for ONNX Runtime
  qsim reproduce wrpn                          a paper's tables beside ours; without a name, all
  qsim list workloads                          what comes with qsim
  qsim show format "sp2(bits=4)"               the levels and codes of a number format
  qsim show network "mobilenet-v2(width=1.4)"  the layers of a network
  qsim doctor                                  which kernels this machine runs, and why
  qsim show device t4                          what a device has, and what a design on it may say
"""
DATA = "an .npz or .npy file, a folder of .npy files, or a shipped dataset"
MOST_THREADS = 1024
MODEL = "an ONNX file, a layer table, the name of a network or workload, or a workload's YAML file"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str):
        raise InputError(f"{message} (see {self.prog} --help)")


MOST_THREADS = 1024


def make_parser() -> argparse.ArgumentParser:
    """The parser of qsim's command line; ``command`` says what was asked for."""
    parser = _Parser(
        prog="qsim",
        description="What a quantized neural network computes, bit for bit, and what it costs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=_Version, help="show qsim's version and the kernels in use, and exit"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    for add in (_add_evaluate, _add_run, _add_import, _add_export, _add_reproduce):
        add(commands)
    show = commands.add_parser("show", help="show one thing in full: a format, a network, a device")
    _add_shown(show.add_subparsers(metavar="WHAT", required=True, parser_class=_Parser))

    doctor = commands.add_parser(
        "doctor",
        help="what this installation is and can do: versions, processor, kernels, cache, extras",
    )
    doctor.add_argument(
        "--format",
        choices=("table", "json"),
        default="table",
        help="what to print: a table (default) or one JSON document",
    )
    doctor.set_defaults(command="doctor")

    listing = commands.add_parser("list", help="show what comes with qsim")
    listing.add_argument("what", choices=("networks", "formats", "devices", "workloads"))
    listing.set_defaults(command="list")
    return parser


def _add_evaluate(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="execute a workload bit for bit and price it on hardware",
        description="Execute a workload bit for bit, check it, and price it on hardware.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "workload", help="a YAML file, the name of a shipped workload or network, or an ONNX file"
    )
    parser.add_argument("--images", metavar="DATA", help="what to run: " + DATA)
    _add_model_options(parser)
    parser.add_argument(
        "--on", action="append", default=[], metavar="DEVICE", help="price it on a device (see qsim"
        " list devices), or on a design of one: 't4(batch=8)'; may be given several times"
    )  # fmt: skip
    parser.add_argument(
        "--memory", nargs="?", const="", metavar="OPTIONS", help="also count memory, in inference"
        " and training: 'batch=32, rule=framework, optimizer=momentum'"
    )  # fmt: skip
    parser.add_argument("--cost-only", action="store_true", help="price only, execute nothing")
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="what to print: a table (default), one JSON document, or the layers as CSV",
    )
    parser.add_argument(
        "--out", type=_folder, metavar="DIR", help="also write report.json, CSV files and pictures"
    )
    parser.add_argument(
        "--explain", metavar="FIGURE", help="execute nothing; show where a figure of the designs"
        " comes from, as latency_s: its formulas, constants and their sources"
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no notes")
    parser.set_defaults(command="evaluate")


def _add_run(commands) -> None:
    parser = commands.add_parser(
        "run",
        help="run a model on images of one's own and write what comes out",
        description="Quantize a model, run it bit for bit on images, and write what it computes.",
    )
    parser.add_argument("model", help=MODEL)
    parser.add_argument(
        "--input", required=True, dest="images", metavar="DATA", help="what to run: " + DATA
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE.npz", help="where its results go"
    )
    parser.add_argument(
        "--tensors", action="store_true", help="also write every tensor: levels and scales"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="compute the results alone, by a program compiled"
        " for this machine, and say how fast"
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=_count, metavar="N", help="with --compiled: how many threads (1)"
    )
    parser.add_argument(
        "--cores", type=_cores, metavar="LIST", help="with --compiled: the cores that the threads"
        " are held to in turn, as 0,1"
    )  # fmt: skip
    _add_model_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.set_defaults(command="run")


def _add_import(commands) -> None:
    parser = commands.add_parser(
        "import", help="write an ONNX model as a layer table, and its weights as .npz"
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="NET.yaml", help="where the layer table goes"
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.npz", help="where the weights go: beside the table"
    )
    _add_parameters(parser)
    parser.set_defaults(command="import")


def _add_export(commands) -> None:
    parser = commands.add_parser(
        "export", help="write a quantized model for other programs: QDQ, QOperator, QONNX, or .npz"
    )
    parser.add_argument("workload", help=MODEL)
    parser.add_argument(
        "--to", required=True, choices=("qdq", "qoperator", "qonnx", "qonnx-thresholds", "npz"),
        help="ONNX with QuantizeLinear and DequantizeLinear, with quantized operators, QONNX,"
        " QONNX of integers and thresholds, or the integers themselves as arrays",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    parser.add_argument("--images", metavar="DATA", help=argparse.SUPPRESS)
    _add_model_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no notes")
    parser.set_defaults(command="export")


def _add_reproduce(commands) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="the papers' tables beside ours, cell by cell",
        description="Every published cell of the papers' tables beside our figure, with its error,"
        " what the comparison is worth, and why where there is none.",
    )
    parser.add_argument(
        "papers", nargs="*", metavar="PAPER",
        help="msq, wrpn, dorefa, whitepaper, eagl or hawq; all of them where none is named",
    )  # fmt: skip
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="what to print: tables (default), a list of rows in JSON, or rows as CSV",
    )
    parser.add_argument(
        "--out", type=_folder, metavar="DIR",
        help="also write reproduce.json, reproduce.csv and the figures, published and ours",
    )  # fmt: skip
    parser.set_defaults(command="reproduce")


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


class _Version(argparse.Action):
    """Prints the version, and which back end the kernels have and why."""

    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        from qsim.doctor import back_end
        from qsim.report.doctor import back_end_line

        print(f"qsim {__version__}\n{back_end_line(*back_end())}")
        parser.exit()


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
    number.set_defaults(command="show format")

    device = things.add_parser(
        "device", help="a device: what it has and from where, and what a design on it may say"
    )
    device.add_argument("text", metavar="DEVICE", help="as xc7z045 or xc7z045@zc706_pl")
    device.set_defaults(command="show device")

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
    network.set_defaults(command="show network")


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


def _count(text: str) -> int:
    """A number of threads."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_THREADS}")
    return int(text)


def _cores(text: str) -> tuple[int, ...]:
    """Numbers of cores."""
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of cores, as 0,1")
    return tuple(map(int, parts))
