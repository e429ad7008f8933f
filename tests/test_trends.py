"""What post-training quantization costs the digits network: trends, not single figures."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from hwmodels.errors import InputError
from qsim import trends
from qsim.evaluate import evaluate
from qsim.network.rescale import rescaled, spread
from qsim.trends import SCHEMES, Scheme, Trained, quantized_accuracy
from qsim.workload import load_workload

ASYMMETRIC, SYMMETRIC = Scheme("per_channel", "asymmetric"), Scheme("per_channel", "symmetric")
WHOLE, WHOLE_SYMMETRIC = Scheme("per_tensor", "asymmetric"), Scheme("per_tensor", "symmetric")


@pytest.fixture(scope="module")
def trained():
    return trends.digits_cnn()


@pytest.fixture(scope="module")
def in_float(trained):
    return trends.float_accuracy(trained)


@pytest.fixture(scope="module")
def by_weight_bits(trained):
    return trends.by_weight_bits(trained)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_eight_bits_cost_next_to_nothing(by_weight_bits, in_float, scheme):
    assert by_weight_bits[8][scheme] >= in_float - 0.005


@pytest.mark.parametrize("bits", [8, 3])
def test_activations_of_eight_bits_cost_nothing_that_weights_do_not(trained, by_weight_bits, bits):
    alone = quantized_accuracy(trained, ASYMMETRIC, bits, None)
    assert by_weight_bits[bits][ASYMMETRIC] >= alone - 0.005


def test_the_gap_opens_below_five_bits(by_weight_bits, in_float):
    accuracies = {bits: row[WHOLE] for bits, row in by_weight_bits.items()}
    assert accuracies[5] >= in_float - 0.01
    assert accuracies[8] > accuracies[4] > accuracies[3]
    assert accuracies[3] < in_float - 0.1


@pytest.mark.parametrize("bits", [4, 3])
def test_asymmetric_weights_per_channel_are_best_of_few_bits(by_weight_bits, bits):
    assert by_weight_bits[bits][ASYMMETRIC] == max(by_weight_bits[bits].values())


def test_activations_bear_fewer_bits_than_weights(trained, by_weight_bits, in_float):
    assert quantized_accuracy(trained, WHOLE, 8, 3) > by_weight_bits[3][WHOLE]
    assert quantized_accuracy(trained, ASYMMETRIC, 8, 4) >= in_float - 0.01


def test_the_table_of_the_readme_is_what_is_measured(by_weight_bits):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    rows = re.findall(r"^\| (\d) bits \|(.*)\|$", readme, re.MULTILINE)
    assert len(rows) == 4
    for bits, cells in rows:
        shown = [cell.strip() for cell in cells.split("|")]
        assert shown == [f"{100 * by_weight_bits[int(bits)][s]:.2f} %" for s in SCHEMES]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_channel_a_thousand_times_larger_breaks_a_scale_per_tensor_alone(
    trained, in_float, seed
):
    weights = spread(trained.network, trained.weights, 1000, seed)
    apart = Trained(trained.network, weights, trained.images)
    assert trends.float_accuracy(apart) == pytest.approx(in_float, abs=0.005)
    for scheme in (WHOLE, WHOLE_SYMMETRIC):
        assert quantized_accuracy(apart, scheme, 8, None) < 0.3
    for scheme in (ASYMMETRIC, SYMMETRIC):
        assert quantized_accuracy(apart, scheme, 8, None) > in_float - 0.03


def test_most_channels_can_be_lost(trained, in_float):
    losses = []
    for channel in range(16):
        scale = np.where(np.arange(16) == channel, 1000.0, 1.0)
        weights = rescaled(trained.network, trained.weights, {"conv1": scale})
        apart = Trained(trained.network, weights, trained.images)
        losses.append(in_float - quantized_accuracy(apart, ASYMMETRIC, 8, None))
    assert sum(loss < 0.03 for loss in losses) >= 12
    assert max(losses) < 0.15


RESCALED = {
    "network": "digits-cnn",
    "weights": "digits-cnn",
    "precision": {
        "default": {
            "weights": {"affine": {"bits": 8}}, "activations": "float", "weight_scale": "per_tensor",
        },
    },
    "rescale_channels": {"spread": 1000, "seed": 1},
    "execute": {"dataset": "digits"},
}  # fmt: skip


def evaluated(folder, **changes):
    (folder / "w.yaml").write_text(yaml.safe_dump(RESCALED | changes))
    return evaluate(load_workload(str(folder / "w.yaml"))).execution


def test_a_workload_rescales_as_the_function_does(trained, tmp_path):
    weights = spread(trained.network, trained.weights, 1000, 1)
    execution = evaluated(tmp_path)
    for name, array in weights.items():
        np.testing.assert_array_equal(execution.program.real[name], array)
    apart = Trained(trained.network, weights, trained.images)
    assert execution.accuracy == quantized_accuracy(apart, WHOLE, 8, None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rescale_channels": {"spread": 0}}, "w.yaml: rescale_channels.spread: expected float > 0"),
        ({"rescale_channels": {"spread": 2, "seeds": 1}}, "unknown key 'seeds'; did you mean 'seed'"),
        ({"precision": {"default": {"weights": "twn", "activations": "float"}}},
         "w.yaml: rescale_channels: the weights of layer 'conv1' are quantized as they were trained"),
    ],
)  # fmt: skip
def test_rescaling_that_cannot_be_meant_is_refused(tmp_path, changes, problem):
    with pytest.raises(InputError, match=problem):
        evaluated(tmp_path, **changes)


def test_rescaling_without_executing_is_refused(tmp_path):
    design = {"bat": 1, "blk_in": 16, "blk_out_fixed": 16}
    hardware = [{"fpga": "xc7z020", "design": design}]
    with pytest.raises(InputError, match="rescale_channels: has no effect; it needs execute"):
        evaluated(tmp_path, execute=None, hardware=hardware)


def test_the_tables_name_every_row(monkeypatch):
    monkeypatch.setattr(trends, "quantized_accuracy", lambda *_: 0.5)
    monkeypatch.setattr(trends, "float_accuracy", lambda _: 0.75)
    lines = list(trends.tables(trends.digits_cnn()))
    assert lines[0] == "in floating point: 75.00%"
    assert len(lines) == 1 + 3 * 7
    assert lines[2].split() == [
        "weights",
        "/",
        "activations",
        "tensor",
        "asymmetric",
        "tensor",
        "symmetric",
        "channel",
        "asymmetric",
        "channel",
        "symmetric",
    ]
    assert [line[:23].strip() for line in lines[17:]] == [f"times {s:,}" for s in trends.SPREADS]
    assert all(line.count("50.00%") == 4 for line in lines if "bits" in line or "times" in line)
