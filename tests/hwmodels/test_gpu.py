"""Networks on GPUs: laws, values by hand, and measurements fitted and held out."""

from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.errors import DesignError
from hwmodels.explain import recording, unknown
from hwmodels.gpu import model
from hwmodels.gpu.constants import constant, load_constants
from hwmodels.gpu.design import Design
from hwmodels.gpu.device import device_names, load_device
from hwmodels.provenance import Figure
from hwmodels.work import LayerWork, Step, WorkTable
from qsim import zoo
from qsim.formats import Fixed, Float
from qsim.network.fold import fold_network
from qsim.precision import Granularity, Precision
from qsim.rounded_tensors import rounded_tensors
from qsim.work import work_table

GPUS = {name: load_device(name) for name in device_names()}
KNOWN = sorted(set(GPUS) - {"b200_sxm"})  # whose FP32 rate is not known


def layer(**changes):
    plain = {
        "name": "l", "kind": "conv", "in_channels": 64, "out_channels": 128, "kernel_h": 3,
        "kernel_w": 3, "groups": 1, "in_h": 14, "in_w": 14, "out_h": 14, "out_w": 14,
        "rows_multiply": 128, "rows_shift_add": 0, "weight_bits": 8, "activation_bits": 8,
        "stored_values": 128 * 196, "stored_bits": 8,
    }  # fmt: skip
    return LayerWork(**(plain | changes))


ANY_BITS = st.integers(1, 16)


@st.composite
def layers(draw, bits=ANY_BITS):
    depthwise = draw(st.sampled_from([False, False, True]))
    channels, columns, side = (
        draw(st.integers(2, 96)),
        draw(st.integers(1, 200)),
        draw(st.integers(1, 30)),
    )
    columns = channels if depthwise else columns
    kind = (
        draw(st.sampled_from(["conv", "linear", "matmul", "recurrent"]))
        if not depthwise
        else "conv"
    )
    return layer(
        kind=kind, in_channels=channels, out_channels=columns, groups=channels if depthwise else 1,
        in_h=side, in_w=side, out_h=side, out_w=side, rows_multiply=columns,
        weight_bits=draw(bits), activation_bits=draw(bits), stored_bits=draw(bits),
        stored_values=columns * side * side, sequential=side if kind == "recurrent" else 1,
    )  # fmt: skip


tables = st.lists(layers(), min_size=1, max_size=4).map(lambda each: WorkTable(tuple(each)))
devices = st.sampled_from(KNOWN)
batches = st.integers(1, 64)


def cost_of(work, device, **design):
    return model.evaluate(
        work, Design(**design), GPUS[device] if isinstance(device, str) else device
    )


@given(tables, devices, batches)
def test_no_layer_beats_a_bound(work, device, batch):
    cost = cost_of(work, device, batch=batch)
    for bound in (cost.layer_compute_s, cost.layer_l2_s, cost.layer_dram_s, cost.layer_launch_s):
        assert (cost.layer_latency_s >= bound).all()
    assert cost.gops <= cost.peak_gops * (1 + 1e-12)
    gpu = GPUS[device]
    assert cost.latency_s >= cost.dram_bytes / (gpu.dram_gb_per_s.value * 1e9)


@given(tables, devices, batches, st.sampled_from(["dram_gb_per_s", "l2_bytes_per_cycle", "sms"]))
def test_twice_of_what_a_device_has_never_hurts(work, device, batch, name):
    gpu = GPUS[device]
    figure = getattr(gpu, name)
    more = msgspec.structs.replace(
        gpu, **{name: msgspec.structs.replace(figure, value=2 * figure.value)}
    )
    if name == "sms":  # an SM's share of the L2 stays as it was
        wider = msgspec.structs.replace(
            gpu.l2_bytes_per_cycle, value=2 * gpu.l2_bytes_per_cycle.value
        )
        more = msgspec.structs.replace(more, l2_bytes_per_cycle=wider)
    before, after = cost_of(work, gpu, batch=batch), cost_of(work, more, batch=batch)
    assert after.latency_s <= before.latency_s * (1 + 1e-12)


@given(layers(st.just(1)), devices, batches, st.integers(1, 16), st.integers(1, 16))
def test_more_bits_never_cost_less(work, device, batch, fewer, more):
    costs, plain = [], []
    for bits in sorted((fewer, more)):
        table = WorkTable((layer(**{
            **{name: getattr(work, name) for name in ("kind", "in_channels", "out_channels", "groups",
               "in_h", "in_w", "out_h", "out_w", "rows_multiply", "stored_values", "sequential")},
            "weight_bits": bits, "activation_bits": bits, "stored_bits": bits,
        }),))  # fmt: skip
        costs.append(cost_of(table, device, batch=batch))
        plain.append(cost_of(table, device, batch=batch, binary_composition="never"))
    assert costs[0].latency_s <= costs[1].latency_s * (1 + 1e-12)
    assert plain[0].latency_s <= plain[1].latency_s * (1 + 1e-12)
    assert plain[0].memory_bytes <= plain[1].memory_bytes  # planes of bits lie closer than a type


@pytest.mark.parametrize("device", GPUS.values(), ids=GPUS)
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_no_width_is_slower_than_the_next(device, kind):
    latencies = []
    for bits in range(1, 17):
        own = {"weight_bits": bits, "activation_bits": bits, "stored_bits": bits, "kind": kind}
        latencies.append(float(cost_of(WorkTable((layer(**own),)), device, batch=32).latency_s))
    assert latencies == sorted(latencies)


@given(tables, tables, devices, batches)
def test_latency_adds_up_over_layers(one, other, device, batch):
    both = cost_of(WorkTable(one.layers + other.layers), device, batch=batch)
    apart = [cost_of(each, device, batch=batch) for each in (one, other)]
    assert both.latency_s == pytest.approx(sum(float(c.latency_s) for c in apart), rel=1e-12)
    assert both.dram_bytes == pytest.approx(sum(float(c.dram_bytes) for c in apart), rel=1e-12)


@given(tables, devices, st.sampled_from(["auto", "never", "always"]))
@settings(max_examples=40)
def test_a_sweep_equals_its_batches_one_by_one(work, device, composition):
    batch = np.array([[1, 2, 7], [8, 33, 64]])
    sweep = cost_of(work, device, batch=batch, binary_composition=composition)
    assert sweep.layer_latency_s.shape == (2, 3, len(work.layers))
    for place in np.ndindex(2, 3):
        alone = cost_of(work, device, batch=int(batch[place]), binary_composition=composition)
        for name in vars(alone):
            np.testing.assert_array_equal(getattr(alone, name), getattr(sweep, name)[place])


@given(tables, devices, batches)
def test_composing_by_itself_is_never_slower_than_either_way(work, device, batch):
    auto, never, always = (
        cost_of(work, device, batch=batch, binary_composition=each)
        for each in ("auto", "never", "always")
    )
    fastest = np.fmin(never.layer_latency_s, always.layer_latency_s)
    np.testing.assert_allclose(auto.layer_latency_s, fastest, rtol=1e-12)


def test_a_matrix_product_worked_by_hand():
    """1024 x 1024 x 512 in FP16 on an A100: 8 x 4 tiles of 128 x 256 and the like in one wave."""
    work = WorkTable((
        layer(kind="linear", in_channels=512, out_channels=1024, kernel_h=1, kernel_w=1,
              in_h=1024, in_w=1, out_h=1024, out_w=1, rows_multiply=1024, stored_values=2**20,
              weight_bits=32, activation_bits=32, stored_bits=32, multiplied_as="float",
              activation_scheme="float"),
    ))  # fmt: skip
    cost = cost_of(work, "a100_sxm_80gb", precision="fp16")
    rate = 1024 * 1.41e9 * float(constant("matrix_fraction"))
    by_tile = {}
    for rows, columns in ((256, 128), (128, 128), (128, 64), (64, 64)):
        waves = -(-(1024 // rows) * (1024 // columns) // 108)
        multiply = rows * columns * 512 / rate
        l2 = (rows + columns) * 2 * 512 / (5120 / 108 * 1.41e9)
        by_tile[rows, columns] = waves * np.array([multiply, l2])
    best = min(by_tile.values(), key=max)
    bounds = (float(cost.layer_compute_s[0]), float(cost.layer_l2_s[0]))
    assert max(bounds) == pytest.approx(max(best), rel=1e-12)
    moved = 2 * 512 * 1024  # weights; the activations fit the L2 of 40 MiB
    bandwidth = 2039e9 * float(constant("dram_fraction"))
    assert cost.layer_dram_s[0] == pytest.approx(moved / bandwidth, rel=1e-12)
    assert cost.memory_bytes == moved + 2 * (512 * 1024 + 2**20)
    total = max(*bounds, moved / bandwidth) + float(constant("kernel_overhead_s"))
    assert cost.latency_s == pytest.approx(total, rel=1e-12)
    assert cost.energy_j_high == pytest.approx(400 * total, rel=1e-12)


def test_steps_of_a_state_are_kernels_one_after_another():
    steps = layer(kind="recurrent", in_channels=256, out_channels=1024, kernel_h=1, kernel_w=1,
                  in_h=10, in_w=1, out_h=10, out_w=1, rows_multiply=1024, stored_values=2560)  # fmt: skip
    at_once = cost_of(WorkTable((steps,)), "t4")
    in_turn = cost_of(WorkTable((layer(**{**_fields(steps), "sequential": 10}),)), "t4")
    overhead = float(constant("kernel_overhead_s"))
    assert at_once.layer_launch_s[0] == overhead
    assert in_turn.layer_launch_s[0] == pytest.approx(10 * overhead)
    assert in_turn.layer_compute_s[0] == pytest.approx(10 * float(at_once.layer_compute_s[0]))


def _fields(work):
    return {name: getattr(work, name) for name in LayerWork.__dataclass_fields__}


def test_steps_that_are_not_fused_move_what_they_read_and_write():
    steps = (
        Step("input", "input", (), 12544, 8),
        Step("l", "conv", ("input",), 25088, 32, is_stored=False),
        Step("relu", "relu", ("l",), 25088, 8),
        Step("pool", "max_pool", ("relu",), 6272, 8),
    )
    work = WorkTable((layer(),), steps)
    fused, apart = cost_of(work, "t4"), cost_of(work, "t4", fused=False)
    bandwidth, overhead = (
        320e9 * float(constant("dram_fraction")),
        float(constant("kernel_overhead_s")),
    )
    pool_s = (25088 + 6272) / bandwidth + overhead
    assert fused.steps_s == pytest.approx(pool_s, rel=1e-12)
    relu_s = (25088 + 2 * 25088) / bandwidth + overhead
    assert apart.steps_s == pytest.approx(pool_s + relu_s, rel=1e-12)
    assert apart.latency_s > fused.latency_s


def test_binary_products_are_faster_composed_and_8_bits_are_not():
    one = WorkTable((layer(weight_bits=1, activation_bits=1, stored_bits=1),))
    eight = WorkTable((layer(),))
    assert cost_of(one, "titan_x_maxwell", batch=32).layer_passes[0] == 1  # its own single pass
    never = cost_of(one, "titan_x_maxwell", batch=32, binary_composition="never")
    assert cost_of(one, "titan_x_maxwell", batch=32).latency_s < never.latency_s
    always = cost_of(eight, "titan_x_pascal", batch=32, binary_composition="always")
    assert always.layer_passes[0] == 64
    assert always.latency_s > cost_of(eight, "titan_x_pascal", batch=32).latency_s


@pytest.mark.parametrize(
    ("name", "field"),
    [("dram_gb_per_s", "latency_s"), ("tdp_w", "energy_j"), ("l2_kib", "dram_bytes")],
)
def test_what_rests_on_an_unknown_figure_is_unknown_with_its_reason(name, field):
    figure = Figure(None, "unknown", "in no data sheet")
    gpu = msgspec.structs.replace(GPUS["t4"], **{name: figure})
    with recording() as calls:
        cost = model.evaluate(WorkTable((layer(),)), Design(), gpu)
    assert np.isnan(getattr(cost, field))
    assert f"{name} of t4: in no data sheet" in unknown(calls.node_of(getattr(cost, field)))
    assert not np.isnan(cost.peak_gops)


def test_floating_point_on_a_b200_is_not_known_but_integers_are():
    floating = layer(weight_bits=32, activation_bits=32, multiplied_as="float")
    assert np.isnan(cost_of(WorkTable((floating,)), "b200_sxm").latency_s)
    assert cost_of(WorkTable((layer(),)), "b200_sxm").latency_s > 0


def test_every_output_is_explained_down_to_figures_with_sources():
    with recording() as calls:
        cost = model.evaluate(WorkTable((layer(), layer())), Design(batch=4), GPUS["t4"])
    for name in model.OUTPUTS:
        node = calls.node_of(getattr(cost, name))
        assert node is not None, name
        assert all(leaf.status in ("given", "") or leaf.text for leaf in node.leaves())
    leaves = {leaf.name for leaf in calls.node_of(cost.latency_s).leaves()}
    assert {"convolution_fraction", "kernel_overhead_s", "dram_gb_per_s", "sms", "batch"} <= leaves


@pytest.mark.parametrize("batch", [0, -1, 1.5, 2**21, np.array([1, 0]), "many"])
def test_impossible_batches_are_refused(batch):
    with pytest.raises(ValueError, match=r"batch must be a whole number from 1 to 1,048,576"):
        Design(batch=batch)


@pytest.mark.parametrize(
    "change", [{"precision": "int9"}, {"binary_composition": "sometimes"}, {"batch": True}]
)
def test_other_choices_are_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be"):
        Design(**change)


def test_a_design_says_what_is_unusual():
    assert model.describe(Design(batch=8)) == "batch 8"
    unusual = Design(precision="int8", binary_composition="never", fused=False)
    assert model.describe(unusual) == "batch 1, int8, no binary passes, steps not fused"


def test_a_precision_that_holds_no_operands_is_refused():
    with pytest.raises(DesignError, match="which int4 does not hold"):
        cost_of(WorkTable((layer(),)), "t4", precision="int4")


@pytest.fixture(scope="module")
def errors():
    """(ours - measured) / measured of every measured latency, by its name."""
    return {each.name: _latency(each) / each.batch_latency_s - 1 for each in MEASURED}


CONSTANTS = load_constants()
MEASURED = CONSTANTS.measurements
HELD_OUT = [each.name for each in MEASURED if each.name not in CONSTANTS.fitted_to]


def _latency(measured):
    work = zoo_table(measured.network, 8 if measured.precision == "int8" else 32)
    design = {"precision": measured.precision, "binary_composition": "never"}
    return float(cost_of(work, measured.device, batch=measured.batch, **design).batch_latency_s)


@cache
def zoo_table(name, bits):
    network = fold_network(zoo.find_network(name, where=name))
    weights = Float() if bits == 32 else Fixed(bits)
    activations = Float() if bits == 32 else Fixed(bits, signed=False)
    products = [node.name for node in network.product_nodes]
    precision = Precision(
        dict.fromkeys(products, weights),
        dict.fromkeys(products, Granularity("per_channel")),
        dict.fromkeys(rounded_tensors(network), activations),
    )
    return work_table(network, precision)


def test_at_least_as_many_measurements_are_held_out_as_fitted():
    names = {each.name for each in MEASURED}
    assert len(names) == len(MEASURED)
    fitted = names & CONSTANTS.fitted_to
    assert len(HELD_OUT) >= len(fitted) == 12
    assert CONSTANTS.fitted_to - names == {"a100-matmul", "wrpn/fig_3e/gpu/bin1"}
    assert all(each.source in CONSTANTS.sources for each in MEASURED)


def test_held_out_latencies_are_within_a_factor_of_3_and_half_of_them_within_20_percent(errors):
    held_out = np.array([errors[name] for name in HELD_OUT])
    assert ((1 + held_out > 1 / 3) & (1 + held_out < 3)).all()
    assert np.median(np.abs(held_out)) < 0.2
    assert (np.abs(np.log2(1 + held_out)) < 1).mean() > 0.9


def test_what_the_outputs_say_of_their_error_is_what_the_measurements_give(errors):
    held_out = np.array([errors[name] for name in HELD_OUT])
    text = model.OUTPUTS["batch_latency_s"].validation
    said = [f"{np.median(np.abs(held_out)):.0%}".replace("%", " %"), f"{held_out.min():.0%}".replace("%", " %"),
            f"{held_out.max():+.0%}".replace("%", " %")]  # fmt: skip
    assert f"{len(HELD_OUT)} measured latencies" in text
    assert all(each in text for each in said), said
    unseen = [abs(errors[m.name]) for m in MEASURED if m.device in ("jetson_tx2", "titan_x_pascal")]
    assert f"of the {len(unseen)} on the two devices" in text
    assert f"within {100 * np.median(unseen):.0f} %" in text


@pytest.mark.parametrize(
    ("name", "shape", "share", "tolerance"),
    [
        ("a100_sxm_80gb", (1024, 10240, 5120), 0.869, 0.02),  # fitted, but for the overhead
        ("h100_sxm", (2048, 2048, 13312), 0.803, 0.08),
        ("b200_sxm", (1792, 16128, 3072), 0.776, 0.15),
    ],
)
def test_matrix_products_reach_the_measured_share_of_the_peak(name, shape, share, tolerance):
    """stas00/ml-engineering @744d01e1, BF16; the L2's rate of a B200 is assumed and binds there."""
    rows, columns, depth = shape
    work = layer(kind="linear", in_channels=depth, out_channels=columns, kernel_h=1, kernel_w=1,
                 in_h=rows, in_w=1, out_h=rows, out_w=1, rows_multiply=columns,
                 stored_values=rows * columns, weight_bits=32, activation_bits=32, stored_bits=32,
                 multiplied_as="float", activation_scheme="float")  # fmt: skip
    cost = cost_of(WorkTable((work,)), name, precision="bf16")
    assert cost.utilization == pytest.approx(share, rel=tolerance)
