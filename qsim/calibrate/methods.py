"""The ways to find ranges of activations, by name. Adding one is a module and a line in METHODS."""

from collections.abc import Mapping
from typing import Any

import msgspec

from hwmodels.documents import convert, nearest
from qsim.calibrate.extremes import MinMax, MovingAverage
from qsim.calibrate.kl import Kl
from qsim.calibrate.mse import Mse
from qsim.calibrate.observer import MeanObserver, Observer
from qsim.calibrate.percentile import Percentile
from qsim.errors import InputError, QsimError
from qsim.formats import Facts
from qsim.spelling import split_call

METHODS = {
    "kl": Kl,
    "min_max": MinMax,
    "moving_average": MovingAverage,
    "mse": Mse,
    "percentile": Percentile,
}
Method = Kl | MinMax | MovingAverage | Mse | Percentile
MethodDocument = str | dict[str, Any]


def from_document(document: MethodDocument, *, where: str) -> Method:
    """The method that a document spells as ``name`` or ``{name: {parameter: value}}``.

    Raises QsimError naming ``where`` on an unknown name or parameter or an impossible value.
    """
    wanted = "one method such as {percentile: {percent: 99.9}}"
    name, parameters = split_call(document, where, wanted)
    if name not in METHODS:
        raise QsimError(f"{where}: unknown method {name!r}; {nearest(name, METHODS)}")
    try:
        return convert(parameters, METHODS[name], where=f"{where}.{name}")
    except InputError as error:
        raise QsimError(str(error)) from None


def describe(method: Method) -> str:
    """A method in one line: ``kl(bins=1024)``."""
    name = next(name for name, record in METHODS.items() if type(method) is record)
    defaults = msgspec.structs.asdict(METHODS[name]())
    given = msgspec.structs.asdict(method).items()
    shown = [f"{key}={value}" for key, value in given if value != defaults[key]]
    return f"{name}({', '.join(shown)})" if shown else name


def observers(method: Method, asked: Mapping[str, Facts]) -> dict[str, Observer]:
    """A new observer for every tensor whose format asks for something, by the tensor's name."""
    return {
        name: MeanObserver() if number.calibrated_by == "mean_magnitude" else method.observer()
        for name, number in asked.items()
        if number.calibrated_by != "nothing"
    }
