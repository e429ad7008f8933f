"""A precision in a few words, as the command line takes it."""

import dataclasses
import re
from pathlib import Path

from hwmodels.documents import convert, read_document
from hwmodels.strict_yaml import read_yaml
from qsim.errors import WorkloadError
from qsim.formats import Facts, name_of, parse
from qsim.precision import FormatDocument, PrecisionDocument

SHORT = re.compile(r"w(\d{1,2})a(\d{1,2})")
FLOAT_BITS = 32
WAYS = (
    "w4a8 for affine formats of 4-bit weights and 8-bit activations (32: float), or two formats,"
    " as 'sp2(bits=4) / affine(bits=8)', or a YAML file with a precision block"
)


def precision_of(text: str, *, where: str = "--precision") -> PrecisionDocument:
    """The precision that ``text`` says: ``w4a8``, ``WEIGHTS / ACTIVATIONS``, or a YAML file that is
    a precision block or has one under ``precision``.

    In ``w4a8`` weights are affine, symmetric, with a scale per channel; activations affine,
    asymmetric, with a scale per tensor: the whitepaper's advice (arXiv 1806.08342, section 3.1.2).

    Raises WorkloadError or another InputError naming ``where`` or the file.
    """
    if text.endswith((".yaml", ".yml")):
        return _read(Path(text))
    if short := SHORT.fullmatch(text):
        weights, activations = (int(bits) for bits in short.groups())
        default = {
            "weights": _affine(weights, {"mode": "symmetric"}),
            "activations": _affine(activations, {}),
        }
    elif text.count("/") == 1:
        numbers = [parse(part) for part in text.split("/")]
        default = dict(zip(("weights", "activations"), map(_document, numbers), strict=True))
    else:
        raise WorkloadError(f"{where}: cannot read {text!r}; give {WAYS}")
    return convert({"default": default}, PrecisionDocument, where=where)


def _read(path: Path) -> PrecisionDocument:
    document = read_yaml(path)
    if isinstance(document, dict) and "precision" in document:
        return convert(document["precision"], PrecisionDocument, where=f"{path}: precision")
    return read_document(path, PrecisionDocument)


def _affine(bits: int, parameters: dict) -> FormatDocument:
    return "float" if bits == FLOAT_BITS else {"affine": {"bits": bits} | parameters}


def _document(number: Facts) -> FormatDocument:
    """A format as ``from_document`` reads it."""
    return {name_of(number): dataclasses.asdict(number)}
