"""A whole ResNet-18 by LiteRT's kernels: every integer that qsim computes is LiteRT's."""

import numpy as np
import pytest
from conformance.litert_networks import codes_of, litert_file
from conformance.peers import LITERT, RECORD
from conformance.tflite_models import interpreter

from qsim.evaluate import make_program
from qsim.execute import execute
from qsim.network.graph import INPUT
from qsim.request import Options, requested

SIDE = 64


@pytest.mark.parametrize("family", ["reference", "builtin"])
def test_every_integer_is_that_of_litert(family, tmp_path):
    workload = tmp_path / "network.yaml"
    workload.write_text(
        f"network: resnet18\ninput: [3, {SIDE}, {SIDE}]\n"
        f"precision: {{default: {{weights: {{affine: {{bits: 8, mode: restricted}}}},"
        f" activations: {{affine: {{bits: 8}}}}}}}}\n"
        f"execute: {{requantize: tflite-{family}}}\n"
    )
    program = make_program(requested(str(workload), Options()))
    image = np.random.default_rng(1).random((1, 3, SIDE, SIDE)).astype(np.float32)
    steps = execute(program, image)
    content, names = litert_file(program)
    loaded = interpreter(content, family)
    [fed] = loaded.get_input_details()
    loaded.set_tensor(fed["index"], codes_of(program, INPUT, steps[INPUT].value.levels))
    loaded.invoke()
    assert len(names) == 28
    for name, given in zip(names, loaded.get_output_details(), strict=True):
        ours = codes_of(program, name, steps[name].value.levels)
        theirs = loaded.get_tensor(given["index"])
        RECORD.compare(LITERT, f"{family} ResNet-18", ours, theirs)
