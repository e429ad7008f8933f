import naive
import numpy as np
import pytest
from calibrate.known_answers import DATA, THRESHOLDS, UNSIGNED
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.calibrate.kl import Kl, threshold_in_bins
from qsim.formats import Affine, Fixed, Pact


def found(values, number=None, parts=1, **parameters):
    observer = Kl(**parameters).observer()
    for part in np.array_split(np.asarray(values, np.float32), parts):
        observer.see(part[None])
    return observer.found(number or Fixed(8))


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_agree_with_the_known_answers(name):
    _, keep, drop, *_ = THRESHOLDS[name]
    assert found(DATA[name], zero_bin="keep").threshold == pytest.approx(keep, abs=0.02)
    assert found(DATA[name], zero_bin="drop").threshold == pytest.approx(drop, abs=0.02)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_do_not_depend_on_the_batches(name):
    values = DATA[name]
    whole = found(values)
    assert found(values[::-1], parts=10) == whole
    assert found(np.sort(values), parts=100) == whole  # every part larger than all before


def test_zeros_of_a_relu_pull_the_threshold_down_unless_they_are_left_out():
    values = DATA["relu_normal"]
    assert found(values, zero_bin="keep").threshold < 2
    whole = float(values.max())
    assert found(values, zero_bin="drop").threshold == whole
    assert found(values, zero_bin="copy_next").threshold == whole


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.just(0), st.integers(0, 50)), min_size=8, max_size=40),
    st.integers(1, 8),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from(["keep", "drop", "copy_next"]),
    st.sampled_from(["skip_candidate", "smooth"]),
    st.sampled_from(["first", "last"]),
)
def test_the_chosen_candidate_diverges_least(
    counts, levels, start, stride, zero_bin, empty_bins, tie
):
    counts = [*counts, 1]  # the largest magnitude is in the last bin
    method = Kl(
        bins=len(counts), start=start, stride=stride, zero_bin=zero_bin, empty_bins=empty_bins,
        tie=tie, smooth_share=0.01,
    )  # fmt: skip
    chosen = threshold_in_bins(np.array(counts), levels, method) - 0.5
    counts[0] = {"keep": counts[0], "drop": 0, "copy_next": counts[1]}[zero_bin]
    candidates = [*range(max(start, levels), len(counts), stride), len(counts)]
    smooth = 0.01 if empty_bins == "smooth" else 0
    lost = [naive.kl_divergence(counts, bins, levels, smooth) for bins in candidates]
    assert chosen in candidates
    assert lost[candidates.index(int(chosen))] <= min(lost) + 1e-12
    clear = [i for i, value in enumerate(lost) if value < min(lost) + 1e-12]
    if all(lost[i] == 0 for i in clear):  # an exact tie, not a rounded one
        assert chosen == candidates[clear[0 if tie == "first" else -1]]


@pytest.mark.parametrize("number", [Fixed(8), Fixed(4), Affine(8), Affine(3, "symmetric"), Pact(4)])
@pytest.mark.parametrize("value", [0.0, 1.0, 3.3, 2.0**-149, 3e38])
@pytest.mark.parametrize("zero_bin", ["keep", "drop", "copy_next"])
@pytest.mark.parametrize("empty_bins", ["skip_candidate", "smooth"])
def test_a_single_value_is_its_own_threshold(number, value, zero_bin, empty_bins):
    kept = found([value], number, zero_bin=zero_bin, empty_bins=empty_bins)
    assert kept == found([value] * 9, number, parts=3, zero_bin=zero_bin, empty_bins=empty_bins)
    assert kept.threshold == np.float32(value)
    number.bind(kept)


def test_an_asymmetric_range_ends_at_the_extremes():
    values = np.append(DATA["half_normal"], -0.25)
    ranged = found(values, Affine(8))
    assert ranged.low == -0.25
    assert 3.9 < ranged.high < 4.1
    assert found(DATA["half_normal"], Affine(8)).low == 0


def test_levels_follow_the_bits_unless_they_are_given():
    values = DATA["normal"]
    assert found(values, Fixed(8)) == found(values, Fixed(4), levels=128)
    assert found(values, Fixed(4)) == found(values, Fixed(8), levels=8)
    assert found(values, Fixed(4)).threshold < found(values, Fixed(8)).threshold


@pytest.mark.parametrize("name", UNSIGNED)
@pytest.mark.parametrize("number", [Fixed(8, signed=False), Affine(8), Pact(8)], ids=str)
def test_unsigned_thresholds_agree_with_the_known_answers(name, number):
    kept = found(DATA[name], number, zero_bin="copy_next")
    assert kept.high == pytest.approx(UNSIGNED[name], abs=0.02)


def test_one_sided_data_may_have_levels_of_their_own():
    values, unsigned = DATA["exponential"], Fixed(8, signed=False)
    assert found(values, unsigned, one_sided_levels=255) == found(values, unsigned, levels=255)
    assert found(values, unsigned, one_sided_levels=100) != found(values, unsigned)
    assert found(values, Fixed(8), one_sided_levels=100) == found(values, Fixed(8))
    two_sided = found(DATA["normal"], Affine(8), one_sided_levels=100)
    assert two_sided == found(DATA["normal"], Affine(8))


def test_more_levels_than_bins_are_refused():
    with pytest.raises(ValueError, match="kl merges 2,048 bins to 32,768 levels, which are more"):
        found(DATA["normal"], Fixed(16))
