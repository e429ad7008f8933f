import pytest

from qsim.calibrate.extremes import MinMax, MovingAverage
from qsim.calibrate.kl import Kl
from qsim.calibrate.methods import METHODS, describe, from_document, observers
from qsim.calibrate.observer import MeanObserver
from qsim.calibrate.percentile import Percentile
from qsim.errors import QsimError
from qsim.formats import Affine, DorefaActivations, Fixed, Float, Lsq, Pact


@pytest.mark.parametrize("name", METHODS)
def test_a_name_alone_is_the_method_with_its_defaults(name):
    method = from_document(name, where="w")
    assert method == from_document({name: {}}, where="w")
    assert type(method) is METHODS[name]
    assert describe(method) == name


def test_parameters_are_those_of_the_method():
    assert from_document({"kl": {"bins": 512, "tie": "last"}}, where="w") == Kl(512, tie="last")
    assert from_document({"percentile": {"percent": 99}}, where="w") == Percentile(99.0)
    assert from_document({"moving_average": {"batch": 4}}, where="w") == MovingAverage(batch=4)
    assert describe(Kl(512, tie="last")) == "kl(bins=512, tie=last)"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("entropy", "w: unknown method 'entropy'; known are: kl, min_max"),
        ("min_maxx", "w: unknown method 'min_maxx'; did you mean 'min_max'"),
        ({}, "w: expected one method such as {percentile: {percent: 99.9}}"),
        ({"kl": {}, "mse": {}}, "w: expected one method"),
        ({"kl": 2048}, r"w.kl: expected a mapping of parameters such as {percent: 99.9}"),
        ({"min_max": None}, "w.min_max: expected a mapping of parameters"),
        ({"kl": {"bin": 2}}, "w.kl: unknown key 'bin'; did you mean 'bins'"),
        ({"kl": {"bins": 0}}, "w.kl: bins: expected int >= 1"),
        ({"kl": {"zero_bin": "dropped"}}, "w.kl: zero_bin: unknown value 'dropped'; did you mean 'drop'"),
        ({"percentile": {"percent": 100.5}}, "w.percentile: percent: expected float <= 100"),
        ({"percentile": {"percent": 50}}, "w.percentile: percent: expected float > 50"),
        ({"moving_average": {"constant": 0}}, "w.moving_average: constant: expected float > 0"),
        ({"moving_average": {"batch": 0}}, "w.moving_average: batch: expected int >= 1"),
        ({"mse": {"bins": 2**17}}, "w.mse: bins: expected int <= 65536"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_key(document, problem):
    with pytest.raises(QsimError, match=problem):
        from_document(document, where="w")


def test_only_formats_that_ask_for_something_are_watched():
    asked = {
        "a": Affine(8), "b": Fixed(8), "c": Pact(4), "d": Pact(4, 2.0), "e": Lsq(4), "f": Float(),
        "g": Lsq(4, step=0.5), "h": DorefaActivations(2),
    }  # fmt: skip
    watching = observers(MinMax(), asked)
    assert set(watching) == {"a", "b", "c", "e"}
    assert [name for name, each in watching.items() if isinstance(each, MeanObserver)] == ["e"]
