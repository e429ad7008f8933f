"""Networks of the zoo as compiled programs: the integers of executed ones, or a plain refusal."""

import numpy as np
import pytest
import yaml
from compiled import assert_same
from zoo_networks import small

from qsim import zoo
from qsim.engine import Engine
from qsim.errors import QsimError
from qsim.evaluate import make_program
from qsim.workload import load_workload

FLOAT = "it is computed in floating point"
AREAS = "its windows are divided by different numbers"
REFUSED = {
    "alexnet": FLOAT,
    "alexnet-ungrouped": FLOAT,
    "bert-base": "its tensor is float",
    "bn-inception": AREAS,
    "gru-timit": "it is a sequence",
    "inception-resnet-v2": AREAS,
    "lstm-imdb": "its tensor is float",
    "lstm-ptb": "its tensor is float",
    "nasnet-a-mobile": AREAS,
    "pspnet": FLOAT,
    "yolo-v3": "there is no step for a reshape",
}
MEANS = "the values under its windows are added in float32"
REFUSED_BY_RUNTIME = REFUSED | {"inception-v3": MEANS}


@pytest.mark.parametrize("requantize", ["onnx", "onnxruntime"])
@pytest.mark.parametrize("name", zoo.names())
def test_every_network_is_compiled_exactly_or_refused(tmp_path, name, requantize):
    eight = {"weights": {"affine": {"bits": 8, "mode": "symmetric"}}, "activations": {"affine": {"bits": 8}}}  # fmt: skip
    document = {**small(name), "precision": {"default": eight}, "execute": {"requantize": requantize}}  # fmt: skip
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(document))
    program = make_program(load_workload(str(path)))
    refused = REFUSED if requantize == "onnx" else REFUSED_BY_RUNTIME
    if name in refused:
        with pytest.raises(QsimError, match=f"cannot be compiled: {refused[name]}"):
            Engine(program)
        return
    shape = program.network.input_shape
    images = np.random.default_rng(1).random((1, *shape), np.float32)
    assert_same(program, images, None)
