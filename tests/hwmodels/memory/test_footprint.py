"""The footprint: laws, what it is made of, where it comes from, and what is refused."""

from dataclasses import fields
from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_networks import steps_of
from step_graphs import step_graphs

from hwmodels.documents import convert
from hwmodels.errors import InputError
from hwmodels.explain import recording
from hwmodels.memory.breakdown import breakdown, peak_moment, peak_rows
from hwmodels.memory.design import MemoryDesign, MemoryDocument
from hwmodels.memory.footprint import OUTPUTS, MemoryCost, evaluate, footprint
from hwmodels.memory.kept import BY_KIND
from hwmodels.memory.repeats import without_repeats
from hwmodels.work import Step
from qsim.network.layers import Layer

PHASES = st.sampled_from(["inference", "training"])
NAMES = [field.name for field in fields(MemoryCost)]


@st.composite
def options(draw):
    """Options of any design that is not refused, for a single batch."""
    rule = draw(st.sampled_from(["text", "wrpn_fig1", "schedule", "framework"]))
    given = {
        "rule": rule,
        "phase": draw(PHASES),
        "batch": draw(st.integers(1, 500)),
        "optimizer": draw(st.sampled_from(["none", "sgd", "momentum", "adam"])),
        "master_weights": draw(st.booleans()),
        "weight_bits": draw(st.sampled_from([None, 1, 3, 8, 32])),
        "scale_bytes": draw(st.sampled_from([0, 2, 4])),
        "zero_point_bytes": draw(st.sampled_from([0, 1])),
        "scale_granularity": draw(st.sampled_from(["per_channel", "per_tensor"])),
        "checkpointing": draw(st.sampled_from(["none", "sqrt", "per_block"])),
        "in_place": draw(st.booleans()),
        "weight_gradients": draw(st.sampled_from(["backward", "always"])),
        "weight_gradient_bits": draw(st.sampled_from([16, 32])),
    }
    if rule == "framework":
        given["compute_bits"] = draw(st.sampled_from([16, 32]))
    else:
        given["activation_bits"] = draw(st.sampled_from([None, 1, 4, 8]))
        given["relu_mask"] = draw(st.booleans())
    if rule in ("text", "wrpn_fig1"):
        maps = ["ofm", "ifm_ofm", "with_pools", "every", "every_in_place", None]
        given["weights"] = draw(st.sampled_from(["conv", "all", None]))
        given["activations"] = draw(st.sampled_from(maps))
        given["gradients"] = draw(st.sampled_from(["none", "text_rule", "each", None]))
        given["blocks"] = draw(st.sampled_from(["each", "once", None]))
    return given


@given(step_graphs(), options(), st.data())
def test_arrays_are_scalars_one_by_one(steps, given_options, data):
    arrays = {"batch": np.array([[1], [7]]), "weight_bits": np.array([2, 4, 32])}
    if given_options["rule"] != "framework":
        arrays["activation_bits"] = np.array([8, 3, 8])
    together = footprint(steps, **given_options | arrays)
    for place in product(range(2), range(3)):
        at = {key: np.broadcast_to(value, (2, 3))[place] for key, value in arrays.items()}
        alone = footprint(steps, **given_options | {key: int(value) for key, value in at.items()})
        for name in NAMES:
            both = getattr(together, name)[place], getattr(alone, name)
            assert both[0] == both[1] or np.isnan(both).all(), name


@given(step_graphs(), options())
def test_the_parts_are_the_total_and_the_rows_are_the_parts(steps, given_options):
    design = MemoryDesign(**given_options)
    cost = evaluate(steps, design)
    parts = ("weights", "parameters", "activations", "gradients", "weight_gradients", "optimizer")
    sizes = {name.replace("_", " "): float(getattr(cost, f"{name}_bytes")) for name in parts}
    assert sum(sizes.values()) == cost.total_bytes
    rows = breakdown(steps, design)
    for role, size in sizes.items():
        assert sum(row.bytes for row in rows if row.role == role) == size
    assert sum(row.bytes for row in peak_rows(steps, design)) == cost.peak_bytes
    assert cost.lower_bound_bytes <= cost.peak_bytes


@given(step_graphs(), options(), st.sampled_from(["weight_bits", "activation_bits", "batch"]))
def test_more_is_never_less(steps, given_options, name):
    if given_options["rule"] == "framework":
        name = "batch"
    values = np.array([1, 2, 3, 4, 7, 8, 16])
    cost = footprint(steps, **given_options | {name: values, "scale_bytes": 0,
                                               "zero_point_bytes": 0})  # fmt: skip
    for figure in ("total_bytes", "peak_bytes", "lower_bound_bytes"):
        assert (np.diff(getattr(cost, figure)) >= 0).all()


@given(step_graphs(), options(), st.integers(1, 99), st.integers(1, 99))
def test_what_the_rules_of_wrpn_count_grows_linearly_with_the_batch(steps, given_options, m, n):
    if given_options["rule"] not in ("text", "wrpn_fig1"):
        given_options = {"phase": given_options["phase"]}
    total = footprint(steps, **given_options | {"batch": np.array([m, n, m + n, 2 * m + n])})
    one, other, both, more = total.total_bytes
    assert more - both == both - other
    assert one + other - both == total.total_bytes[0] - (both - other)


@given(step_graphs(), options())
def test_an_optimizer_holds_a_gradient_and_so_many_values_for_each_parameter(steps, given_options):
    asked = given_options | {"phase": "training", "rule": "text", "master_weights": False}
    asked |= {"compute_bits": 32, "optimizer": "none", "weight_gradient_bits": 32}
    plain = footprint(steps, **asked).total_bytes
    parameters = sum(step.parameters for step in steps)
    for optimizer, values in (("sgd", 1), ("momentum", 2), ("adam", 3)):
        cost = footprint(steps, **asked | {"optimizer": optimizer})
        assert cost.total_bytes - plain == 4 * values * parameters
    master = footprint(steps, **asked | {"master_weights": True}).total_bytes
    assert master - plain == 4 * sum(step.weights for step in steps)


def test_packed_weights_by_hand():
    steps = (
        Step("input", "input", (), 12, 8),
        Step("conv", "conv", ("input",), 20, 4, True, 33, 30, 3, 5, 600),
        Step("fc", "linear", ("conv",), 2, 32, True, 42, 40, 32, 2, 40),
    )
    cost = footprint(steps, batch=np.array([1, 3]), scale_bytes=4, zero_point_bytes=1)
    assert (cost.weights_bytes == 30 * 3 / 8 + 5 * 5 + 40 * 4).all()  # no scales of 32 bits
    assert (cost.activations_bytes == np.array([1, 3]) * (12 + 10)).all()  # the 2 results are less
    assert (cost.peak_bytes == cost.weights_bytes + (3 + 2) * 4 + np.array([1, 3]) * 22).all()
    per_tensor = footprint(steps, scale_granularity="per_tensor", zero_point_bytes=1)
    assert per_tensor.weights_bytes == 30 * 3 / 8 + 5 + 40 * 4


def test_a_small_training_step_by_hand():
    """conv -> relu -> linear in 32 bits, one image: relu's output is kept for itself and linear."""
    steps = (
        Step("input", "input", (), 10, 32),
        Step("conv", "conv", ("input",), 20, 32, True, 6, 6, 32, 2, 60),
        Step("relu", "relu", ("conv",), 20, 32),
        Step("fc", "linear", ("relu",), 3, 32, True, 60, 60, 32, 3, 60),
    )
    design = MemoryDesign(phase="training", rule="schedule", optimizer="sgd")
    assert peak_moment(steps, design) == "backward relu"
    rows = [(row.tensor, row.role, row.bytes) for row in peak_rows(steps, design)]
    assert rows == [
        ("conv", "weights", 24), ("fc", "weights", 240),
        ("input", "activations", 40), ("relu", "activations", 80),
        ("gradient of conv", "gradients", 80), ("gradient of relu", "gradients", 80),
        ("gradient of fc's parameters", "weight gradients", 240),
    ]  # fmt: skip
    masked = MemoryDesign(phase="training", rule="schedule", optimizer="sgd", relu_mask=True)
    assert ("relu (kept)", 2.5) in [(row.tensor, row.bytes) for row in peak_rows(steps, masked)]


def test_a_framework_stores_what_hardware_goes_on_with_at_once():
    steps = (
        Step("input", "input", (), 10, 8),
        Step("conv", "conv", ("input",), 20, 32, False, 6, 6, 8, 2, 60),
        Step("relu", "relu", ("conv",), 20, 8),
    )
    asked = {"weight_bits": 32, "batch": 1}
    fused, eager = (footprint(steps, rule=rule, **asked) for rule in ("schedule", "framework"))
    assert (fused.activations_bytes, eager.activations_bytes) == (10 + 20, (20 + 20) * 4)


@pytest.mark.parametrize("batch", [32, 64, 128])
def test_mixed_precision_halves_activations_and_copies_weights(batch):
    steps, _ = steps_of("resnet50-v1.5")
    asked = {"phase": "training", "rule": "framework", "optimizer": "momentum", "batch": batch}
    full, mixed = (footprint(steps, **asked, compute_bits=bits) for bits in (32, 16))
    assert 0.5 < mixed.activations_bytes / full.activations_bytes < 0.52
    assert full.weights_bytes < mixed.weights_bytes < 1.5 * full.weights_bytes
    assert mixed.optimizer_bytes == full.optimizer_bytes == 4 * 25_557_032


def test_checkpointing_of_a_deep_network_needs_about_the_square_root():
    """Chen et al., arXiv 1604.06174: memory of n layers falls to about 2 sqrt(n) of them."""
    count = 400
    steps = [Step("input", "input", (), 100, 32)]
    for index in range(count):
        steps.append(Step(f"t{index}", "conv", (steps[-1].name,), 100, 32, True, 1, 1, 32, 1, 100))
    plain, root, each = (
        footprint(steps, phase="training", rule="schedule", checkpointing=kind, batch=1)
        for kind in ("none", "sqrt", "per_block")
    )
    tensors = [float(cost.activations_bytes) / 400 for cost in (plain, root, each)]
    # of 400 bytes each: what 20 segments read, and what 19 more layers of the last one read; blocks
    # of a single layer save nothing
    assert tensors == [count, 20 + 19, count]
    assert root.recomputed_macs == (count - 20) * 100


@pytest.mark.parametrize("rule", ["text", "framework"])
def test_every_figure_says_where_it_comes_from(rule):
    steps, _ = steps_of("resnet18")
    design = MemoryDesign(phase="training", rule=rule, optimizer="adam", batch=np.array([1, 2]))
    with recording() as calls:
        cost = evaluate(steps, design)
    assert set(OUTPUTS) == set(NAMES)
    for name in NAMES:
        assert calls.node_of(getattr(cost, name)).text
    assert "batch" in [leaf.name for leaf in calls.node_of(cost.total_bytes).leaves()]


def test_layers_of_equal_shape_in_a_row_are_no_block_and_blocks_are_counted_once():
    def block(name, reads):
        return [
            Step(f"{name}.a", "conv", (reads,), 8, 32, True, 4, 4, 32, 2, 32),
            Step(f"{name}.b", "conv", (f"{name}.a",), 8, 32, True, 5, 5, 32, 2, 40),
            Step(f"{name}.add", "add", (f"{name}.b", reads), 8, 32),
        ]

    steps = [Step("input", "input", (), 8, 32)]
    for index in range(4):
        steps += block(f"block{index}", steps[-1].name)
    row = steps[-1].name
    for index in range(3):
        steps.append(Step(f"same{index}", "conv", (row,), 8, 32, True, 7, 7, 32, 2, 56))
        row = f"same{index}"
    left = [step.name for step in without_repeats(steps)]
    assert left == ["input", "block0.a", "block0.b", "block0.add", "same0", "same1", "same2"]


@pytest.mark.parametrize(
    ("given_options", "problem"),
    [
        ({"batch": 0}, "batch must be a whole number from 1 to 2,147,483,648"),
        ({"batch": 1.5}, "batch must be a whole number"),
        ({"batch": "many"}, "batch must be a whole number"),
        ({"weight_bits": 65}, "weight_bits must be a whole number from 1 to 64"),
        ({"gradient_bits": np.array([8, 16])}, "gradient_bits must be one number, not an array"),
        ({"scale_bytes": -1}, "scale_bytes must be 0 to 64"),
        ({"rule": "texts"}, "rule must be text, wrpn_fig1, schedule or framework, not 'texts'"),
        ({"optimizer": "lamb"}, "optimizer must be none, sgd, momentum or adam, not 'lamb'"),
        ({"rule": "framework", "activation_bits": 4}, "activation_bits has no effect"),
        ({"rule": "framework", "relu_mask": True}, "relu_mask has no effect"),
        ({"compute_bits": 16}, "compute_bits has no effect with the rule 'text'; leave it out"),
        ({"rule": "schedule", "weights": "conv"}, "weights has no effect with the rule"),
    ],
)
def test_what_cannot_be_is_refused(given_options, problem):
    with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
        MemoryDesign(**given_options)


def test_a_layer_of_which_it_is_not_known_what_it_keeps_is_refused():
    steps = (Step("input", "input", (), 1, 8), Step("x", "fourier", ("input",), 1, 8))
    assert footprint(steps).peak_bytes == 2
    with pytest.raises(InputError, match="layer 'x' is a fourier, of which it is not known"):
        footprint(steps, phase="training")


def kinds_of_layers(record=Layer):
    if not record.__subclasses__():
        yield record.__struct_config__.tag
    for each in record.__subclasses__():
        yield from kinds_of_layers(each)


def test_it_is_known_of_every_kind_of_layer_what_it_keeps():
    kinds = set(kinds_of_layers())
    assert len(kinds) > 30
    assert kinds <= set(BY_KIND)


def test_a_document_asks_for_both_phases_and_several_batches():
    written = {"batch": [1, 32], "optimizer": "momentum", "rule": "framework", "compute_bits": 16}
    document = convert(written, MemoryDocument, where="here")
    design = document.design("training")
    assert document.phases == ("inference", "training")
    assert (design.batch == [1, 32]).all()
    assert (design.phase, design.optimizer, design.compute_bits) == ("training", "momentum", 16)
    assert convert({"batch": 8}, MemoryDocument, where="here").batches == (8,)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"rule": "wrpn"}, "here: rule: unknown value 'wrpn'"),
        ({"batches": 2}, "here: unknown key 'batches'; did you mean 'batch'?"),
        ({"batch": [0]}, "here: batch[0]: expected int >= 1"),
        ({"batch": []}, "here: batch: expected list of length >= 1"),
        ({"phases": ["train"]}, "here: phases[0]: unknown value 'train'"),
        ({"compute_bits": 16}, "here: compute_bits has no effect with the rule 'text'"),
    ],
)
def test_a_document_that_cannot_be_is_one_sentence(written, problem):
    with pytest.raises(InputError) as caught:
        convert(written, MemoryDocument, where="here")
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


def test_a_design_is_a_record_that_can_be_written():
    assert msgspec.json.decode(msgspec.json.encode(MemoryDesign()), type=MemoryDesign)
