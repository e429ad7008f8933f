"""ONNX files as checked messages. Nothing in a file is executed, and what it claims is compared
with what it holds before memory is taken for it."""

import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import QsimError
from qsim.onnx_reader.functions import check_functions

LARGEST_FILE_BYTES = 2**31 - 1  # protobuf holds no larger message
LARGEST_TENSOR_VALUES = 2**31
OLDEST_PACKAGE = (1, 19)
WIDEST_VALUE_BYTES = 16
OLDEST_OPSET = 11
NAMING = ("name", "op_type", "domain", "input", "output", "dim_param")  # fields of names
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
STANDARD = ("", "ai.onnx")  # names of the domain of ONNX's own operators


def onnx_package() -> Any:
    """The onnx package. Raises QsimError where it is not installed, or too old."""
    try:
        import onnx
    except ImportError:
        raise QsimError(
            "reading or writing ONNX files needs the package onnx; install qsim[onnx]"
        ) from None
    if tuple(int(part) for part in onnx.__version__.split(".")[:2]) < OLDEST_PACKAGE:
        raise QsimError(
            f"the package onnx is {onnx.__version__}, which reads bfloat16 as other numbers;"
            " install qsim[onnx] to have 1.19 or newer"
        )
    return onnx


def read_message(path: Path, largest_bytes: int = LARGEST_FILE_BYTES) -> Any:
    """The model in the ONNX file at ``path``, an onnx.ModelProto whose functions are written out.

    Raises QsimError naming the file when it cannot be read, is larger than ``largest_bytes``, is no
    ONNX model, or asks for operators that are older or newer than are read.
    """
    onnx = onnx_package()
    model = onnx.ModelProto()
    data = _read_bytes(path, largest_bytes)
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf's implementations raise errors of their own
        raise QsimError(f"{path}: not an ONNX model, or cut short") from None
    _check_text(path, model)
    if not model.ir_version or not model.HasField("graph") or not model.graph.node:
        raise QsimError(f"{path}: not an ONNX model with a graph of nodes")
    _check_opsets(path, model, onnx.defs.onnx_opset_version())
    if model.functions:
        model = _without_functions(path, model)
    return model


def tensor_array(path: Path, tensor: Any) -> np.ndarray:
    """The values of an onnx.TensorProto of the model at ``path``; values that lie in another file
    are read from the model's folder. Real numbers come as float32, integers as they are, those of
    fewer than 8 bits as int8 or uint8.

    Raises QsimError naming file and tensor when its values are missing, of another number than its
    sides say, or of a type that is not read.
    """
    onnx = onnx_package()
    where = f"{path}: tensor {tensor.name!r}"
    sides = list(tensor.dims)
    if any(side < 0 for side in sides) or prod(sides) > LARGEST_TENSOR_VALUES:
        raise QsimError(f"{where}: has the sides {sides}; at most {LARGEST_TENSOR_VALUES:,} values")
    if tensor.HasField("segment"):
        raise QsimError(f"{where}: is stored in segments, which are not read")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor = _with_external_data(path, tensor, where)
    try:
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception:  # a library's many ways to refuse
        kind = _type_name(tensor.data_type)
        raise QsimError(f"{where}: does not hold the {kind} values of its sides {sides}") from None
    return _plain(array, where, _type_name(tensor.data_type))


def _read_bytes(path: Path, largest_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise QsimError(f"{path}: is no file; name an ONNX file")
        if size > largest_bytes:
            raise QsimError(
                f"{path}: has {size:,} bytes, more than the {largest_bytes:,} that are read; large"
                " models keep their weights in files beside them (external data)"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise QsimError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise QsimError(f"{path}: cannot be read: {reason}") from None
    if not data:
        raise QsimError(f"{path}: is empty")
    return data


def _check_text(path: Path, model: Any) -> None:
    """Refuse texts that are not UTF-8, which protobuf hands over as bytes, and names of more than a
    line."""
    waiting = [model]
    while waiting:
        message = waiting.pop()
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting.extend([value] if hasattr(value, "ListFields") else value)
            if field.type != field.TYPE_STRING or field.name == "doc_string":
                continue
            for text in [value] if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    raise QsimError(f"{path}: holds a {field.name} that is not text in UTF-8")
                if field.name in NAMING and CONTROL.search(text):
                    raise QsimError(f"{path}: holds a {field.name} with unprintable characters")


def _check_opsets(path: Path, model: Any, newest: int) -> None:
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    if not versions:
        raise QsimError(f"{path}: does not say which version of ONNX's operators it uses")
    for version in versions:
        if not OLDEST_OPSET <= version <= newest:
            raise QsimError(
                f"{path}: uses version {version} of ONNX's operators; those from {OLDEST_OPSET} to"
                f" {newest} are read"
            )


def _without_functions(path: Path, model: Any) -> Any:
    """The model with its own functions written out."""
    from onnx import inliner

    check_functions(path, model)
    try:
        return inliner.inline_local_functions(model)
    except Exception:  # a library's many ways to refuse
        raise QsimError(f"{path}: its functions cannot be written out") from None


def _with_external_data(path: Path, tensor: Any, where: str) -> Any:
    """The tensor with its values read from a file in the model's folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    folder, location = path.parent.resolve(), entries.get("location", "")
    if not location or "\0" in location or Path(location).is_absolute():
        raise QsimError(f"{where}: its values must lie in a file within the model's folder")
    try:
        file = (folder / location).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise QsimError(f"{where}: its values must lie in a file within the model's folder")
        offset, size = int(entries.get("offset", 0)), file.stat().st_size
        length = int(entries.get("length", size - offset))
        if offset < 0 or length < 0 or offset + length > size:
            raise QsimError(f"{where}: its values lie beyond the end of {file.name}")
        if length > WIDEST_VALUE_BYTES * prod(tensor.dims):
            raise QsimError(f"{where}: says {length:,} bytes, more than its sides hold")
        with file.open("rb") as data:
            data.seek(offset)
            held = data.read(length)
    except ValueError:
        raise QsimError(f"{where}: says no whole number where its values lie") from None
    except RuntimeError:  # links that lead to one another
        raise QsimError(
            f"{where}: its values must lie in a file within the model's folder"
        ) from None
    except OSError as error:
        raise QsimError(f"{where}: {location}: cannot be read: {error.strerror}") from None
    inside = onnx_package().TensorProto()
    inside.name, inside.data_type, inside.raw_data = tensor.name, tensor.data_type, held
    inside.dims.extend(tensor.dims)
    return inside


def _plain(array: np.ndarray, where: str, kind: str) -> np.ndarray:
    """``array`` in a type of numpy's own."""
    if array.dtype.kind in "biu" and array.dtype.isbuiltin == 1:
        return array
    if array.dtype.kind == "f" or kind == "BFLOAT16":
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    if kind in ("INT4", "INT2"):
        return array.astype(np.int8)
    if kind in ("UINT4", "UINT2"):
        return array.astype(np.uint8)
    raise QsimError(f"{where}: holds {kind} values; real numbers and integers are read")


def _type_name(number: int) -> str:
    types = onnx_package().TensorProto.DataType
    return types.Name(number) if number in types.values() else f"type {number}"
