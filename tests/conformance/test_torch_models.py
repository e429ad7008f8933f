"""ResNet-18 and MobileNet-v2, exported from torch and quantized by ONNX Runtime: every integer that
qsim computes from the files is the runtime's."""

from functools import cache

import pytest
from conformance.generators import WEIGHT_LIMIT
from conformance.peers import ONNX, ONNX_RUNTIME, TORCH, load
from conformance.program_files import compare_with_runtime
from conformance.torch_models import exported, images, quantized

from qsim.verify import count_checked

SIDE = 32
MODELS = {"resnet18": {}, "mobilenet_v2": {"width": 0.5}}


@cache
def float_model(name):
    return exported(name, SIDE, **MODELS[name])


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
@pytest.mark.parametrize("name", MODELS)
def test_every_integer_is_the_runtimes(name, form):
    load(ONNX), load(ONNX_RUNTIME), load(TORCH)
    if WEIGHT_LIMIT < 127:
        pytest.skip("without VNNI the runtime's products of large weights saturate")
    model = quantized(float_model(name), form, SIDE)
    subject = f"{name} from torch, {form}"
    held, steps = compare_with_runtime(subject, model, images(2, SIDE))
    assert held.notes == ()
    assert len(held.layers) >= {"resnet18": 33, "mobilenet_v2": 66}[name]
    assert count_checked(held.program, steps, 5)[1] == []
