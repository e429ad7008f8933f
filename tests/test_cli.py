"""The command line: what it prints, what it refuses, and with which status."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from qsim import __version__, catalogue, cli, shipped
from qsim.formats import FORMATS
from qsim.kernels.simd import host
from qsim.network.reference import run_float
from qsim.network.weights import read_weights
from qsim.workload import load_workload
from qsim.zoo import find_network

ROOT = Path(__file__).parent.parent


def qsim(capsys, *argv):
    """Status, stdout and stderr of a command line."""
    try:
        status = cli.main([str(arg) for arg in argv])
    except SystemExit as stop:  # --help and --version
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def workload(**changes):
    """A small workload as a document."""
    document = yaml.safe_load((shipped.WORKLOADS / "digits-msq.yaml").read_text())
    document["execute"]["images"] = 20
    return document | changes


def write(folder, document, name="w.yaml"):
    path = folder / name
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("name", [n for n in shipped.workloads() if n.startswith("digits")])
def test_digits_are_bit_exact_and_recognised(capsys, name):
    status, out, err = qsim(capsys, "evaluate", name, "--format", "json")
    assert (status, err) == (0, "")
    execution = json.loads(out)["execution"]
    assert execution["bit_exact"] is True
    assert execution["images"] == 450
    assert execution["accuracy"] >= 0.97
    assert re.search(rf"`{name}` .* {execution['accuracy']:.2%}", README.replace(" %", "%"))
    if load_workload(name).document.weights == "digits-cnn":  # trained in float
        assert execution["float_accuracy"] >= 0.99


@pytest.mark.parametrize("name", [n for n in shipped.workloads() if n.startswith("resnet18")])
def test_resnet18_is_executed_and_priced(capsys, name):
    status, out, _ = qsim(capsys, "evaluate", name, "--format", "json")
    document = json.loads(out)
    assert status == 0
    assert document["network"] == "resnet18"
    assert document["macs_per_image"] == 1_814_073_344
    assert document["execution"]["bit_exact"] is True
    assert document["execution"]["checked_outputs"] > 1000
    assert "accuracy" not in document["execution"]
    [hardware] = document["hardware"]
    assert hardware["fits"] is True
    assert len(hardware["layers"]) == 21
    total = sum(layer["latency_s"] for layer in hardware["layers"])
    assert total == pytest.approx(hardware["latency_s"])
    assert hardware["gops"] == pytest.approx(2 * 1.814073344 / hardware["latency_s"])


def test_the_table_says_what_was_found(capsys):
    status, out, err = qsim(capsys, "evaluate", "digits-msq")
    assert (status, err) == (0, "")
    assert "bit-exact: yes" in out
    assert "latency per image" in out
    assert "ms" in out
    assert "PE utilization" in out


def test_published_figures_stand_beside_ours(capsys):
    _, out, _ = qsim(capsys, "evaluate", "resnet18-fixed4-xc7z020")
    [latency] = [line for line in out.splitlines() if line.startswith("latency per image")]
    assert "100.7 (blog)" in latency
    assert "fitted to it" in latency
    [peak] = [line for line in out.splitlines() if line.startswith("peak rate")]
    assert "52.8 (blog)" in peak
    assert "-3.03%" in peak
    [lut] = [line for line in out.splitlines() if line.startswith("LUT")]
    assert "12,160 (recalled, unverified)" in lut


def test_csv_has_a_row_for_every_layer(capsys):
    _, out, _ = qsim(capsys, "evaluate", "digits-msq", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["layer"] for row in rows] == ["conv1", "conv2", "conv3", "fc"]
    assert sum(int(row["macs"]) for row in rows) == 452864


def test_out_writes_the_report_its_tables_and_a_picture(capsys, tmp_path):
    out = tmp_path / "deep" / "folder"
    status, printed, err = qsim(capsys, "evaluate", "digits-msq", "--out", out, "--format", "json")
    assert status == 0
    assert json.loads((out / "report.json").read_text()) == json.loads(printed)
    assert {p.name for p in out.iterdir()} == {
        "report.json", "layers.csv", "designs.csv", "layers-0-xc7z020.png",
    }  # fmt: skip
    assert (out / "layers-0-xc7z020.png").read_bytes().startswith(b"\x89PNG")
    assert "written:" in err


def test_a_workload_without_hardware_prints_its_sums(capsys, tmp_path):
    path = write(tmp_path, workload(hardware=[]))
    status, out, _ = qsim(capsys, "evaluate", path)
    assert status == 0
    assert "highest sum" in out
    status, out, _ = qsim(capsys, "evaluate", path, "--format", "csv")
    assert out.startswith("layer,depth,lowest_sum")


def test_a_workload_without_execution_is_only_priced(capsys, tmp_path):
    document = workload()
    del document["execute"]
    status, out, _ = qsim(capsys, "evaluate", write(tmp_path, document), "--format", "json")
    assert status == 0
    assert "execution" not in json.loads(out)


def test_paths_are_relative_to_the_workload(capsys, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "net.yaml").write_text(
        "input: [1, 4, 4]\nlayers:\n  - {name: conv, type: conv, out_channels: 2, kernel: 3}\n"
        "  - {name: flat, type: flatten}\n  - {name: fc, type: linear, out_features: 2}\n"
    )
    np.savez(tmp_path / "w.npz", **{
        "conv.weight": rng.random((2, 1, 3, 3)), "conv.bias": np.zeros(2),
        "fc.weight": rng.random((2, 8)), "fc.bias": np.zeros(2),
    })  # fmt: skip
    np.savez(tmp_path / "x.npz", images=rng.random((5, 1, 4, 4)), labels=np.arange(5) % 2)
    eight = {"fixed": {"bits": 8}}
    path = write(
        tmp_path,
        {
            "network": "net.yaml",
            "weights": "w.npz",
            "precision": {"default": {"weights": eight, "activations": eight}},
            "execute": {"dataset": "x.npz", "requantize": "shift", "range": "mse"},
        },
    )
    status, out, err = qsim(capsys, "evaluate", path, "--format", "json")
    assert (status, err) == (0, "")
    execution = json.loads(out)["execution"]
    assert execution["images"] == 5
    assert execution["bit_exact"] is True
    assert 0 <= execution["accuracy"] <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_shown_with_its_levels_and_source(capsys, name):
    text = f"{name}({FORMATS[name].example})"
    status, out, err = qsim(capsys, "show", "format", text)
    assert (status, err) == (0, "")
    assert FORMATS[name].source[:20] in out
    assert ("|" in out) == (name != "float")  # the ruler of its levels


def test_a_shown_format_can_be_drawn(capsys, tmp_path):
    picture = tmp_path / "sp2.png"
    status, out, _ = qsim(capsys, "show", "format", "sp2(bits=4)", "--out", str(picture))
    assert status == 0
    assert "0101      6     0.7500" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sp3"], "format: unknown format 'sp3'; did you mean 'sp2'"),
        (["sp2(4)"], "expected key=value, as bits=4, not '4'"),
        (["sp2(bits=4"], "expected a name with parameters, as sp2(bits=4)"),
        (["sp2(bits=4, bits=5)"], "bits is given twice"),
        (["sp2(bits=99)"], "format.sp2: SP2 has 3 to 8 bits, not 99"),
        (["float", "--out", "x.png"], "float has no levels to draw"),
        (["sp2(bits=4)", "--out", "x.pdf"], "pictures are written as .png"),
        (["sp2(bits=4)", "--out", "no/such/x.png"], "no such folder"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(capsys, arguments, problem):
    status, out, err = qsim(capsys, "show", "format", *arguments)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("what", ["networks", "formats", "devices", "workloads"])
def test_lists_name_everything_that_comes_with_qsim(capsys, what):
    status, out, _ = qsim(capsys, "list", what)
    assert status == 0
    for row in catalogue.CATALOGUES[what]():
        assert next(iter(row.values())) in out


def test_version_and_help_are_printed(capsys):
    status, out, _ = qsim(capsys, "--version")
    assert status == 0
    assert out.splitlines() == [
        f"qsim {__version__}",
        f"back end {host.choose().name}: {host.choose().why}",
    ]
    status, out, _ = qsim(capsys, "--help")
    assert status == 0
    assert "examples:" in out
    assert "evaluate" in out


def executed(layers=None, execute=None, **default):
    """A workload that is not priced, with other formats."""
    document = workload()
    del document["hardware"]
    document["precision"]["default"] |= default
    document["precision"]["layers"] = layers or {}
    document["execute"] |= execute or {}
    return document


def changed(path, value):
    """A workload with the value at a path of keys replaced (None: removed)."""
    document = workload()
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


WEIGHTS = ("precision", "default", "weights")
DESIGN = ("hardware", 0, "design")
MSQ = {"bits": 4, "fixed_to_sp2": "1:1"}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("network: [", "w.yaml: not valid YAML at line"),
        ("network: a\nnetwork: b\n", "w.yaml: not valid YAML at line 2, column 1: key 'network' is"),
        (changed(("netwrk",), "x"), "w.yaml: unknown key 'netwrk'; did you mean 'network'?"),
        (changed(("network",), None), "w.yaml: key 'network' is missing"),
        (changed(("network",), "digits-cn"), "w.yaml: network: unknown network 'digits-cn'; did you"),
        (changed(("network",), "none.yaml"), "none.yaml: no such file"),
        (changed(("network",), 7), "w.yaml: network: expected text or mapping, got int"),
        (changed(("weights",), "digits-cn"), "weights: 'digits-cn' is neither an .npz file nor"),
        (changed(("weights",), "none.npz"), "none.npz: no such file"),
        (changed(("input",), [1, 2, 2]), "w.yaml: input: network digits-cnn: layer 'pool2': a window of 2"),
        (changed(("input",), [1, 8]), "w.yaml: input: network digits-cnn: layer 'conv1': reads an image"),
        (changed(("precision", "default", "weigths"), "sp2"), "did you mean 'weights'?"),
        (changed(WEIGHTS, {"sp3": {}}), "precision.default.weights: unknown format 'sp3'; did you"),
        (changed(WEIGHTS, {"msq": MSQ | {"bits": 9}}), "weights.msq: SP2 has 3 to 8 bits, not 9"),
        (changed(WEIGHTS, {"msq": MSQ | {"fixed_to_sp2": "1:x"}}), "'1:x' is none"),
        (changed(WEIGHTS, {"msq": MSQ | {"fixed_to_sp2": 1.5}}), "fixed_to_sp2: expected text"),
        (changed(WEIGHTS, {"msq": {"bits": 4}}), "key 'fixed_to_sp2' is missing"),
        (changed(("precision", "layers"), {"conv9": {}}), "'conv9' matches no"),
        (changed((*DESIGN, "bats"), 1), "hardware[0].design: unknown key 'bats'; did you mean 'bat'?"),
        (changed((*DESIGN, "bat"), 0), "hardware[0].design: bat must be a whole number from 1 to 65,536"),
        (changed((*DESIGN, "blk_out_sp2"), 0), "layer 'conv1' has 10 rows for this core"),
        (changed((*DESIGN, "weight_bits"), 2), "layer 'conv1' has 4-bit operands but the cores take"),
        (changed(("hardware", 0, "fpga"), "xc7z02"), "hardware[0].fpga: unknown FPGA 'xc7z02'; did"),
        (changed(("hardware", 0, "published"), "wrpn"), "'wrpn' has no designs to be priced beside"),
        (changed(("hardware", 0, "published"), "mqs"), "unknown table 'mqs'; did you mean 'msq'?"),
        (changed(("execute", "images"), 451), "execute.images: 451 images asked for, the dataset has"),
        (changed(("execute", "images"), 0), "execute.images: expected int >= 1"),
        (changed(("execute", "seed"), -1), "execute.seed: expected int >= 0"),
        (changed(("execute", "dataset"), "digit"), "unknown dataset 'digit', nor an .npz or .npy file or a folder; did"),
        (changed(("execute", "requantize"), "tf"), "execute.requantize: unknown value 'tf'; known are: onnx, onnxruntime, shift, tflite"),
        (changed(("execute", "accumulator"), {"bits": 10}),
         "execute.accumulator: layer 'conv1': 9 products of up to 15 x 8 can overflow an exact"
         " accumulator of 10 bits; the widest safe depth is"),
        (changed(("execute", "accumulator"), {"bits": 99}), "an accumulator has 2 to 64 bits, not 99"),
        ({"network": "digits-cnn", "precision": {"default": {}}}, "neither execute nor hardware"),
        ("network: !!int abc\n", "'abc' is no value of its kind"),
        ("network: !!bool maybe\n", "'maybe' is no value of its kind"),
        ("network: " + "1" * 5000 + "\n", "is no value of its kind"),
        ("1: 2\n", "a key must be text; write it in quotes"),
        (changed((*DESIGN, "clock_hz"), float("nan")), "clock_hz must be 1 to 1e+12"),
        (changed((*DESIGN, "blk_in"), 2**62), "blk_in must be a whole number from 1 to 65,536"),
        (changed(WEIGHTS, {"fixed": {"bits": 4, "signed": False}}), "weights are signed"),
        (changed(WEIGHTS, {"msq": MSQ | {"fixed_to_sp2": "1:1e99999999"}}), "is a ratio of two"),
        (changed(("precision", "layers"), {"conv1": {"weights": "float"}}),
         "hardware[0].design: layer 'conv1' is computed in floating point"),
        (changed(("hardware", 0), {"fpga": "xc7z020", "name": "D1-3", "published": "msq",
                                   "design": {"bat": 1, "blk_in": 8, "blk_out_fixed": 16}}),
         "layer 'conv1' has 10 rows for this core"),
        (changed(("hardware", 0), {"fpga": "xc7z020", "name": "D1-3", "published": "msq",
                                   "design": {"bat": 1, "blk_in": 8, "blk_out_fixed": 16,
                                              "blk_out_sp2": 24}}),
         "hardware[0].published: the figures of 'msq' do not hold for this design: blk_in is 8"),
        (changed(("execute", "calibration_images"), 1348), "calibration_images: 1348 images asked"),
        (changed(("input",), [1, 2**30, 8]), "input: network digits-cnn: input sides must be"),
        (changed(("precision", "default", "weight_scale"), "per_row"), "unknown value 'per_row'"),
        (executed(weights="xnor_activations"), "default.weights: xnor_activations is no format of weights; those"),
        (executed(weights={"dorefa_gradients": {"bits": 2}}), "dorefa_gradients is no format of weights; those are"),
        (executed(activations="twn"), "default.activations: twn is no format of activations; those are"),
        (executed(activations={"affine": {"bits": 4, "rounding": "stochastic"}}),
         "activations.rounding: stochastic rounding is for weights; activations take nearest"),
        (executed(weights={"lsq": {"bits": 4, "signed": False}}), "weights are signed; leave out signed: false"),
        (executed(weights={"ttq": {"threshold": 1}}), "a threshold is 0 or more and less than 1, not 1"),
        (executed(weights={"ttq": {"positive": -1}}), "weights.ttq: positive lies between 1e-30 and 1e30, which"),
        (executed(weights={"ttq": {"positive": 1.0e-60}}), "ttq: positive lies between 1e-30 and 1e30, which 1e-60 does not"),
        (executed(weights={"lsq": {"bits": 4, "step": 0}}), "weights.lsq: step lies between 1e-30 and 1e30, which"),
        (executed(weights={"dorefa_weights": {"bits": 9}}), "a DoReFa weight has 1 to 8 bits, not 9"),
        (executed(weights={"binary_connect": {"seed": -1}}), "a seed is not negative, as -1 is"),
        (executed(weights={"affine": {"bits": 4, "mode": "middle"}}), "mode: unknown value 'middle'; known are: asymmetric"),
        (executed(activations={"hwgq": {"bits": 2, "sigma": float("nan")}}), "sigma lies between 1e-30 and 1e30, which"),
        (executed(activations={"hwgq": {"bits": 2, "sigma": 1.0e-60}}), "lies between 1e-30 and 1e30, which 1e-60 does not"),
        (executed(activations={"pact": {"bits": 2, "alpha": 1.0e-60}}), "lies between 1e-30 and 1e30, which 1e-60 does not"),
        (executed({"conv1": {"weights": "twn", "weight_scale": "per_group", "group_size": 1}}),
         "layers.conv1.weight_scale: twn weights cannot have a scale per group; theirs is per_tensor or per_channel"),
        (executed({"conv2": {"weights": {"lsq": {"bits": 4}}, "weight_scale": "per_channel"}}),
         "layers.conv2.weight_scale: lsq weights cannot have a scale per channel; theirs is per_tensor"),
        (executed({"conv2": {"weights": {"fixed": {"bits": 4}}, "weight_scale": "per_group"}}),
         "group_size: is missing; say how many in-channels share"),
        (executed({"conv2": {"weights": {"fixed": {"bits": 4}}, "weight_scale": "per_group", "group_size": 5}}),
         "layer 'conv2': its weights cannot be quantized: groups of 5 do not divide"),
        (executed({"conv2": {"activations": "xnor_activations"}}), "tensor 'relu1' of network digits-cnn is never negative, so its sign"),
        (executed(execute={"requantize": "shift"}, weights="twn"),
         "execute.requantize: the scale of the weights of layer 'conv1', its batch norm included, is no power of two"),
        (executed(execute={"requantize": "shift"}, activations={"pact": {"bits": 4, "alpha": 3.0}}),
         "execute.requantize: tensor 'input' has the scale 0.2, no power of two, which shift needs"),
        (executed(execute={"integer_only": True}),
         "execute.integer_only: tensor 'relu1' is rounded by a float32 multiplication (requantize: onnx); choose one of shift"),
        (executed(execute={"requantize": "tflite"}, activations={"fixed_point": {"bits": 8, "fraction_bits": 5, "rounding": "floor"}}),
         "cannot be rounded by tflite: it gives the nearest of consecutive levels, and the tensor's format has others"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_status_2(capsys, tmp_path, document, problem):
    path = write(tmp_path, document)
    status, out, err = qsim(capsys, "evaluate", path)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.startswith("qsim: ")
    assert err.count("\n") == 1
    assert str(tmp_path) in err


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["evaluate", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["evaluate", "digits-mqs"], "nor a workload or a network that comes with qsim; did you mean 'digits-msq'"),
        (["evaluate", str(ROOT)], "is a folder"),
        (["evaluate"], "the following arguments are required: workload"),
        (["evaluate", "digits-msq", "--format", "xml"], "invalid choice: 'xml'"),
        (["evalute"], "invalid choice: 'evalute'"),
        (["list", "network"], "invalid choice: 'network'"),
        ([], "the following arguments are required: COMMAND"),
        (["evaluate", "digits-msq", "--out", __file__], "cannot be written"),
        (["evaluate", "digits-msq", "--out", ""], "--out needs the name of a folder"),
        (["evaluate", "x" * 5000], "no such file, nor a workload or a network"),
        (["evaluate", "digits-cnn", "--weights", "digits-cmm"], "qsim: digits-cnn: weights: "),
        (["evaluate", "digits-cnn", "--images", ""], "an empty name is neither a dataset nor"),
        (["evaluate", "digits-cnn", "--images", "none.npy"], "none.npy: no such file"),
        (["show", "network", "yolo-v3(size=320)", "--set", "size=416"], "has parameters in its name, and others"),
    ],
)  # fmt: skip
def test_a_mistaken_command_line_is_one_sentence_and_status_2(capsys, argv, problem):
    status, out, err = qsim(capsys, *argv)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


DATASETS = {
    "label 10 is no class of network digits-cnn": {"labels": np.array([0, 10])},
    "label -1 is no class": {"labels": np.array([-1, 0])},
    "must hold one integer for each image": {"labels": np.array([0])},
    "must hold real numbers": {"images": np.array(3.0)},
    "holds values that are no finite float32": {"images": np.full((2, 1, 8, 8), 1e300)},
    "2 images of shape (1, 7, 7) do not fit": {"images": np.zeros((2, 1, 7, 7))},
    "0 images of shape (1, 8, 8) do not fit": {"images": np.zeros((0, 1, 8, 8))},
    "array 'calibration': 2 images of shape (1, 7, 7) do not fit": {
        "calibration": np.zeros((2, 1, 7, 7))
    },
    "unknown array 'label'; did you mean 'labels'": {"label": np.array([0, 1])},
    "tensor 'input' of network digits-cnn can be negative": {"images": np.full((2, 1, 8, 8), -1.0)},
    "the images have negative values": {
        "images": np.full((2, 1, 8, 8), -1.0),
        "calibration": np.ones((2, 1, 8, 8)),
    },
}


@pytest.mark.parametrize("problem", DATASETS)
def test_images_that_do_not_fit_are_refused_by_array(capsys, tmp_path, problem):
    arrays = {"images": np.zeros((2, 1, 8, 8))} | DATASETS[problem]
    np.savez(tmp_path / "x.npz", **arrays)
    status, out, err = qsim(
        capsys, "evaluate", write(tmp_path, workload(execute={"dataset": "x.npz"}))
    )
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_model_runs_on_images_of_a_file_with_shipped_weights(capsys, tmp_path, suffix):
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    if suffix == "npy":
        np.save(tmp_path / "x.npy", images)
    else:
        np.savez(tmp_path / "x.npz", images=images)
    status, out, err = qsim(
        capsys, "run", "digits-cnn", "--input", tmp_path / f"x.{suffix}", "--output",
        tmp_path / "y.npz", "--weights", "digits-cnn", "--precision", "w32a32",
    )  # fmt: skip
    assert status == 0, err
    assert "3 images" in out
    assert "weights: digits-cnn" in out
    network = find_network("digits-cnn", where="network")
    held = read_weights(shipped.DATA / "digits-cnn.npz", network)
    wanted = run_float(network, held, images)[network.output]
    got = np.load(tmp_path / "y.npz")["output"]
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def own_network(folder, layers, **document):
    """A workload on a network of its own, of 8 x 8 images, with seeded weights."""
    (folder / "net.yaml").write_text(yaml.safe_dump({"input": [1, 8, 8], "layers": layers}))
    four = {"fixed": {"bits": 4, "signed": False}}
    precision = {"default": {"weights": {"fixed": {"bits": 4}}, "activations": four}}
    return write(folder, {"network": "net.yaml", "precision": precision} | document)


CONV = {"name": "c", "type": "conv", "out_channels": 8, "kernel": 1}


def test_labels_need_a_network_that_ends_in_classes(capsys, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((8, 1, 8, 8)), labels=np.zeros(8, int))
    path = own_network(tmp_path, [CONV], execute={"dataset": "x.npz"})
    status, _, err = qsim(capsys, "evaluate", path)
    assert status == 2
    assert "ends in 8x8x8 and not in one value for each class" in err


def test_a_network_without_products_has_nothing_to_price(capsys, tmp_path):
    hardware = workload()["hardware"]
    path = own_network(tmp_path, [{"name": "r", "type": "relu"}], hardware=hardware)
    status, _, err = qsim(capsys, "evaluate", path)
    assert status == 2
    assert "has no products to price" in err


@pytest.mark.parametrize(
    ("shape", "layer", "macs"),
    [
        ([6, 4], {"name": "rnn", "type": "lstm", "hidden": 3}, [6 * 12 * 4, 6 * 12 * 3]),
        ([6, 4], {"name": "rnn", "type": "gru", "hidden": 3}, [6 * 9 * 4, 6 * 9 * 3]),
        ([6, 6], {"name": "m", "type": "matmul", "inputs": ["input"] * 2}, [6 * 6 * 6]),
    ],
)
def test_products_of_states_and_tensors_are_executed_and_priced(
    capsys, tmp_path, shape, layer, macs
):
    eight = {"default": {"weights": {"fixed": {"bits": 8}}, "activations": {"fixed": {"bits": 8}}}}
    hardware = workload()["hardware"]
    hardware[0] = {"fpga": "xc7z020", "design": hardware[0]["design"] | {
        "weight_bits": 8, "activation_bits": 8
    }}  # fmt: skip
    path = own_network(tmp_path, [], execute={"images": 2}, precision=eight, hardware=hardware[:1])
    (tmp_path / "net.yaml").write_text(yaml.safe_dump({"input": shape, "layers": [layer]}))
    status, out, err = qsim(capsys, "evaluate", path, "--format", "json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert document["execution"]["bit_exact"]
    assert [row["macs"] for row in document["hardware"][0]["layers"]] == macs


def test_a_network_in_floating_point_has_nothing_to_check(capsys, tmp_path):
    path = own_network(tmp_path, [CONV], execute={}, precision={
        "default": {"weights": "float", "activations": "float"}
    })  # fmt: skip
    status, out, _ = qsim(capsys, "evaluate", path)
    assert status == 0
    assert "bit-exact: - (nothing to check" in out
    _, out, _ = qsim(capsys, "evaluate", path, "--format", "json")
    assert "bit_exact" not in json.loads(out)["execution"]
    _, out, _ = qsim(capsys, "evaluate", path, "--format", "csv")
    assert out.startswith("layer,depth,lowest_sum")


def test_a_design_whose_luts_are_not_known_is_not_said_to_fit(capsys, tmp_path):
    path = write(tmp_path, changed((*DESIGN, "weight_bits"), 8))
    status, out, _ = qsim(capsys, "evaluate", path, "--format", "json")
    [hardware] = json.loads(out)["hardware"]
    assert status == 0
    assert hardware["fits"] is None
    assert "lut" not in hardware
    _, out, _ = qsim(capsys, "evaluate", path)
    assert "not known" in out


def test_more_memory_than_there_is_is_one_sentence(capsys, tmp_path):
    path = own_network(tmp_path, [CONV], execute={"images": 2**31})
    status, _, err = qsim(capsys, "evaluate", path)
    assert status == 2
    assert "needs more memory than there is" in err
    assert err.count("\n") == 1


def test_nothing_is_left_of_an_evaluation_that_failed(capsys, tmp_path):
    path = write(tmp_path, changed(("execute", "accumulator"), {"bits": 4}))
    assert qsim(capsys, "evaluate", path, "--out", tmp_path / "out")[0] == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_names_of_any_characters_are_drawn_as_they_are(capsys, tmp_path):
    path = own_network(
        tmp_path, [CONV | {"name": "$\\frac{$"}], hardware=workload()["hardware"],
    )  # fmt: skip
    document = yaml.safe_load(path.read_text())
    document["hardware"][0]["design"]["blk_out_sp2"] = 0
    path = write(tmp_path, document)
    status, _, err = qsim(capsys, "evaluate", path, "--out", tmp_path / "out")
    assert status == 0, err
    assert (tmp_path / "out" / "layers-0-xc7z020.png").exists()


def test_weights_that_do_not_fit_are_refused_by_array(capsys, tmp_path):
    arrays = dict(np.load(shipped.DATA / "digits-cnn.npz"))
    for name, problem in (("missing", "'fc.bias' of network"), ("shape", "shape (9,), expected")):
        spoiled = arrays | {"fc.bias": np.zeros(9, np.float32)}
        if name == "missing":
            del spoiled["fc.bias"]
        np.savez(tmp_path / "bad.npz", **spoiled)
        path = write(tmp_path, workload(weights="bad.npz"))
        status, _, err = qsim(capsys, "evaluate", path)
        assert status == 2
        assert problem in err
        assert "bad.npz" in err


ZEROS = {
    "bwn": "all of index 1 are 0 (or too small)",
    "twn": "all values are 0 (or too small)",
    "ttq": "all values are 0 (or too small)",
    "lsq": "all values are 0 (or too small)",
    "wrpn_weights": "all values are 0 (or too small)",
    "dorefa_weights": "all weights of the layer are 0",
}


@pytest.mark.parametrize("name", ZEROS)
def test_weights_without_a_scale_are_refused_by_layer(capsys, tmp_path, name):
    (tmp_path / "net.yaml").write_text(
        "input: [1, 4, 4]\nlayers:\n"
        "  - {name: conv, type: conv, out_channels: 2, kernel: 3, bias: false}\n"
    )
    weight = np.zeros((2, 1, 3, 3))
    weight[0] = name == "bwn"
    np.savez(tmp_path / "w.npz", **{"conv.weight": weight})
    bits = {"lsq": 4, "wrpn_weights": 1, "dorefa_weights": 2}
    document = {
        "network": "net.yaml",
        "weights": "w.npz",
        "precision": {
            "default": {
                "weights": {name: {"bits": bits[name]} if name in bits else {}},
                "activations": {"fixed": {"bits": 8}},
            }
        },
        "execute": {"dataset": "x.npz"},
    }
    np.savez(tmp_path / "x.npz", images=np.ones((1, 1, 4, 4)))
    status, out, err = qsim(capsys, "evaluate", write(tmp_path, document))
    assert (status, out) == (2, "")
    assert f"layer 'conv': its weights cannot be quantized: {ZEROS[name]}" in err
    assert err.count("\n") == 1


def test_a_design_too_large_is_reported_with_its_excess_and_the_results(capsys, tmp_path):
    path = write(tmp_path, changed((*DESIGN, "blk_out_sp2"), 96))
    status, out, err = qsim(capsys, "evaluate", path, "--format", "json")
    assert status == 2
    [hardware] = json.loads(out)["hardware"]
    assert hardware["fits"] is False
    assert hardware["excess"]["lut6"] == pytest.approx(hardware["lut"] - 53200, abs=1)
    excess = f"{hardware['excess']['lut6']:,.0f}"
    assert f"hardware[0].design: does not fit xc7z020: needs {excess} LUT more" in err


def test_results_go_through_a_pipe_that_closes(tmp_path):
    command = f"{sys.executable} -m qsim list formats | head -1"
    result = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith("format")
    assert result.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_one_sentence():
    command = f"{sys.executable} -m qsim list formats > /dev/full"
    result = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == "qsim: the output cannot be written: No space left on device\n"


def test_a_narrow_character_set_shows_what_it_can(tmp_path):
    path = write(tmp_path, workload(title="snow \N{SNOWMAN}"))
    result = subprocess.run(
        [sys.executable, "-m", "qsim", "evaluate", path], cwd=ROOT, capture_output=True,
        check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert result.returncode == 0
    assert b"snow ?" in result.stdout


def test_the_module_and_its_status_work_as_a_program():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "qsim", "evaluate", "nowhere.yaml"],
        cwd=ROOT.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == "qsim: nowhere.yaml: no such file\n"


BLOCKS = "xc7z020(bat=1, blk_in=16, blk_out_fixed=16)"


def test_a_network_is_priced_on_a_device_that_the_command_line_names(capsys):
    asked = ("evaluate", "resnet18", "--precision", "w4a4", "--cost-only", "--format", "json")
    status, out, err = qsim(
        capsys, *asked, "--on", BLOCKS, "--on", BLOCKS.replace("7z020", "7z045")
    )
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert "execution" not in document
    assert [row["device"] for row in document["hardware"]] == ["xc7z020", "xc7z045"]
    assert document["hardware"][0]["dsp"] == 220


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--on", "xc7z02"), "--on: unknown device 'xc7z02'; did you mean 'xc7z020'?"),
        (("--on", "t4(architecture=3)"), "architecture: unknown architecture '3'; known are: "),
        (("--on", "t4(architecture=true)"), "architecture: unknown architecture 'True'; known"),
        (("--on", "xc7z020(bat=1)"), "--on 'xc7z020(bat=1)': key 'blk_in' is missing"),
        (("--on", "xc7z020(bat)"), "expected key=value, as batch=8, not 'bat'"),
        (("--cost-only",), "--cost-only: names nothing to price; say --on DEVICE or --memory"),
        (("--on", BLOCKS, "--explain", "latncy_s"), "did you mean 'latency_s'?"),
        (("--explain", "latency_s"), "--explain latency_s: it names no hardware"),
    ],
)  # fmt: skip
def test_hardware_that_cannot_be_priced_is_refused(capsys, options, problem):
    status, out, err = qsim(capsys, "evaluate", "resnet18", "--precision", "w4a4", *options)
    assert (status, out) == (2, "")
    assert problem in err


def test_a_figure_is_explained_down_to_its_constants_and_their_sources(capsys):
    status, out, err = qsim(capsys, "evaluate", "resnet18-msq-xc7z020", "--explain", "latency_s")
    assert (status, err) == (0, "")
    assert out.startswith("xc7z020: D1-3\nlatency_s = 46.84 ms")
    text = " ".join(re.sub("[│├└─]", " ", out).split())
    assert "compute_efficiency = 0.70798 (calibrated, hwmodels/calibrated/msq_gemm.yaml" in text
    assert "dram_gb_per_s = 4.264 (derived, xc7z020: ZedBoard DDR3, 32 bit x 1066 MT/s)" in text
    assert "blk_out_sp2 = 24 (design)" in text
    assert "hwmodels.fpga.gemm.layer_cycles, line" in text


def test_a_device_is_shown_with_its_sources_and_what_a_design_may_say(capsys):
    status, out, err = qsim(capsys, "show", "device", "xc7z045@zc706_pl")
    assert (status, err) == (0, "")
    for words in ("218,600", "Xilinx DS190", "not known", "architecture streaming", "blk_out_sp2"):
        assert words in out
    status, out, err = qsim(capsys, "show", "device", "T44")
    assert (status, out) == (2, "")
    assert "device: unknown device 'T44'" in err


def test_a_design_that_cannot_be_priced_takes_no_other_with_it(capsys):
    asked = ("evaluate", "resnet18", "--cost-only", "--on", "standard_cells", "--on", "t4")
    status, out, err = qsim(capsys, *asked, "--format", "json")
    assert status == 2
    assert [row["device"] for row in json.loads(out)["hardware"]] == ["t4"]
    assert err == "qsim: --on 'standard_cells': key 'rows' is missing\n"


def test_the_report_says_as_what_a_gpu_computes(capsys):
    asked = ("evaluate", "resnet18", "--cost-only", "--precision", "w3a3", "--on", "t4(batch=2)")
    _, out, _ = qsim(capsys, *asked)
    assert "computed as int4_tensor" in out


def test_memory_is_counted_by_phase_and_batch_with_what_it_is_made_of(capsys, tmp_path):
    asked = ("evaluate", "resnet18", "--cost-only", "--memory", "batch=4, rule=framework")
    status, out, err = qsim(capsys, *asked, "--format", "json", "--out", tmp_path)
    assert status == 0
    inference, training = json.loads(out)["memory"]
    assert (inference["phase"], training["phase"]) == ("inference", "training")
    for record in (inference, training):
        assert sum(row["bytes"] for row in record["held"]) == pytest.approx(record["total_bytes"])
        assert record["lower_bound_bytes"] <= record["peak_bytes"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "memory.csv").read_text())))
    assert len(rows) == len(inference["held"]) + len(training["held"])
    status, _, err = qsim(capsys, *asked[:-1], "bacth=4")
    assert (status, err) == (2, "qsim: --memory: unknown key 'bacth'; did you mean 'batch'?\n")
