"""What an execution reports, by hand."""

import numpy as np
import pytest

from hwmodels.errors import InputError
from qsim.evaluate import evaluate
from qsim.network import reference
from qsim.workload import load_workload

NETWORK = """
input: [1, 2, 2]
layers:
  - {name: conv, type: conv, out_channels: 2, kernel: 2}
  - {name: flat, type: flatten}
"""
WORKLOAD = """
network: net.yaml
weights: w.npz
precision:
  default: {weights: {fixed: {bits: 4}}, activations: {fixed: {bits: 4, signed: false}}}
execute: {dataset: %s, %s}
"""
IMAGES = np.array([15, 0, 0, 0, 15, 15, 0, 0, 15, 15, 15, 0, 15, 15, 15, 15], np.float32)


@pytest.fixture
def execution(tmp_path, monkeypatch):
    """The execution of one convolution with weights 7 and -7 and bias 3 over four images, whose
    levels are their values, one image at a time."""
    monkeypatch.setattr(reference, "BATCH_BYTES", 1)

    def run(options="images: 4", progress=lambda *_: None, dataset="x.npz", **arrays):
        weight = np.full((2, 1, 2, 2), 7.0)
        weight[1] *= -1
        (tmp_path / "net.yaml").write_text(NETWORK)
        np.savez(tmp_path / "w.npz", **{"conv.weight": weight, "conv.bias": np.full(2, 3.0)})
        np.savez(tmp_path / "x.npz", **({"images": IMAGES.reshape(4, 1, 2, 2)} | arrays))
        (tmp_path / "w.yaml").write_text(WORKLOAD % (dataset, options))
        return evaluate(load_workload(str(tmp_path / "w.yaml")), progress).execution

    return run


def test_extremes_are_those_of_all_images(execution):
    [layer] = execution().layers
    assert (layer.layer, layer.depth) == ("conv", 4)
    assert (layer.lowest_sum, layer.highest_sum) == (3 - 4 * 105, 3 + 4 * 105)
    assert layer.accumulator_bits_seen == 10  # -512 .. 511
    assert layer.accumulator_bits_worst_case == 10  # 4 x 15 x 7 + 3 = 423


def test_extremes_of_one_sign_are_not_stretched_to_zero(execution):
    [layer] = execution("images: 1").layers
    assert (layer.lowest_sum, layer.highest_sum) == (-102, 108)
    only = {"images": np.full((2, 1, 2, 2), 15.0)}
    [layer] = execution("images: 2", **only).layers
    assert layer.lowest_sum == -417


def test_accuracy_is_the_share_of_right_answers(execution):
    result = execution(labels=np.array([0, 0, 0, 1]))
    assert result.accuracy == result.float_accuracy == 0.75
    assert execution("images: 2", labels=np.array([0, 1, 0, 1])).accuracy == 0.5


def test_outputs_are_real_and_of_every_image(execution):
    expected = 7 * IMAGES.reshape(4, 4).sum(axis=1)
    np.testing.assert_array_equal(
        execution().outputs, np.stack([expected + 3, 3 - expected], axis=1)
    )


def test_ranges_come_from_the_calibration_images(execution):
    wide = execution(calibration=np.full((1, 1, 2, 2), 30.0))
    assert execution().outputs[3, 0] == 4 * 105 + 3
    assert wide.outputs[3, 0] == 4 * 16 * 7 + 4  # at scale 2 15 is level 8, the bias 3 level 2


def test_ranges_may_come_from_a_dataset_of_their_own(execution, tmp_path):
    np.savez(tmp_path / "other.npz", images=np.full((2, 1, 2, 2), 30.0))
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "0.npy", np.full((1, 2, 2), 30.0))
    np.save(tmp_path / "other" / "1.npy", np.full((3, 1, 2, 2), 15.0))
    by_file = execution("images: 4, calibration_dataset: other.npz")
    by_folder = execution("images: 4, calibration_dataset: other")
    assert by_file.outputs[3, 0] == by_folder.outputs[3, 0] == 4 * 16 * 7 + 4


def test_images_may_be_a_folder(execution, tmp_path):
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x" / "b.npy", IMAGES.reshape(4, 1, 2, 2)[1:])
    np.save(tmp_path / "x" / "a.npy", IMAGES.reshape(4, 1, 2, 2)[0])
    stored, expected = execution(dataset="x"), execution()
    np.testing.assert_array_equal(stored.outputs, expected.outputs)
    assert stored.images == 4
    assert stored.accuracy is None
    few = execution("images: 2, calibration_images: 4", dataset="x")
    np.testing.assert_array_equal(few.outputs, expected.outputs[:2])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            "calibration_dataset: none.npz",
            r"execute.calibration_dataset: .*none\.npz: no such file",
        ),
        (
            "calibration_dataset: digit",
            "execute.calibration_dataset: unknown dataset 'digit', nor an",
        ),
        (
            "calibration_dataset: digits",
            "calibration_dataset: 450 images of shape .1, 8, 8. do not fit",
        ),
        ("calibration_dataset: empty", r"calibration_dataset: .*empty: has no \.npy files"),
        (
            "calibration_dataset: none",
            r"calibration_dataset: 0 images of shape .1, 2, 2. do not fit",
        ),
        ("calibration_images: 5", "calibration_images: 5 images asked for, the dataset has 4"),
        (
            "calibration: mean",
            "execute: calibration: unknown method 'mean'; known are: kl, min_max",
        ),
        ("calibration: {kl: {levels: 0}}", "execute: calibration.kl: levels: expected int >= 1"),
    ],
)
def test_calibration_that_cannot_be_meant_is_refused_by_key(execution, tmp_path, options, problem):
    for name in ("empty", "none"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "none" / "0.npy", np.zeros((0, 1, 2, 2)))
    with pytest.raises(InputError, match=problem):
        execution(options)


def test_calibration_and_execution_show_their_progress(execution):
    shown = []
    execution("images: 3", progress=lambda *step: shown.append(step))
    calibrating = [step for step in shown if step[0] == "calibrating"]
    assert calibrating == [("calibrating", done, 8) for done in range(1, 9)]  # 4 images, 2 layers
    assert shown.index(calibrating[-1]) < shown.index(("executing conv", 1, 6))


def test_every_batch_is_checked(execution):
    # every image is a batch of its own: per image 4 levels of input, 2 sums and their 2 places
    assert execution("images: 4, check_per_layer: 400").checked_outputs == 4 * (4 + 2 + 2)
    assert execution("images: 4, check_per_layer: 4").checked_outputs == 4 * (1 + 1 + 1)
