"""Schedules of inference and training against one written out line by line, and their laws."""

from dataclasses import replace

import naive_memory
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from step_graphs import step_graphs

from hwmodels.memory.arena import pack
from hwmodels.memory.buffers import ROLES, Schedule
from hwmodels.memory.checkpointing import cuts, recomputed_macs
from hwmodels.memory.inference import inference_schedule
from hwmodels.memory.settings import Settings
from hwmodels.memory.training import segments_of, training_schedule

BATCHES = st.integers(1, 300)


@st.composite
def settings_and_options(draw):
    """Settings, and the same as the naive program takes them."""
    framework = draw(st.booleans())
    options = {
        "framework": framework,
        "in_place": draw(st.booleans()),
        "mask": not framework and draw(st.booleans()),
        "compute": draw(st.sampled_from([16, 32])) if framework else 32,
        "gradient": draw(st.sampled_from([8, 32])),
        "weight_gradient": draw(st.sampled_from([16, 32])),
        "weight_gradients": draw(st.sampled_from(["none", "backward", "always"])),
    }
    names = {"mask": "relu_mask", "compute": "compute_bits", "gradient": "gradient_bits",
             "weight_gradient": "weight_gradient_bits"}  # fmt: skip
    return Settings(**{names.get(key, key): value for key, value in options.items()}), options


@st.composite
def graphs_and_cuts(draw, **options):
    steps = draw(step_graphs(**options))
    places = st.sets(st.integers(1, len(steps) - 1), max_size=4)
    return steps, sorted(draw(places))


def bytes_by_role(schedule, moment, batch):
    image, fixed = schedule.alive[..., moment]
    return dict(zip(ROLES, batch * image + fixed, strict=True))


def assert_same(schedule, program, batch):
    lines = naive_memory.alive(program)
    assert len(schedule.moments) == len(lines)
    for moment, things in enumerate(lines):
        expected = dict.fromkeys(ROLES, 0) | naive_memory.sizes(things, batch)
        assert bytes_by_role(schedule, moment, batch) == expected
        touched = sum(naive_memory.sizes(program[moment], batch).values())
        image, fixed = schedule.touched[:, moment]
        assert batch * image + fixed == touched


@given(graphs_and_cuts(), settings_and_options(), BATCHES)
def test_training_equals_the_program_written_out(graph, settings, batch):
    steps, at = graph
    schedule = training_schedule(steps, settings[0], at)
    program = naive_memory.Training(steps, at, **settings[1]).program
    assert_same(schedule, program, batch)


@given(step_graphs(all_stored=False), st.booleans(), BATCHES)
def test_inference_equals_the_program_written_out(steps, in_place, batch):
    schedule = inference_schedule(steps, Settings(in_place=in_place))
    assert_same(schedule, naive_memory.inference(steps, in_place), batch)


@given(graphs_and_cuts(), settings_and_options(), BATCHES)
def test_the_peak_is_the_most_that_is_alive_and_no_less_than_one_step_needs(graph, settings, batch):
    schedule = training_schedule(graph[0], settings[0], graph[1])
    alive = [sum(b.bytes_at(batch) for b in schedule.at(m)) for m in range(len(schedule.moments))]
    peak = int(schedule.peak_moment(batch))
    assert (alive[peak], peak) == (max(alive), alive.index(max(alive)))
    assert schedule.most_touched(batch) <= max(alive)


@given(graphs_and_cuts(), settings_and_options(), st.lists(BATCHES, min_size=1, max_size=4))
def test_an_array_of_batches_is_each_batch_alone(graph, settings, batches):
    schedule = training_schedule(graph[0], settings[0], graph[1])
    together = np.array(batches)
    for figure in (schedule.peak_moment, schedule.most_touched):
        assert (figure(together) == [figure(batch) for batch in batches]).all()


@given(step_graphs(), settings_and_options(), st.sampled_from(["sqrt", "per_block"]), BATCHES)
def test_checkpointing_needs_no_more_than_none_and_one_segment(steps, settings, kind, batch):
    at = cuts(steps, kind)
    plain, cut = training_schedule(steps, settings[0]), training_schedule(steps, settings[0], at)
    most = [sum(b.bytes_at(batch) for b in s.at(int(s.peak_moment(batch)))) for s in (plain, cut)]
    wide = [2 * 32 * step.values for step in steps]  # a tensor and its copy at the most bits
    segments = segments_of(steps, at)
    assert most[1] <= most[0] + max(batch * sum(wide[i] for i in part) / 8 for part in segments)


@given(step_graphs(), st.sampled_from(["none", "sqrt", "per_block"]))
def test_what_is_computed_again_is_what_its_moments_say(steps, kind):
    at = cuts(steps, kind)
    again = [m.removeprefix("again ") for m in training_schedule(steps, Settings(), at).moments
             if m.startswith("again ")]  # fmt: skip
    by_name = {step.name: step for step in steps}
    assert recomputed_macs(steps, at) == sum(by_name[name].macs for name in again)
    assert len(again) == len(set(again))
    assert not (kind == "none" and again)


@given(step_graphs(), st.sampled_from(["sqrt", "per_block"]))
def test_one_tensor_alone_crosses_a_cut(steps, kind):
    for at in cuts(steps, kind):
        before = {step.name for step in steps[:at]}
        crossing = {name for step in steps[at:] for name in step.reads} & before
        assert len(crossing) == 1
        assert before != {"input"}


@given(step_graphs(all_stored=False), settings_and_options(), st.sampled_from([2, 3]))
def test_tensors_of_more_bits_never_need_fewer_bytes(steps, settings, times):
    chosen = replace(settings[0], framework=False, compute_bits=32)
    wider = [replace(step, bits=step.bits * times) for step in steps]
    for make in (training_schedule, inference_schedule):
        before, after = make(steps, chosen), make(wider, chosen)
        assert (after.alive >= before.alive).all()


@given(step_graphs(all_stored=False), settings_and_options())
def test_names_decide_nothing(steps, settings):
    new = {step.name: f"x{hash(step.name) % 997}_{i}" for i, step in enumerate(steps)}
    renamed = [replace(s, name=new[s.name], reads=tuple(new[r] for r in s.reads)) for s in steps]
    for make in (training_schedule, inference_schedule):
        before, after = make(steps, settings[0]), make(renamed, settings[0])
        assert (before.alive == after.alive).all()


@given(step_graphs(), settings_and_options(), st.integers(1, 3), st.sampled_from([1, 8, 256]))
def test_packed_buffers_do_not_overlap_and_hold_the_peak(steps, settings, batch, alignment):
    schedule = training_schedule(steps, settings[0])
    offsets, size = pack(schedule.buffers, batch, alignment=alignment)
    placed = list(zip(schedule.buffers, offsets, strict=True))
    for index, (one, low) in enumerate(placed):
        assert low % alignment == 0
        assert low >= 0 and low + one.bytes_at(batch) <= size
        for other, at in placed[:index]:
            apart = at + other.bytes_at(batch) <= low or low + one.bytes_at(batch) <= at
            never = one.uses[-1] < other.uses[0] or other.uses[-1] < one.uses[0]
            assert apart or never
    peak = int(schedule.peak_moment(batch))
    assert size >= sum(buffer.bytes_at(batch) for buffer in schedule.at(peak))


def test_an_empty_schedule_packs_into_nothing():
    assert pack(Schedule((), ()).buffers, 1)[1] == 0
