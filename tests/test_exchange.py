"""Models to and from files on the command line: run, import, export."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qsim import cli, exchange, shipped
from qsim.datasets import digits
from qsim.evaluate import evaluate
from qsim.request import Options, requested
from qsim.results import Results

DIGITS = ("--weights", "digits-cnn", "--calibrate", "digits")


def qsim(capsys, *argv):
    """Status, stdout and stderr of a command line."""
    status = cli.main([str(arg) for arg in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def model(tmp_path):
    """A float model of one convolution, relu and dense layer, in an ONNX file."""
    rng = np.random.default_rng(0)
    arrays = {
        "conv.weight": rng.standard_normal((4, 1, 3, 3)), "conv.bias": rng.standard_normal(4),
        "fc.weight": rng.standard_normal((10, 4 * 36)) / 8, "fc.bias": rng.standard_normal(10),
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["c"], name="conv"),
            helper.make_node("Relu", ["c"], ["r"], name="relu"),
            helper.make_node("Flatten", ["r"], ["f"], name="flat"),
            helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"], name="fc", transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_run_writes_what_evaluate_computes(capsys, tmp_path):
    out = tmp_path / "y.npz"
    status, printed, err = qsim(capsys, "run", "digits-affine8", "--input", "digits",
                                "--output", out, "--tensors")  # fmt: skip
    assert (status, err) == (0, f"written: {out}\n")
    assert "bit-exact: yes" in printed
    execution = evaluate(requested("digits-affine8", Options())).execution
    arrays = np.load(out)
    np.testing.assert_array_equal(arrays["output"], execution.outputs.astype(np.float32))
    assert arrays["conv1.real"].shape == (450, 16, 8, 8)  # stays in the accumulator
    levels, scale = arrays["input.levels"], arrays["input.scale"]
    np.testing.assert_allclose(levels * scale, digits().images, atol=scale / 2 + 1e-7)
    assert np.unique(arrays["relu1.levels"]).size > 2


def test_without_tensors_only_the_result_is_kept():
    results = Results()
    evaluate(requested("digits-cnn", Options()), on_steps=results.keep)
    assert list(results.arrays()) == ["output"]


def test_an_imported_table_computes_what_the_model_does(capsys, tmp_path, model):
    table = tmp_path / "net.yaml"
    status, _, err = qsim(capsys, "import", model, "--out", table)
    assert (status, err) == (0, f"written: {table}, {tmp_path / 'net.npz'}\n")
    outputs = []
    for name, weights in ((model, None), (table, str(tmp_path / "net.npz"))):
        workload = requested(str(name), Options(weights=weights, images="digits"))
        outputs.append(evaluate(workload).execution.outputs)
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_what_is_exported_for_a_runtime_is_read_as_the_same_integers(capsys, tmp_path, form):
    out = tmp_path / "d.onnx"
    status, _, err = qsim(capsys, "export", "digits-cnn", *DIGITS, "--to", form, "--out", out)
    assert (status, err) == (0, f"written: {out}, with requantize: onnxruntime\n")
    options = Options(
        weights="digits-cnn", calibration="digits", images="digits", requantize="onnxruntime"
    )
    expected = evaluate(requested("digits-cnn", options)).execution
    got = evaluate(requested(str(out), Options(images="digits"))).execution
    assert got.bit_exact
    assert got.float_accuracy is None  # no float network is left
    assert got.accuracy == expected.accuracy > 0.99
    np.testing.assert_array_equal(
        got.outputs.astype(np.float32), expected.outputs.astype(np.float32)
    )


@pytest.mark.parametrize(
    ("name", "options", "source"),
    [
        ("digits-cnn", Options(), "1 other seeded image"),
        ("digits-affine8", Options(), "256 images of digits"),
        ("digits-cnn", Options(images="x.npy", calibration="digits"), "256 images of digits"),
        ("digits-cnn", Options(images="x.npy"), "3 images of {}/x.npy"),
    ],
)
def test_a_report_says_what_was_calibrated_on(tmp_path, monkeypatch, name, options, source):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", digits().images[:3])
    found = evaluate(requested(name, options)).execution.calibration_source
    assert found == source.format(tmp_path)


def test_a_quantized_model_was_calibrated_elsewhere(capsys, tmp_path):
    path = tmp_path / "d.onnx"
    qsim(capsys, "export", "digits-cnn", *DIGITS, "--to", "qdq", "--out", path)
    _, printed, _ = qsim(capsys, "evaluate", path)
    assert "ranges      scales as the model has them" in printed
    _, printed, _ = qsim(capsys, "evaluate", path, "--format", "json")
    execution = json.loads(printed)["execution"]
    assert execution.keys().isdisjoint({"range", "calibration", "calibration_source"})


def test_an_export_keeps_an_arithmetic_that_its_form_has(capsys, tmp_path):
    out = tmp_path / "d.onnx"
    status, _, err = qsim(capsys, "export", "digits-cnn", *DIGITS, "--to", "qonnx", "--out", out)
    assert (status, err) == (0, f"written: {out}\n")
    workload = requested("digits-cnn", Options())
    assert exchange.exported(workload, "qonnx") is workload
    assert exchange.exported(workload, "npz") is workload
    assert exchange.exported(workload, "qdq").document.execute.requantize == "onnxruntime"


def test_an_exported_program_holds_its_integers(capsys, tmp_path):
    out = tmp_path / "d.npz"
    assert qsim(capsys, "export", "digits-xnor", "--to", "npz", "--out", out)[0] == 0
    arrays = np.load(out, allow_pickle=False)
    assert set(np.unique(arrays["conv2.levels.0"])) == {-1, 1}
    text = json.loads(str(arrays["program"]))
    assert text["arithmetic"]["requantize"] == "thresholds"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["run", "digits-cnn", "--input", "digits", "--output", "y.txt"], "arrays are written as .npz"),
        (["run", "digits-cnn", "--input", "digits", "--output", "no/y.npz"], "no: no such folder"),
        (["run", "digits-cnn", "--input", "no.npz", "--output", "y.npz"], "no.npz: no such file"),
        (["run", "digits-cnn", "--output", "y.npz"], "required: --input (see qsim run --help)"),
        (["import", "net.yaml", "--out", "n.yaml"], "expected a model's ONNX file"),
        (["import", "no.onnx", "--out", "n.yaml"], "no.onnx: no such file"),
        (["import", "no.onnx", "--out", "n.txt"], "the name must end in .yaml or .yml"),
        (["export", "digits-msq", "--to", "qdq", "--out", "m.npz"], "the name must end in .onnx"),
        (["export", "digits-msq", "--to", "tflite", "--out", "m.onnx"], "invalid choice: 'tflite'"),
        (["export", "digits-xnor", "--to", "qdq", "--out", "m.onnx"],
         "execute.requantize: thresholds is no arithmetic of ONNX"),
        (["export", "digits-affine8", "--to", "qdq", "--out", "m.onnx"],
         "give it weights: {affine: {bits: 8, mode: symmetric}}"),
        (["evaluate", "digits-cnn", "--requantize", "onxn"], "did you mean 'onnx'"),
        (["evaluate", "no.onnx"], "no.onnx: no such file"),
        (["evaluate", "digits-msq", "--set", "width=2"], "write the parameters of its model into"),
        (["evaluate", "mobilenet-v2", "--set", "depth=2"], "depth"),
        (["evaluate", "mobilenet-v2", "--set", "width"], "expected KEY=VALUE"),
        (["evaluate", "mobilenet-v2", "--set", "width=1", "--set", "width=2"], "is given twice"),
        (["evaluate", "mobilenet-v2", "--set", "width={"], "--set width: not valid YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_status_2(capsys, tmp_path, monkeypatch, argv, problem):
    monkeypatch.chdir(tmp_path)
    status, out, err = qsim(capsys, *argv)
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--precision", "w4a4"], "precision: the network is quantized already, which settles it"),
        (["--requantize", "tflite"], "execute.requantize: the network is quantized already"),
        (["--weights", "digits-cnn"], "weights: the network is quantized already"),
    ],
)
def test_a_quantized_model_settles_its_precision(capsys, tmp_path, argv, problem):
    path = tmp_path / "d.onnx"
    qsim(capsys, "export", "digits-cnn", *DIGITS, "--to", "qdq", "--out", path)
    status, _, err = qsim(capsys, "evaluate", path, *argv)
    assert status == 2
    assert problem in err
    status, _, err = qsim(capsys, "import", path, "--out", tmp_path / "n.yaml")
    assert status == 2
    assert "is quantized already, which a layer table cannot hold" in err


def test_weights_that_came_with_a_model_fit_it_alone(capsys, model):
    document = model.parent / "w.yaml"
    document.write_text(
        "network: model.onnx\nwidth: 2\nexecute: {}\n"
        "precision: {default: {weights: {sp2: {bits: 4}}, activations: {affine: {bits: 8}}}}\n"
    )
    status, _, err = qsim(capsys, "evaluate", document)
    assert status == 2
    assert "its array 'conv.weight' has shape (4, 1, 3, 3), and (8, 1, 3, 3) is needed" in err


def test_a_shipped_network_takes_its_trained_weights_by_name(capsys):
    assert "digits-cnn" in shipped.weights()
    status, out, _ = qsim(capsys, "evaluate", "digits-cnn", *DIGITS, "--images", "digits",
                          "--precision", "sp2(bits=5) / affine(bits=8)")  # fmt: skip
    assert status == 0
    assert "weights sp2(bits=5), scale per channel; activations affine(bits=8)" in out
