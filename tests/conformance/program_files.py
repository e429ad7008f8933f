"""Models in memory read as programs, and the runtime's integers beside those of a program."""

from pathlib import Path

from conformance.peers import ONNX_RUNTIME, RECORD
from conformance.quantized_graphs import run_graph
from conformance.quantized_networks import with_outputs

from qsim.execute import execute
from qsim.network.graph import INPUT
from qsim.onnx_reader.graph import read_graph
from qsim.onnx_reader.inputs import feeds, wanted_output
from qsim.onnx_reader.options import OnnxOptions
from qsim.onnx_reader.quantized import read_quantized
from qsim.onnx_runtime import zero_point_of


def read(model, options=None):
    """A model that was not read from a file, as one that was."""
    options, graph = options or OnnxOptions(), read_graph(Path("model.onnx"), model)
    return read_quantized(graph, feeds(graph, options), wanted_output(graph, options))


def input_name(model):
    """The name of the tensor that is fed."""
    return model.graph.input[0].name


def compare_with_runtime(subject, model, images):
    """Every tensor of integers and the result of a model that qsim reads, with ONNX Runtime's; the
    result also where it is the only output. The model as it was read, its steps."""
    held = read(model)
    steps = execute(held.program, images)
    fed = {input_name(model): images}
    theirs, _ = run_graph(with_outputs(model, list(held.layers)), fed)
    for tensor, layer in held.layers.items():
        number = held.program.formats[layer]
        ours = steps[layer].value.levels + zero_point_of(number)
        RECORD.compare(ONNX_RUNTIME, subject, ours, theirs[tensor])
    alone, _ = run_graph(model, fed)
    result = steps[held.program.network.output].value
    ours = result.levels.astype("float32") * result.scale
    [name] = alone
    RECORD.compare(ONNX_RUNTIME, f"{subject}, result alone", ours, alone[name])
    assert INPUT in held.layers.values()
    return held, steps
