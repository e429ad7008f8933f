"""Threads: they share images and steps out, and nothing of one disturbs another."""

import gc
import os
import resource
import threading

import numpy as np
import pytest
from programs import odd_network, program_for, residual_network

from qsim.engine import Engine
from qsim.engine.crew import Crew
from qsim.errors import QsimError
from qsim.execute import execute
from qsim.kernels.simd.host import available
from qsim.values import real

THREADS_HELD = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system holds no thread to a core"
)


def program_and_images(network=None, count=7, **arguments):
    network = network or residual_network()
    program, _ = program_for(network, {"fixed": {"bits": 8}}, signed=True, **arguments)
    images = np.random.default_rng(5).random((count, *network.input_shape), np.float32)
    return program, images


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_several_threads_compute_what_one_does(backend, threads):
    program, images = program_and_images()
    expected = real(execute(program, images)[program.network.output].value)
    engine = Engine(program, backend, threads=threads)
    for count in (1, 2, 3, 7, 0):  # shared out by image, by steps of one, or both
        for _ in range(5):
            assert np.array_equal(engine.run(images[:count]), expected[:count])


def test_engines_of_several_callers_do_not_disturb_one_another():
    cases = []
    for network in (residual_network(), odd_network()):
        program, images = program_and_images(network)
        engine = Engine(program, threads=2)
        cases.append((engine, images, engine.run(images)))
    wrong = []

    def repeat(engine, images, expected):
        for _ in range(200):
            if not np.array_equal(engine.run(images), expected):
                wrong.append(engine)

    callers = [threading.Thread(target=repeat, args=case) for case in cases]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_ten_thousand_mixed_calls_leak_nothing():
    engines = []
    for network in (residual_network(), odd_network()):
        program, images = program_and_images(network, count=1)
        engines += [(Engine(program, backend), images) for backend in available()[:2]]
    before = None
    for call in range(10_000):
        engine, images = engines[call % len(engines)]
        engine.run(images)
        if call == 1_000:
            gc.collect()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gc.collect()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 4_000  # kB; one array of a call's kept each time would be 9,000 calls' worth


def test_threads_end_with_their_engine():
    program, images = program_and_images()
    engine = Engine(program, threads=4)
    engine.run(images)
    running = threading.active_count()
    del engine
    gc.collect()
    for _ in range(100):
        if threading.active_count() <= running - 3:
            return
        threading.Event().wait(0.01)
    raise AssertionError("threads go on")


def test_a_failure_in_any_thread_is_the_callers():
    def fail():
        raise ValueError("here")

    crew, done = Crew(3, None), []
    for at in range(3):
        tasks = [lambda: done.append(1)] * 3
        tasks[at] = fail
        with pytest.raises(ValueError, match="here"):
            crew.run(tasks)
    assert len(done) == 6  # the others are finished all the same


@THREADS_HELD
def test_threads_are_held_to_cores_and_the_caller_only_while_it_works():
    cores = sorted(os.sched_getaffinity(0))
    seen = {}

    def look(number):
        seen[number] = os.sched_getaffinity(threading.get_native_id())

    crew = Crew(2, [cores[-1], cores[0]])
    crew.run([lambda: look(0), lambda: look(1)])
    assert seen == {0: {cores[-1]}, 1: {cores[0]}}
    assert sorted(os.sched_getaffinity(0)) == cores


@THREADS_HELD
def test_cores_that_there_are_not_are_refused():
    with pytest.raises(
        QsimError, match=r"cannot be held to cores \[100000\]; this process may use"
    ):
        Crew(1, [100000])


def test_a_program_runs_on_one_thread_at_least():
    with pytest.raises(QsimError, match="1 thread or more, not 0"):
        Crew(0, None)
