"""The pipeline of a streaming design against one that is simulated word by word."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_streaming import Engine, Source, cycles_of_an_image
from work_tables import zoo_table

from hwmodels.fpga.folding import (
    LayerFolding,
    attainable_cycles,
    given_folding,
    layer_engine_cycles,
    layer_input_cycles,
    least_folding,
)
from hwmodels.fpga.pipeline import flow
from hwmodels.work import LayerWork, Step, WorkTable

CLOSE = 11  # cycles


@st.composite
def chains(draw, kernels, strides=(1,)):
    """Layers with square images, as (side, channels, kernel, stride, padding, rows, pe, simd)."""
    side, channels, chain = draw(st.integers(6, 10)), draw(st.sampled_from([1, 2, 4, 6])), []
    for _ in range(draw(st.integers(1, 3))):
        kernel = draw(st.sampled_from(kernels)) if side > 4 else 1
        stride, rows = draw(st.sampled_from(strides)), draw(st.sampled_from([2, 4, 6, 8]))
        pe = draw(st.sampled_from([each for each in (1, 2, 3, 4, 8) if rows % each == 0]))
        simd = draw(st.sampled_from([each for each in (1, 2, 3, 4, 6) if channels % each == 0]))
        chain.append((side, channels, kernel, stride, kernel // 2, rows, pe, simd))
        side, channels = (side + 2 * (kernel // 2) - kernel) // stride + 1, rows
    return chain


def modelled(chain):
    layers, folding = [], {}
    for index, (side, channels, kernel, stride, padding, rows, pe, simd) in enumerate(chain):
        out = (side + 2 * padding - kernel) // stride + 1
        geometry = (channels, rows, kernel, kernel, 1, side, side, out, out)
        layers.append(LayerWork(f"l{index}", "conv", *geometry, rows, 0, 4, 4, rows * out * out, 4))
        folding[f"l{index}"] = LayerFolding(simd=simd, pe=pe)
    work = WorkTable(tuple(layers))
    return work, given_folding(work, folding)


def simulated(chain, images=1):
    side, channels, *_, simd = chain[0]
    source = Source(side * side, channels, simd, images)
    return cycles_of_an_image([Engine(*layer, images=images) for layer in chain], source)


@settings(max_examples=60)
@given(chains(kernels=[1]))
def test_an_image_takes_as_long_as_word_by_word(chain):
    assert abs(float(flow(*modelled(chain)).last) - simulated(chain)) <= CLOSE


@settings(max_examples=60)
@given(chains(kernels=[1, 3]))
def test_windows_are_waited_for_as_word_by_word(chain):
    """Within ``CLOSE`` in 99 of 100 such chains; the others end in a burst, which is not even."""
    expected = simulated(chain)
    assert abs(float(flow(*modelled(chain)).last) - expected) <= max(CLOSE, 0.1 * expected)


def test_outputs_that_need_the_last_pixel_follow_it_one_after_another():
    """A slow layer of 1 x 1, then 3 x 3 with padding: 12 outputs of 36 cycles are left at the end."""
    chain = [(10, 6, 1, 1, 0, 8, 1, 1), (10, 8, 3, 1, 1, 4, 4, 2)]
    assert abs(float(flow(*modelled(chain)).last) - simulated(chain)) <= CLOSE
    work, folding = modelled(chain[:1])
    assert float(flow(*modelled(chain)).last) > float(flow(work, folding).last) + 11 * 36


@settings(max_examples=60)
@given(chains(kernels=[1, 3], strides=[1, 2]))
def test_strides_leave_pixels_out_as_word_by_word(chain):
    expected = simulated(chain)
    assert abs(float(flow(*modelled(chain)).last) - expected) <= max(CLOSE, 0.25 * expected)


@settings(max_examples=40)
@given(chains(kernels=[1, 3]))
def test_images_follow_one_another_at_the_pace_of_the_slowest_layer(chain):
    work, folding = modelled(chain)
    slowest = max(layer_engine_cycles(work, folding).max(), layer_input_cycles(work, folding).max())
    between = (simulated(chain, images=4) - simulated(chain, images=2)) / 2
    assert abs(slowest - between) <= CLOSE


@settings(max_examples=40)
@given(chains(kernels=[1, 3]))
def test_an_image_takes_no_less_than_its_slowest_layer(chain):
    work, folding = modelled(chain)
    last = flow(work, folding).last
    assert last >= layer_engine_cycles(work, folding).max()
    assert last >= layer_input_cycles(work, folding).max()


def _joining(kernel):
    """Two ways from an image to an addition: at once, and through a layer."""
    layer = LayerWork("c", "conv", 4, 4, kernel, kernel, 1, 6, 6, 6, 6, 4, 0, 4, 4, 144, 4)
    steps = (
        Step("input", "input", (), 144, 4),
        Step("c", "conv", ("input",), 144, 32, is_stored=False),
        Step("add", "add", ("c", "input"), 144, 4),
    )
    return WorkTable((layer,), steps)


def test_what_is_added_waits_in_a_queue_for_the_slower_way():
    work = _joining(3)
    found = flow(work, given_folding(work, {"c": LayerFolding(simd=4, pe=4)}))
    waiting = {queue.tensor: float(queue.pixels) for queue in found.queues}
    # the first window ends with the eighth pixel, a pixel a cycle: 7 follow the first of the
    # image, and one more enters while the last of its words is taken
    assert waiting == {"c": 0, "input": 8}
    assert {queue.tensor: queue.bits for queue in found.queues} == {"c": 32, "input": 4}


def test_a_pool_passes_on_what_its_window_has_gathered():
    """Windows of 2 x 2 over 6 x 6 pixels, a pixel a cycle: the first is there with the eighth."""
    layer = LayerWork("c", "linear", 4, 4, 1, 1, 1, 3, 3, 3, 3, 4, 0, 4, 4, 36, 4)
    pooled = Step("pool", "max_pool", ("i",), 36, 4)
    convolved = Step("c", "conv", ("pool",), 36, 4)
    joined = Step("add", "add", ("c", "pool"), 36, 4)
    image = LayerWork("i", "conv", 4, 4, 1, 1, 1, 6, 6, 6, 6, 4, 0, 4, 4, 144, 4)
    first = (Step("input", "input", (), 144, 4), Step("i", "conv", ("input",), 144, 4))
    work = WorkTable((image, layer), (*first, pooled, convolved, joined))
    folding = given_folding(
        work, {"i": LayerFolding(simd=4, pe=4), "c": LayerFolding(simd=4, pe=4)}
    )
    found = flow(work, folding)
    [of_layer, of_pool] = found.queues
    assert of_pool.stream.pixels == 9
    # the image's pixels leave a cycle after they enter
    assert of_pool.stream.first == 8 + 1
    assert of_pool.stream.last == 36 + 1
    assert of_layer.stream.first == of_pool.stream.first + 1


def test_a_whole_network_flows():
    work = zoo_table("resnet18")
    fastest = attainable_cycles(work)[0]
    for slower in (1, 4, 64):
        folding = least_folding(work, slower * fastest)
        found = flow(work, folding)
        interval = np.maximum(layer_engine_cycles(work, folding), layer_input_cycles(work, folding))
        assert interval.max() <= found.last <= interval.sum()
        for queue in found.queues:
            assert 0 <= queue.pixels <= queue.stream.pixels


def test_designs_side_by_side_equal_single_ones():
    work = zoo_table("resnet18")
    budgets = attainable_cycles(work)[0] * np.array([1.0, 2.5, 40.0])
    together = flow(work, least_folding(work, budgets)).last
    assert together.tolist() == [float(flow(work, least_folding(work, b)).last) for b in budgets]
