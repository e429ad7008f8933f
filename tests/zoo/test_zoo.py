"""How networks are named, and what is wrong with a name that is none."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.errors import InputError
from qsim import zoo
from qsim.zoo import RECIPES, find_network

CONV = {"name": "conv", "type": "conv", "out_channels": 2, "kernel": 1}


def found(document, folder=None):
    options = {} if folder is None else {"folder": folder}
    return find_network(document, where="here", **options)


@pytest.mark.parametrize(
    ("document", "name", "input_shape"),
    [
        ("resnet18", "resnet18", (3, 224, 224)),
        ("digits-cnn", "digits-cnn", (1, 8, 8)),
        ("resnet18()", "resnet18", (3, 224, 224)),
        ("yolo-v3(size=608)", "yolo-v3(size=608)", (3, 608, 608)),
        ({"yolo-v3": {"size": 608}}, "yolo-v3(size=608)", (3, 608, 608)),
        ({"yolo-v3": {"size": 416}}, "yolo-v3", (3, 416, 416)),
        ({"yolo-v3": {}}, "yolo-v3", (3, 416, 416)),
        ({"bert-base": {"tokens": 128}}, "bert-base(tokens=128)", (128,)),
        ("mobilenet-v2( width = 1.4 )", "mobilenet-v2(width=1.4)", (3, 224, 224)),
        ({"mobilenet-v2": {"width": 2}}, "mobilenet-v2(width=2.0)", (3, 224, 224)),
        (
            "mobilenet-v1(size=128, width=0.25)",
            "mobilenet-v1(width=0.25, size=128)",
            (3, 128, 128),
        ),
    ],
)
def test_a_network_is_named_in_text_or_in_a_document(document, name, input_shape):
    network = found(document)
    assert (network.name, network.input_shape) == (name, input_shape)


@pytest.mark.parametrize("name", RECIPES)
def test_the_name_of_a_network_gives_the_same_network(name):
    classes = "classes" if "classes" in RECIPES[name].parameters else next(
        key for key in ("layers", "hidden") if key in RECIPES[name].parameters
    )  # fmt: skip
    network = found({name: {classes: 3 if classes != "hidden" else 64}})
    assert found(network.name) == network


def test_a_layer_table_is_found_from_a_folder(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"input": [1, 2, 2], "layers": [CONV]}))
    assert found("mine.yaml", tmp_path).nodes["conv"].output_shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("resnet50", "here: unknown network 'resnet50'; there are resnet50-slim, resnet50-v1, resnet50-v1.5 and resnet50-v2-slim"),
        ("resnet-18", "here: unknown network 'resnet-18'; did you mean 'resnet18'?"),
        ("vgg16(", "here 'vgg16(': expected a name with parameters, as mobilenet-v2(width=1.4)"),
        ("vgg16(224)", "here 'vgg16(224)': expected key=value, as width=1.4, not '224'"),
        ("vgg16(size=224, size=32)", "size is given twice"),
        ("vgg16(sizes=224)", "here.vgg16: unknown key 'sizes'; did you mean 'size'?"),
        ({"vgg16": {"size": "big"}}, "here.vgg16: size: expected int, got text"),
        ({"vgg16": {"size": 0}}, "here.vgg16: size: expected int >= 1"),
        ({"vgg16": 224}, "here.vgg16: expected a mapping of parameters such as {size: 608}"),
        ({"vgg16": {}, "resnet18": {}}, "here: expected one network such as {yolo-v3: {size: 608}}"),
        ("vgg16(size=20)", "here: vgg16(size=20): layer 'features.30': a window of 2 does not fit"),
        ("yolo-v3(size=400)", "here: yolo-v3(size=400): size must be a multiple of 32, not 400"),
        ("pspnet(size=64)", "here: pspnet(size=64): size must be a multiple of 48, not 64"),
        ("bert-base(hidden=100)", "hidden must be a multiple of 64"),
        ("bert-base(tokens=513)", "layer 'bert.embeddings': has 512 positions, fewer than 513 tokens"),
        ("bert-base(layers=201)", "here.bert-base: layers: expected int <= 200"),
        ("lstm-ptb(vocabulary=1000000, hidden=1000000)", "more than 4,294,967,296 values"),
        ("mobilenet-v2(width=0)", "here.mobilenet-v2: width: expected float > 0"),
        ("resnet18(depth=34)", "here.resnet18: unknown key 'depth'; known are: classes, size"),
        ("digits-cnn(size=4)", "here.digits-cnn: is a layer table, which has no parameters"),
        ("none.yaml", "none.yaml: no such file"),
        ("", "expected a name with parameters"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_one_sentence(document, problem):
    with pytest.raises(InputError) as caught:
        found(document)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


VALUES = st.one_of(st.integers(-5, 100), st.floats(), st.text(max_size=3), st.none(), st.booleans())


@given(
    st.sampled_from(sorted(RECIPES)),
    st.dictionaries(
        st.sampled_from(["size", "classes", "width", "steps", "tokens", "hidden", "x"]), VALUES,
        min_size=1, max_size=2,
    ),
)  # fmt: skip
def test_nonsense_parameters_are_a_network_or_one_sentence(name, given_parameters):
    if name == "nasnet-a-mobile" or name.startswith("inception-resnet") or "152" in name:
        name = "svhn-d"  # the same code, in less time
    try:
        network = found({name: given_parameters})
    except InputError as error:
        assert str(error).startswith("here")
        assert "\n" not in str(error)
    else:
        assert network.layers


def test_every_network_says_where_it_is_defined():
    assert all(zoo.source(name) for name in zoo.names())


def test_names_are_not_taken_twice():
    assert len(set(zoo.names())) == len(zoo.names())
