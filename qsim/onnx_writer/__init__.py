"""A quantized network written as ONNX: what a runtime computes with the same integers."""

from pathlib import Path
from typing import Any

from qsim.onnx_writer.graph import import_onnx, save
from qsim.onnx_writer.qonnx import QonnxWriter
from qsim.onnx_writer.qonnx_refusals import check_expressible as check_qonnx
from qsim.program import Program


def qonnx_model(program: Program) -> Any:
    """The ModelProto of a program whose requantize is ``onnx`` or ``shift``, in QONNX: one image
    in float32, and the network's result in float32; the rounded tensor NAME is ``NAME_quant``.

    A run in float32, as QONNX's executor is, gives the integers of ``execute`` where it is exact:
    all scales, factors and real biases being powers of two or few multiples of them, and sums less
    than 2**24 of the least. Elsewhere a value beside the middle of two levels may get the other.

    Raises QsimError where onnx is not installed, or naming each layer that QONNX cannot express.
    """
    import_onnx()
    check_qonnx(program)
    return QonnxWriter(program).model()


def write_qonnx(program: Program, path: Path) -> None:
    """Write ``qonnx_model(program)`` to ``path``. Raises QsimError as that does, before anything is
    written, and where the file cannot be."""
    save(qonnx_model(program), path)
