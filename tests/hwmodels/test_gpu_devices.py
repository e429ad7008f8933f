"""GPUs: peaks from SMs, rates and clocks against the published ones, and which type runs what."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.errors import DesignError, InputError
from hwmodels.gpu import binary, precision
from hwmodels.gpu.device import Gpu, device_names, load_device
from hwmodels.work import LayerWork

GPUS = {name: load_device(name) for name in device_names()}
PEAKS = [
    (name, engine)
    for name, gpu in GPUS.items()
    for engine in gpu.published_peak_tops
    if engine in gpu.fma_per_sm_cycle
]


def layer(weight_bits, activation_bits, **changes):
    return LayerWork(
        **{
            "name": "l", "kind": "conv", "in_channels": 64, "out_channels": 64, "kernel_h": 3,
            "kernel_w": 3, "groups": 1, "in_h": 8, "in_w": 8, "out_h": 8, "out_w": 8,
            "rows_multiply": 64, "rows_shift_add": 0, "weight_bits": weight_bits,
            "activation_bits": activation_bits, "stored_values": 4096, "stored_bits": activation_bits,
        } | changes
    )  # fmt: skip


def test_all_17_gpus_are_there_and_named_after_their_file():
    assert len(GPUS) == 17
    for name, gpu in GPUS.items():
        assert gpu.name == name


@pytest.mark.parametrize(("name", "engine"), PEAKS)
def test_derived_peaks_are_within_1_percent_of_the_published_ones(name, engine):
    gpu = GPUS[name]
    if gpu.fma_per_sm_cycle[engine].value is None:
        assert np.isnan(precision.peak_tops(gpu, engine))
        return
    published = gpu.published_peak_tops[engine].value
    assert float(precision.peak_tops(gpu, engine)) == pytest.approx(published, rel=0.01)


def test_the_published_fp32_peak_of_h100_needs_another_clock_than_its_tensor_cores():
    gpu = GPUS["h100_sxm"]
    at_boost = msgspec.structs.replace(gpu, plain_clock_mhz=None)
    assert float(precision.peak_tops(at_boost, "fp32")) == pytest.approx(61.8, rel=0.001)
    assert float(precision.peak_tops(gpu, "fp32")) == pytest.approx(66.9, rel=0.001)
    assert float(precision.peak_tops(gpu, "fp16_tensor")) == pytest.approx(989.4, rel=0.001)


def test_the_tensor_peaks_of_b200_need_a_lower_clock_than_the_device_reports():
    gpu = GPUS["b200_sxm"]
    at_boost = msgspec.structs.replace(gpu, tensor_clock_mhz=None)
    assert float(precision.peak_tops(at_boost, "fp16_tensor")) > 1.05 * 2250
    assert np.isnan(precision.peak_tops(gpu, "fp32"))


@pytest.mark.parametrize(
    ("name", "bits", "runs_as"),
    [
        ("titan_x_maxwell", 8, "fp32"),
        ("titan_x_pascal", 8, "int8"),
        ("titan_x_pascal", 4, "int8"),
        ("titan_x_pascal", 16, "fp32"),  # its FP16 is slower
        ("jetson_tx2", 8, "fp16"),  # no INT8
        ("v100_sxm2", 3, "fp16"),  # its tensor cores have FP16 alone, faster than dp4a
        ("t4", 2, "int4"),
        ("t4", 3, "int4"),
        ("t4", 5, "int8"),
        ("a100_sxm_80gb", 4, "int4"),
        ("h100_sxm", 4, "int8"),
        ("b200_sxm", 2, "int8"),
        ("jetson_agx_orin_64gb", 4, "int8"),  # the rate of its INT4 is not known
    ],
)
def test_a_width_runs_as_the_fastest_type_that_holds_it(name, bits, runs_as):
    assert precision.type_of(GPUS[name], bits, False).name == runs_as


def test_shifted_weights_are_as_wide_as_their_levels():
    sp2 = layer(4, 4, rows_multiply=0, rows_shift_add=64)
    assert precision.integer_bits(sp2) == 5  # levels up to 8 in two's complement
    power = layer(4, 4, rows_multiply=0, rows_shift_add=64, shifted_as="power_of_two")
    assert precision.integer_bits(power) == 8  # levels up to 64
    assert precision.type_of_layer(GPUS["t4"], sp2, "auto").name == "int8"


def test_what_is_asked_for_is_taken_or_rounded_up_or_refused():
    assert precision.type_of_layer(GPUS["t4"], layer(4, 4), "int8").name == "int8"
    assert precision.type_of_layer(GPUS["h100_sxm"], layer(4, 4), "int4").name == "int8"
    with pytest.raises(DesignError, match=r"'l' has operands of 8 bits .* int4 does not hold"):
        precision.type_of_layer(GPUS["t4"], layer(8, 8), "int4")
    with pytest.raises(DesignError, match="floating point, which int8 is not"):
        precision.type_of_layer(GPUS["t4"], layer(32, 32, multiplied_as="float"), "int8")
    with pytest.raises(DesignError, match="64 bits, which no type"):
        precision.type_of_layer(GPUS["t4"], layer(64, 8), "auto")


@given(st.sampled_from(sorted(GPUS)), st.integers(1, 24), st.integers(1, 24))
def test_more_bits_never_run_faster(name, fewer, more):
    fewer, more = sorted((fewer, more))
    gpu = GPUS[name]
    rates = [precision._rate(gpu, precision.type_of(gpu, bits, False)) for bits in (fewer, more)]
    assert rates[1] <= rates[0]


def test_8_of_wrpns_10_gpu_bars_are_peaks_over_the_tdp():
    """WRPN (arXiv 1709.01134), Figure 3(e), digitised, on a TITAN X Pascal: FP32, INT8, INT4 and
    INT4 x TER2 in TOP/s and GOP/s per W; the two bars of BIN1 do not follow."""
    gpu = GPUS["titan_x_pascal"]
    bars = {(32, 32): (11.1, 43.0), (8, 8): (44.0, 175), (4, 4): (44.0, 175), (2, 4): (44.0, 175)}
    for (weight_bits, activation_bits), (tops, gops_per_w) in bars.items():
        bits = max(weight_bits, activation_bits)
        number = precision.type_of(gpu, bits, bits == 32)
        engine = precision.engine_of(gpu, number)
        assert float(precision.peak_tops(gpu, engine)) == pytest.approx(tops, rel=0.03)
        per_w = float(precision.peak_tops_per_w(gpu, engine)) * 1e3
        assert per_w == pytest.approx(gops_per_w, rel=0.03)


def test_binary_rates_of_plain_cores():
    gpu = GPUS["titan_x_pascal"]
    counted = 2 * 28 * float(binary.counted_bits_per_sm_s(gpu)) / 1e12
    issued = 2 * 28 * float(binary.issued_bits_per_sm_s(gpu)) / 1e12
    assert counted == pytest.approx(87.8, rel=0.001)  # only counting binds
    assert issued == pytest.approx(58.5, rel=0.001)  # XNOR, count and addition one by one
    # the bar of BIN1 is what the constant was fitted to, no prediction
    assert float(binary.calibrated_binary_tops(gpu)) == pytest.approx(45.6, rel=0.002)


def test_a100_counts_bits_on_its_tensor_cores():
    assert 2 * float(binary.peak_bits_per_s(GPUS["a100_sxm_80gb"])) / 1e12 == pytest.approx(
        4992, rel=0.01
    )


def test_planes_of_a_layer():
    assert binary.planes(layer(1, 2)) == (1, 2)
    assert binary.planes(layer(4, 3, rows_multiply=0, rows_shift_add=64)) == (5, 3)
    assert binary.planes(layer(32, 32, multiplied_as="float")) is None


def test_an_unknown_gpu_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown GPU 'v100_sxm'; did you mean 'v100_sxm2'"):
        load_device("v100_sxm")


def test_an_engine_with_a_rate_is_not_absent():
    gpu = GPUS["t4"]
    data = msgspec.to_builtins(gpu) | {"absent": ["fp32"]}
    with pytest.raises(msgspec.ValidationError, match="fp32 has a rate and is absent"):
        msgspec.convert(data, Gpu)
