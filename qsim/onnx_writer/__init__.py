"""A quantized network written as ONNX: what a runtime computes with the same integers."""

from pathlib import Path
from typing import Any, Literal

from qsim.onnx_writer.graph import import_onnx, save
from qsim.onnx_writer.plan import Plan
from qsim.onnx_writer.qdq import QdqWriter
from qsim.onnx_writer.qoperator import QOperatorWriter
from qsim.onnx_writer.refusals import check_expressible
from qsim.program import Program

Form = Literal["qdq", "qoperator"]
FORMS = {"qdq": QdqWriter, "qoperator": QOperatorWriter}


def onnx_model(program: Program, form: Form) -> Any:
    """The ModelProto of a program whose requantize is ``onnxruntime``: opset 21, IR version 10,
    images (N, *input_shape) in float32, and the network's result in float32.

    ONNX Runtime computes the integers of ``execute`` with it. The integers of tensor NAME are those
    of ``NAME_quantized``.

    Raises QsimError where onnx is not installed, or naming the layer and what of it ONNX cannot
    express.
    """
    import_onnx()
    check_expressible(program, form)
    return FORMS[form](Plan(program)).model()


def write_onnx(program: Program, form: Form, path: Path) -> None:
    """Write ``onnx_model(program, form)`` to ``path``. Raises QsimError as that does, before
    anything is written, and where the file cannot be."""
    save(onnx_model(program, form), path)
