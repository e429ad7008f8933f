"""The number formats, by name. Adding one is a module and a line in FORMATS."""

import dataclasses

from hwmodels.documents import convert, nearest
from qsim.errors import InputError, QsimError
from qsim.formats.affine import Affine, AffineGrid, QuantizedAffine
from qsim.formats.base import Facts, Format, Quantized, Term
from qsim.formats.binary import BinaryActivations, BinaryConnect, BinaryWeights
from qsim.formats.dorefa import DorefaGradients, DorefaWeights
from qsim.formats.fixed import Fixed
from qsim.formats.fixed_point import FixedPoint
from qsim.formats.groups import QuantizedGroups, quantize_groups
from qsim.formats.hwgq import Hwgq
from qsim.formats.lsq import Lsq
from qsim.formats.msq import Msq, QuantizedRows
from qsim.formats.pact import Pact
from qsim.formats.power_of_two import PowerOfTwo
from qsim.formats.quant import Quant
from qsim.formats.real import Float
from qsim.formats.sp2 import Sp2
from qsim.formats.ternary import QuantizedTtq, TernaryWeights, Ttq
from qsim.formats.unit_interval import DorefaActivations, WrpnActivations
from qsim.formats.wrpn import WrpnWeights
from qsim.spelling import parse_call, split_call

__all__ = [
    "FORMATS", "Affine", "AffineGrid", "BinaryActivations", "BinaryConnect", "BinaryWeights",
    "DorefaActivations", "DorefaGradients", "DorefaWeights", "Facts", "Fixed", "FixedPoint",
    "Float", "Format", "Hwgq", "Lsq", "Msq", "Pact", "PowerOfTwo", "Quant", "Quantized",
    "QuantizedAffine", "QuantizedGroups", "QuantizedRows", "QuantizedTtq", "Sp2", "Term",
    "TernaryWeights", "Ttq", "WrpnActivations", "WrpnWeights", "describe", "from_document",
    "name_of", "parse", "quantize_groups",
]  # fmt: skip

FORMATS = {
    "affine": Affine,
    "binary_connect": BinaryConnect,
    "bwn": BinaryWeights,
    "dorefa_activations": DorefaActivations,
    "dorefa_gradients": DorefaGradients,
    "dorefa_weights": DorefaWeights,
    "fixed": Fixed,
    "fixed_point": FixedPoint,
    "float": Float,
    "hwgq": Hwgq,
    "lsq": Lsq,
    "msq": Msq,
    "pact": Pact,
    "power_of_two": PowerOfTwo,
    "quant": Quant,
    "sp2": Sp2,
    "ttq": Ttq,
    "twn": TernaryWeights,
    "wrpn_activations": WrpnActivations,
    "wrpn_weights": WrpnWeights,
    "xnor_activations": BinaryActivations,
}


def from_document(document: str | dict, *, where: str):
    """The format that a document spells as ``name`` or ``{name: {parameter: value}}``.

    Raises QsimError naming ``where`` on an unknown name or parameter or an impossible value.
    """
    name, parameters = split_call(document, where, "one format such as {fixed: {bits: 4}}")
    if name not in FORMATS:
        raise QsimError(f"{where}: unknown format {name!r}; {nearest(name, FORMATS)}")
    record = FORMATS[name]
    fields = [field.name for field in dataclasses.fields(record)]
    for key in parameters:
        if key not in fields:
            raise QsimError(f"{where}.{name}: unknown key {key!r}; {nearest(str(key), fields)}")
    try:
        return convert(parameters, record, where=f"{where}.{name}")
    except InputError as error:
        raise QsimError(str(error)) from None
    except ValueError as error:
        raise QsimError(f"{where}.{name}: {error}") from None


def name_of(number: Facts) -> str:
    """The name of a format in the registry; an affine grid has that of affine formats."""
    if isinstance(number, AffineGrid):
        return "affine"
    return next(name for name, record in FORMATS.items() if type(number) is record)


def describe(number) -> str:
    """A format in one line, as the registry spells it: ``fixed(bits=4, signed=False)``."""
    name = name_of(number)
    fields = dataclasses.fields(number)
    values = {f.name: getattr(number, f.name) for f in fields}
    shown = [f"{f.name}={values[f.name]}" for f in fields if values[f.name] != f.default]
    return f"{name}({', '.join(shown)})" if shown else name


def parse(text: str):
    """The format that ``describe`` would write as ``text``: ``name`` or ``name(key=value, ...)``.

    Raises QsimError on anything else, and where ``from_document`` does.
    """
    name, parameters = parse_call(text, what="format", example="sp2(bits=4)")
    return from_document({name: parameters} if parameters else name, where="format")
