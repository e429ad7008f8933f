import csv
import io
import json

import pytest
import yaml

from qsim import cli, zoo
from qsim.request import Options, requested


def qsim(capsys, *argv):
    status = cli.main(list(argv))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "net.yaml"
    layers = [
        {"name": "c", "type": "conv", "out_channels": 4, "kernel": 3},
        {"name": "p", "type": "max_pool", "kernel": 2},
        {"name": "j", "type": "concat", "inputs": ["p", "p"]},
    ]
    path.write_text(yaml.safe_dump({"input": [2, 6, 6], "layers": layers}))
    return str(path)


# by hand: 4 filters of 2 x 3 x 3 at 4 x 4 places, and 4 biases
ROWS = [
    {"layer": "c", "type": "conv", "reads": "input", "output": "4x4x4", "MACs": 1152, "parameters": 76},
    {"layer": "p", "type": "max_pool", "reads": "c", "output": "4x2x2", "MACs": 0, "parameters": 0},
    {"layer": "j", "type": "concat", "reads": "p p", "output": "8x2x2", "MACs": 0, "parameters": 0},
]  # fmt: skip


def test_a_network_is_shown_layer_by_layer_with_totals(capsys, table):
    status, out, _ = qsim(capsys, "show", "network", table)
    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert out.splitlines()[0] == "net, input 2x6x6, 1,152 MACs per image, 76 parameters"
    assert lines[2:6] == [
        ["layer", "type", "reads", "output", "MACs", "parameters"],
        ["c", "conv", "input", "4x4x4", "1,152", "76"],
        ["p", "max_pool", "c", "4x2x2", "0", "0"],
        ["j", "concat", "p", "p", "8x2x2", "0", "0"],
    ]
    assert lines[-1] == ["3", "layers", "1,152", "76"]


def test_a_network_is_one_json_document(capsys, table):
    _, out, _ = qsim(capsys, "show", "network", table, "--format", "json")
    assert json.loads(out) == {
        "network": "net",
        "input": [2, 6, 6],
        "macs": 1152,
        "parameters": 76,
        "layers": ROWS,
    }


def test_a_network_is_csv(capsys, table):
    _, out, _ = qsim(capsys, "show", "network", table, "--format", "csv")
    assert list(csv.DictReader(io.StringIO(out))) == [
        {key: str(value) for key, value in row.items()} for row in ROWS
    ]


def test_a_network_of_the_zoo_is_shown_with_its_parameters_and_wider(capsys):
    narrow = json.loads(qsim(capsys, "show", "network", "svhn-d", "--format", "json")[1])
    wide = json.loads(
        qsim(capsys, "show", "network", "svhn-d(classes=4)", "--width", "2", "--format", "json")[1]
    )
    assert wide["network"] == "svhn-d(classes=4) 2x wide"
    shapes = {row["layer"]: row["output"] for row in wide["layers"]}
    assert shapes["fc1"] == "4"
    assert shapes["conv1"] == "16x18x18"
    assert {row["layer"]: row["output"] for row in narrow["layers"]}["conv1"] == "8x18x18"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["resnet50"], "network: unknown network 'resnet50'; there are resnet50-slim, resnet50-v1,"),
        (["vgg16(size=x)"], "network.vgg16: size: expected int, got text"),
        (["none.yaml"], "network: none.yaml: no such file"),
        (["svhn-d", "--width", "wide"], "--width: expected a number, not 'wide'"),
        (["svhn-d", "--width", "0"], "the factor must be more than 0"),
        (["svhn-d", "--format", "xml"], "invalid choice: 'xml'"),
        ([], "the following arguments are required: NETWORK"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_one_sentence(capsys, argv, problem):
    status, out, err = qsim(capsys, "show", "network", *argv)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_the_list_has_the_size_of_every_network(capsys):
    _, out, _ = qsim(capsys, "list", "networks")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line[:1].strip()}
    assert rows.keys() - {"network"} == set(zoo.names())
    assert rows["resnet18"][1:4] == ["3x224x224", "11,689,512", "1.814073"]
    assert rows["bert-base"][1:4] == ["384", "108,893,186", "35.333407"]


def test_parameters_may_be_set_apart(capsys):
    apart = qsim(capsys, "show", "network", "svhn-d", "--set", "classes=4", "--format", "json")
    assert apart == qsim(capsys, "show", "network", "svhn-d(classes=4)", "--format", "json")


def test_a_network_whose_name_has_a_dot_is_called_by_all_of_it():
    workload = requested("resnet50-v1.5(size=32)", Options())
    assert workload.name == workload.network.name == "resnet50-v1.5(size=32)"


def test_a_name_that_several_begin_with_names_them_all(capsys):
    _, _, err = qsim(capsys, "evaluate", "resnet50")
    assert "there are resnet50-slim, resnet50-v1, resnet50-v1.5 and resnet50-v2-slim" in err
