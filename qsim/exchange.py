"""Models to and from the files of other programs, as the command line asks for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from qsim.errors import QsimError
from qsim.evaluate import Progress, make_program
from qsim.model import load_model
from qsim.network.table import write_network
from qsim.program import Program
from qsim.workload import Workload, workload_of

Form = Literal["qdq", "qoperator", "qonnx", "qonnx-thresholds", "npz"]
OF_RUNTIMES = ("qdq", "qoperator")  # forms whose arithmetic is ONNX Runtime's


def import_model(
    model: Path, parameters: dict | None, table: Path, weights: Path | None
) -> list[Path]:
    """Write the network of the ONNX file ``model`` as a layer table, and its weights as ``.npz``,
    by default beside the table under its name. Returns both paths.

    Raises QsimError naming what cannot be read, or written.
    """
    weights = weights or table.with_suffix(".npz")
    _check_writable(table, (".yaml", ".yml"))
    _check_writable(weights, (".npz",))
    if model.suffix != ".onnx":
        raise QsimError(f"{model}: expected a model's ONNX file, MODEL.onnx")
    document = {str(model): parameters or {}}
    read = load_model(document, Path(), where="import")
    if read.program is not None:
        raise QsimError(
            f"{model}: is quantized already, which a layer table cannot hold; evaluate or run it as"
            " it is, or export it as .npz"
        )
    write_network(read.network, table, source=f"imported from {model.name}")
    _written(weights, lambda: np.savez(weights, **read.weights))
    return [table, weights]


def exported(workload: Workload, to: Form) -> Workload:
    """The workload as it can be written: what a runtime shall run has ``onnxruntime`` in the place
    of ``onnx``, whose sums stay in the accumulator from layer to layer."""
    document = workload.document
    execute = document.execute
    if workload.model.program is not None or to not in OF_RUNTIMES or execute is None:
        return workload
    if execute.requantize != "onnx":
        return workload
    execute = msgspec.structs.replace(execute, requantize="onnxruntime")
    return workload_of(workload.path, msgspec.structs.replace(document, execute=execute))


def export_program(
    workload: Workload, to: Form, path: Path, progress: Progress = lambda what, done, steps: None
) -> None:
    """Write the integer program of a workload.

    Raises QsimError naming what the form cannot express, or where it cannot be written.
    """
    _check_writable(path, (".npz",) if to == "npz" else (".onnx",))
    if workload.document.execute is None:
        raise QsimError(f"{workload.path}: has no execute, which says how integers are computed")
    WRITERS[to](make_program(workload, progress), path)


def _write_npz(program: Program, path: Path) -> None:
    from qsim.program_file import write_program

    write_program(program, path)


def _qonnx_writer(form: str) -> Callable[[Program, Path], None]:
    def write(program: Program, path: Path) -> None:
        from qsim.onnx_writer import write_qonnx

        write_qonnx(program, path, form)

    return write


def _writer(form: str) -> Callable[[Program, Path], None]:
    def write(program: Program, path: Path) -> None:
        from qsim.onnx_writer import write_onnx

        write_onnx(program, form, path)

    return write


WRITERS: dict[str, Callable[[Program, Path], None]] = {
    "npz": _write_npz,
    "qdq": _writer("qdq"),
    "qoperator": _writer("qoperator"),
    "qonnx": _qonnx_writer("quant"),
    "qonnx-thresholds": _qonnx_writer("thresholds"),
}


def _check_writable(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a path where no such file can be, before any work is done."""
    if path.suffix not in suffixes:
        raise QsimError(f"--out {path}: the name must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise QsimError(f"--out {path}: {path.parent}: no such folder")


def _written(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise QsimError(f"--out {path}: cannot be written: {error.strerror}") from None
