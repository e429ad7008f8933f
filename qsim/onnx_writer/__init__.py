"""A quantized network written as ONNX: what a runtime computes with the same integers."""

from pathlib import Path
from typing import Any, Literal

from qsim.onnx_reader.files import onnx_package
from qsim.onnx_writer.graph import save
from qsim.onnx_writer.plan import Plan
from qsim.onnx_writer.qdq import QdqWriter
from qsim.onnx_writer.qonnx import QonnxWriter
from qsim.onnx_writer.qonnx_refusals import check_expressible as check_qonnx
from qsim.onnx_writer.qoperator import QOperatorWriter
from qsim.onnx_writer.refusals import check_expressible
from qsim.program import Program

Form = Literal["qdq", "qoperator"]
QonnxForm = Literal["quant", "thresholds"]
FORMS = {"qdq": QdqWriter, "qoperator": QOperatorWriter}


def onnx_model(program: Program, form: Form) -> Any:
    """The ModelProto of a program whose requantize is ``onnxruntime``: opset 21, IR version 10,
    images (N, *input_shape) in float32, and the network's result in float32.

    ONNX Runtime computes the integers of ``execute`` with it. The integers of tensor NAME are those
    of ``NAME_quantized``.

    Raises QsimError where onnx is not installed, or naming the layer and what of it ONNX cannot
    express.
    """
    onnx_package()
    check_expressible(program, form)
    return FORMS[form](Plan(program)).model()


def write_onnx(program: Program, form: Form, path: Path) -> None:
    """Write ``onnx_model(program, form)`` to ``path``. Raises QsimError as that does, before
    anything is written, and where the file cannot be."""
    save(onnx_model(program, form), path)


def qonnx_model(program: Program, form: QonnxForm = "quant") -> Any:
    """The ModelProto of a program in QONNX: one image in float32, and the network's result in
    float32.

    quant        real values, each weight and each rounded tensor made by a Quant or BipolarQuant;
                 the rounded tensor NAME is ``NAME_quant``. Of a program whose requantize is
                 ``onnx`` or ``shift``. A run in float32, as QONNX's executor is, gives the integers
                 of ``execute`` where it is exact: all scales, factors and real biases being powers
                 of two or few multiples of them, and sums less than 2**24 of the least. Elsewhere
                 a value beside the middle of two levels may get the other.
    thresholds   integers alone, levels counted by MultiThreshold; the levels of NAME are
                 ``NAME_levels``. They are those of ``execute``, whatever the scales and the
                 arithmetic; only the result is multiplied by its scale, in float32.

    Raises QsimError where onnx is not installed, or naming what the form cannot express.
    """
    onnx_package()
    if form == "thresholds":
        from qsim.onnx_writer.qonnx_thresholds import ThresholdWriter

        return ThresholdWriter(program).model()
    check_qonnx(program)
    return QonnxWriter(program).model()


def write_qonnx(program: Program, path: Path, form: QonnxForm = "quant") -> None:
    """Write ``qonnx_model(program, form)`` to ``path``. Raises QsimError as that does, before
    anything is written, and where the file cannot be."""
    save(qonnx_model(program, form), path)
