"""What becomes of an ONNX file: refused in one sentence, or read as what it is."""

from collections.abc import Callable
from math import prod
from pathlib import Path

import msgspec
import numpy as np
from conformance.generators import WEIGHT_LIMIT

from qsim.errors import QsimError
from qsim.execute import execute
from qsim.network.graph import Network
from qsim.network.reference import run_float
from qsim.network.table import read_network, write_network
from qsim.onnx_reader import Imported, OnnxOptions, read_onnx
from qsim.values import real

MOST_COMPUTED = 10**6  # values of all tensors, of what is run to compare
LARGEST = 1e4  # beyond it float32 loses more than is compared
CLOSE = 1e-3  # of the largest value of the result
TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}  # fmt: skip

Run = Callable[[bytes, np.ndarray], np.ndarray | None]


def verdict(path: Path, run: Run | None = None, options: OnnxOptions | None = None) -> str:
    """``refused``, or what was found of what was read: ``equal`` to what ``run`` computes of the
    file, ``read`` where that does not compute it or nothing is compared.

    Fails on any other exception, on a sentence of several lines, on weights that do not belong to
    the network, on a network that is not the one read back from its layer table, on other results.
    """
    try:
        imported = read_onnx(path, options)
    except QsimError as error:
        assert str(error).startswith(str(path)), error
        assert "\n" not in str(error)
        return "refused"
    if imported.program is not None:
        return _quantized(path, imported, run)
    network, weights = imported.network, imported.weights
    wanted = {key: shape for node in network.nodes.values() for key, shape in node.arrays.items()}
    assert {key: array.shape for key, array in weights.items()} == wanted
    assert all(np.isfinite(array).all() for array in weights.values())
    table = path.with_name(f"{network.name}.yaml")
    write_network(network, table)
    assert _spelled_out(read_network(table)) == _spelled_out(network)
    values = sum(prod(node.output_shape) for node in network.nodes.values())
    largest = max((float(np.abs(array).max(initial=0)) for array in weights.values()), default=0)
    if run is None or values > MOST_COMPUTED or largest > LARGEST or network.macs > 10**7:
        return "read"
    return _compared(path, network, weights, run)


def _quantized(path: Path, imported: Imported, run: Run | None) -> str:
    """Of a quantized file, every value of a rounded result is ONNX Runtime's, where nothing is
    noted."""
    program = imported.program
    if run is None or imported.notes or WEIGHT_LIMIT < 127:  # products of large codes saturate
        return "read"
    x = np.random.default_rng(1).uniform(-4, 4, (1, *program.network.input_shape))
    expected = run(path.read_bytes(), x.astype(np.float32))
    if expected is None:
        return "read"
    try:
        *_, last = execute(program, x.astype(np.float32)).values()
    except QsimError:  # as where a real result is infinite
        return "refused"
    made, expected = real(last.value).astype(np.float32).reshape(-1), expected.reshape(-1)
    if program.rounds(program.network.output):
        np.testing.assert_array_equal(made, expected)
    else:  # the runtime adds float32 products, in another order
        np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)
    return "equal"


def _spelled_out(network: Network) -> tuple:
    """What two networks have in common that are the same."""
    nodes = network.nodes.values()
    layers = [msgspec.structs.replace(node.layer, inputs=node.inputs) for node in nodes]
    return network.name, network.input_shape, layers


def _compared(path: Path, network, weights, run: Run) -> str:
    x = np.random.default_rng(1).uniform(-1, 1, (1, *network.input_shape)).astype(np.float32)
    if network.rows_read is not None:
        x = np.floor((x + 1) / 2 * network.rows_read).clip(0, network.rows_read - 1)
    expected = run(path.read_bytes(), x)
    if expected is None:
        return "read"
    try:
        made = run_float(network, weights, x)[network.output]
    except QsimError:  # numbers of rows that are not there
        return "refused"
    sides = [[side for side in array.shape if side != 1] for array in (made, expected)]
    assert sides[0] == sides[1], f"{made.shape} is not {expected.shape}"
    made, expected = made.reshape(-1), expected.reshape(-1).astype(np.float32)
    usable = np.isfinite(expected)
    assert (np.isfinite(made) == usable).all(), "finite elsewhere"
    scale = max(1.0, float(np.abs(expected[usable]).max(initial=0)))
    assert np.abs(made[usable] - expected[usable]).max(initial=0) <= CLOSE * scale, "other results"
    return "equal"


def computed(data: bytes, x: np.ndarray) -> np.ndarray | None:
    """What ONNX Runtime computes of a model of one input and one result; None: it does not."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        [fed], [_] = session.get_inputs(), session.get_outputs()
        return session.run(None, {fed.name: x.astype(TYPES[fed.type])})[0]
    except Exception:  # it has many ways to refuse
        return None
