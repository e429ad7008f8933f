"""Formats as text: what describe writes, parse reads; anything else is one sentence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.errors import QsimError
from qsim.formats import FORMATS, Affine, Fixed, Hwgq, Msq, Ttq, describe, from_document, parse

POSITIVE = st.floats(2.0**-60, 1e29)
SEEDS = st.integers(0, 2**63 - 1)


def bits(low, high):
    return st.integers(low, high)


PARAMETERS = {
    "affine": st.fixed_dictionaries(
        {"bits": bits(2, 16)},
        optional={
            "mode": st.sampled_from(["asymmetric", "symmetric", "restricted"]),
            "rounding": st.sampled_from(["nearest", "stochastic"]),
            "seed": SEEDS,
        },
    ),
    "binary_connect": st.fixed_dictionaries(
        {}, optional={"stochastic": st.booleans(), "seed": SEEDS}
    ),
    "bwn": st.just({}),
    "dorefa_activations": st.fixed_dictionaries({"bits": bits(1, 16)}),
    "dorefa_gradients": st.fixed_dictionaries({"bits": bits(1, 8)}, optional={"seed": SEEDS}),
    "dorefa_weights": st.fixed_dictionaries({"bits": bits(1, 8)}),
    "fixed": st.fixed_dictionaries({"bits": bits(2, 16)}, optional={"signed": st.booleans()}),
    "fixed_point": st.fixed_dictionaries(
        {"bits": bits(2, 16), "fraction_bits": bits(-64, 64)},
        optional={
            "signed": st.booleans(),
            "overflow": st.sampled_from(["saturate", "wrap"]),
            "rounding": st.sampled_from(["half_even", "half_up", "floor", "toward_zero"]),
        },
    ),
    "float": st.just({}),
    "hwgq": st.fixed_dictionaries({"bits": bits(1, 8)}, optional={"sigma": POSITIVE}),
    "lsq": st.fixed_dictionaries(
        {"bits": bits(2, 16)},
        optional={"signed": st.booleans(), "step": st.one_of(st.none(), POSITIVE)},
    ),
    "msq": st.fixed_dictionaries(
        {
            "bits": bits(3, 8),
            "fixed_to_sp2": st.sampled_from(["1:1", "1:1.5", "0:2", "3:0", "10:7"]),
        }
    ),
    "pact": st.fixed_dictionaries(
        {"bits": bits(1, 16)}, optional={"alpha": st.one_of(st.none(), POSITIVE)}
    ),
    "power_of_two": st.fixed_dictionaries({"bits": bits(2, 6)}),
    "quant": st.fixed_dictionaries(
        {"bits": bits(2, 16)},
        optional={
            "signed": st.booleans(),
            "narrow": st.booleans(),
            "zero_point": bits(-128, 128),
            "rounding": st.sampled_from(["half_even", "half_away", "floor", "away"]),
        },
    ),
    "sp2": st.fixed_dictionaries({"bits": bits(3, 8)}),
    "ttq": st.fixed_dictionaries(
        {},
        optional={
            "threshold": st.floats(0, 1, exclude_max=True),
            "positive": st.one_of(st.none(), POSITIVE),
            "negative": POSITIVE,
        },
    ),
    "twn": st.just({}),
    "wrpn_activations": st.fixed_dictionaries({"bits": bits(1, 16)}),
    "wrpn_weights": st.fixed_dictionaries({"bits": bits(1, 16)}),
    "xnor_activations": st.fixed_dictionaries({}, optional={"scale_map": st.booleans()}),
}


def test_every_format_is_tried():
    assert PARAMETERS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", PARAMETERS)
@settings(max_examples=50)  # of each format
@given(data=st.data())
def test_what_describe_writes_parse_reads(name, data):
    parameters = data.draw(PARAMETERS[name])
    number = from_document({name: parameters}, where="here")
    assert type(number) is FORMATS[name]
    for key, value in parameters.items():
        assert getattr(number, key) == value
    assert parse(describe(number)) == number
    spread = describe(number).replace(", ", " ,\t").replace("=", " = ").replace("(", " ( ")
    assert parse(f" {spread} ") == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("fixed(bits=4)", Fixed(4)),
        ("fixed(bits=4, signed=False)", Fixed(4, signed=False)),
        ("fixed(bits=4,signed=false)", Fixed(4, signed=False)),
        ("fixed(bits=+4, full_range=TRUE)", Fixed(4, full_range=True)),
        ("hwgq(bits=2, sigma=2)", Hwgq(2, 2.0)),
        ("hwgq(bits=2, sigma=1e-3)", Hwgq(2, 0.001)),
        ("hwgq(bits=2, sigma=.5)", Hwgq(2, 0.5)),
        ("msq(bits=4, fixed_to_sp2='1:2')", Msq(4, "1:2")),
        ('affine(bits=4, mode="symmetric")', Affine(4, "symmetric")),
        ("ttq()", Ttq()),
        ("ttq( )", Ttq()),
        ("ttq(positive=None)", Ttq()),
    ],
)
def test_texts_are_read_as_they_are_meant(text, number):
    assert parse(text) == number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a name with parameters, as sp2(bits=4)"),
        ("()", "expected a name with parameters"),
        ("fixed(bits=4", "expected a name with parameters"),
        ("fixed bits=4", "expected a name with parameters"),
        ("fixed(bits=4)(", "expected a name with parameters"),
        ("fixed(bits=\n4)", "expected a name with parameters"),
        ("fixd(bits=4)", "unknown format 'fixd'; did you mean 'fixed'?"),
        ("fixed", "format.fixed: key 'bits' is missing"),
        ("fixed(4)", "expected key=value, as bits=4, not '4'"),
        ("fixed(=4)", "expected key=value, as bits=4, not '=4'"),
        ("fixed(,)", "expected key=value, as bits=4, not ''"),
        ("fixed(bits=4,)", "expected key=value, as bits=4, not ''"),
        ("float(,)", "expected key=value"),
        ("float(bits=4)", "format.float: unknown key 'bits'"),
        ("fixed(bits=4, bits=5)", "bits is given twice"),
        ("fixed(bit=4)", "format.fixed: unknown key 'bit'; did you mean 'bits'?"),
        ("fixed(roles=4)", "format.fixed: unknown key 'roles'"),
        ("fixed(bits=)", "format.fixed: bits: expected int, got text"),
        ("fixed(bits=four)", "bits: expected int, got text"),
        ("fixed(bits='4')", "bits: expected int, got text"),
        ("fixed(bits=4.0)", "bits: expected int, got float"),
        ("fixed(bits=1_0)", "bits: expected int, got text"),
        ("fixed(bits=\u0664)", "bits: expected int, got text"),
        ("fixed(bits=inf)", "bits: expected int, got text"),
        ("fixed(bits=True)", "bits: expected int, got bool"),
        ("fixed(bits=None)", "bits: expected int, got nothing"),
        ("fixed(bits=" + "1" * 5000 + ")", "bits: expected int, got float"),
        ("fixed(bits=" + "1" * 100 + ")", "signed fixed point has 2 to 16 bits"),
        ("fixed(bits=-4)", "signed fixed point has 2 to 16 bits, not -4"),
        ("fixed(bits=4, signed=1)", "signed: expected bool, got int"),
        ("hwgq(bits=2, sigma=nan)", "sigma: expected float, got text"),
        ("hwgq(bits=2, sigma=1e999)", "sigma lies between 1e-30 and 1e30, which"),
        ("hwgq(bits=2, sigma=-1)", "sigma lies between 1e-30 and 1e30, which"),
        ("affine(bits=4, mode=middle)", "format.affine: mode: unknown value 'middle'"),
        ("affine(bits=1, mode=symmetric)", "symmetric affine has 2 to 16 bits, not 1"),
        ("affine(bits=4, seed=-1)", "a seed is not negative, as -1 is"),
        ("msq(bits=4, fixed_to_sp2=1)", "fixed_to_sp2: expected text, got int"),
        ("ttq(threshold=1)", "a threshold is 0 or more and less than 1, not 1"),
        ("lsq(bits=4, step=0)", "step lies between 1e-30 and 1e30, which"),
        ("pact(bits=4, alpha=1e30)", "alpha lies between 1e-30 and 1e30, which"),
    ],
)  # fmt: skip
def test_any_other_text_is_one_sentence(text, problem):
    with pytest.raises(QsimError) as caught:
        parse(text)
    message = str(caught.value)
    assert problem in message
    assert message.startswith("format")
    assert "\n" not in message


@given(st.text(max_size=30))
def test_nonsense_is_a_format_or_one_sentence(text):
    try:
        number = parse(text)
    except QsimError as error:
        assert "\n" not in str(error)
    else:
        assert type(number) in FORMATS.values()


@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(
        st.tuples(
            st.sampled_from(["bits", "signed", "seed", "mode", "sigma", "step", "threshold", "x"]),
            st.sampled_from(
                ["4", "-1", "0", "1e400", "None", "True", "", "'", "=", "1:2", "(", "0x4"]
            ),
        ),
        max_size=3,
    ),
)
def test_nonsense_parameters_are_a_format_or_one_sentence(name, pairs):
    text = f"{name}({', '.join(f'{key}={value}' for key, value in pairs)})"
    try:
        number = parse(text)
    except QsimError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("format")
    else:
        assert type(number) is FORMATS[name]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "here: expected one format such as"),
        ({"fixed": {"bits": 4}, "sp2": {"bits": 4}}, "here: expected one format such as"),
        ({"fixed": 4}, "here.fixed: expected a mapping of parameters"),
        ({"fixed": {"bits": "4"}}, "here.fixed: bits: expected int, got text"),
        ({"fixed": {4: 4}}, "here.fixed: unknown key 4"),
        ("fixed(bits=4)", "here: unknown format 'fixed(bits=4)'"),
    ],
)
def test_documents_that_spell_no_format_are_one_sentence(document, problem):
    with pytest.raises(QsimError) as caught:
        from_document(document, where="here")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
