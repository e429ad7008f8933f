"""What compiled programs are held against: executed ones."""

import numpy as np

from qsim.engine import Engine
from qsim.execute import execute
from qsim.values import real


def assert_same(program, images, backend):
    """The compiled program makes every rounded tensor and the output of the executed one."""
    engine = Engine(program, backend)
    steps = execute(program, images)
    for name, levels in engine.tensors(images).items():
        assert levels.dtype == np.int32
        assert np.array_equal(levels, steps[name].value.levels), name
    output = real(steps[program.network.output].value)
    for _ in range(2):  # nothing is left of the run before
        assert np.array_equal(engine.run(images), output)
