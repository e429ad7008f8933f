"""Tables of memory: they sum to their totals, and their peak is that of the schedule."""

import pytest

from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.footprint import footprint
from qsim.explore.memory import HELD, by_role, over_time, steps_of


@pytest.mark.parametrize("phase", ["inference", "training"])
def test_what_is_held_sums_to_the_total(phase):
    table = by_role(["resnet18", "mobilenet-v2"], [1, 8], phase=phase, rule="schedule")
    assert table.index.tolist() == [(n, b) for n in ("resnet18", "mobilenet-v2") for b in (1, 8)]
    parts = [name.replace("_", " ") for name in HELD]
    assert table[parts].sum(axis=1).tolist() == pytest.approx(table.total.tolist(), rel=1e-12)


def test_weights_and_activations_worked_by_hand():
    """AlexNet of 2014: 61.1 M parameters; a batch holds twice what half of it does."""
    table = by_role(["alexnet-torchvision"], [1, 32, 64], phase="training", optimizer="momentum",
                    rule="schedule")  # fmt: skip
    small, double, fourfold = (table.loc["alexnet-torchvision", b] for b in (1, 32, 64))
    assert small["weights"] + small["parameters"] == pytest.approx(61_100_840 * 4 / 1e6, rel=1e-12)
    assert small["optimizer"] == pytest.approx(61_100_840 * 4 / 1e6, rel=1e-12)
    assert fourfold["activations"] == pytest.approx(2 * double["activations"], rel=1e-12)


def test_fewer_bits_are_that_much_less():
    full, half = (
        by_role(["resnet18"], [4], phase="inference", precision=p, rule="schedule", scale_bytes=0)
        for p in ("w32a32", "w16a16")
    )
    assert half.weights.iloc[0] == full.weights.iloc[0] / 2
    assert half.activations.iloc[0] == full.activations.iloc[0] / 2


@pytest.mark.parametrize("checkpointing", ["none", "sqrt", "per_block"])
def test_the_peak_of_the_moments_is_the_peak_of_the_schedule(checkpointing):
    options = {"phase": "training", "rule": "schedule", "optimizer": "momentum", "batch": 16}
    design = MemoryDesign(**options, checkpointing=checkpointing)
    moments = over_time("resnet18", design)
    cost = footprint(steps_of("resnet18", "training"), **options, checkpointing=checkpointing)
    resident = cost.parameters_bytes + cost.optimizer_bytes + cost.weights_bytes
    assert moments.sum(axis=1).max() * 1e6 == pytest.approx(
        float(cost.peak_bytes - resident), rel=1e-12
    )
    assert moments.index[0].startswith("forward")
    assert moments.index[-1] == "update"
