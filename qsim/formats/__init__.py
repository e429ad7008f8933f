"""The number formats, by name. Adding one is a module and a line in FORMATS."""

import dataclasses

from hwmodels.documents import convert, nearest
from qsim.errors import QsimError
from qsim.formats.affine import Affine, AffineGrid, QuantizedAffine
from qsim.formats.base import Format, Quantized
from qsim.formats.fixed import Fixed
from qsim.formats.msq import Msq, QuantizedRows
from qsim.formats.power_of_two import PowerOfTwo
from qsim.formats.real import Float
from qsim.formats.sp2 import Sp2

__all__ = [
    "FORMATS", "Affine", "AffineGrid", "Fixed", "Float", "Format", "Msq", "PowerOfTwo", "Quantized",
    "QuantizedAffine", "QuantizedRows", "Sp2", "describe", "from_document",
]  # fmt: skip

FORMATS = {
    "affine": Affine,
    "fixed": Fixed,
    "float": Float,
    "msq": Msq,
    "power_of_two": PowerOfTwo,
    "sp2": Sp2,
}


def from_document(document: str | dict, *, where: str):
    """The format that a document spells as ``name`` or ``{name: {parameter: value}}``.

    Raises QsimError naming ``where`` on an unknown name or parameter or an impossible value.
    """
    name, parameters = _split(document, where)
    if name not in FORMATS:
        raise QsimError(f"{where}: unknown format {name!r}; {nearest(name, FORMATS)}")
    record = FORMATS[name]
    fields = [field.name for field in dataclasses.fields(record)]
    for key in parameters:
        if key not in fields:
            raise QsimError(f"{where}.{name}: unknown key {key!r}; {nearest(str(key), fields)}")
    try:
        return convert(parameters, record, where=f"{where}.{name}")
    except ValueError as error:
        raise QsimError(f"{where}.{name}: {error}") from None


def describe(number) -> str:
    """A format in one line, as the registry spells it: ``fixed(bits=4, signed=False)``."""
    name = next(name for name, record in FORMATS.items() if type(number) is record)
    fields = dataclasses.fields(number)
    values = {f.name: getattr(number, f.name) for f in fields}
    shown = [f"{f.name}={values[f.name]}" for f in fields if values[f.name] != f.default]
    return f"{name}({', '.join(shown)})" if shown else name


def _split(document: str | dict, where: str) -> tuple[str, dict]:
    if isinstance(document, str):
        return document, {}
    if len(document) != 1:
        raise QsimError(f"{where}: expected one format such as {{fixed: {{bits: 4}}}}")
    [(name, parameters)] = document.items()
    if not isinstance(parameters, dict):
        raise QsimError(f"{where}.{name}: expected a mapping of parameters such as {{bits: 4}}")
    return name, parameters
