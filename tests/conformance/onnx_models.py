"""Single operators run by ONNX Runtime."""

import numpy as np
from conformance.peers import ONNX, ONNX_RUNTIME, load

MICROSOFT = "com.microsoft"  # the domain of operators that are ONNX Runtime's own


def run_operator(name, inputs, out_types, *, domain="", opset=21, **attributes):
    """The outputs of one operator; ``inputs`` are arrays, of which the first is fed when it runs.

    The others are constants of the model, as scales, zero points and weights are in practice;
    inputs that are None are left out.
    """
    onnx, runtime = load(ONNX), load(ONNX_RUNTIME)
    helper = onnx.helper
    names = ["" if array is None else f"input{i}" for i, array in enumerate(inputs)]
    fed = inputs[0]
    fed_type = helper.np_dtype_to_tensor_dtype(fed.dtype)
    outputs = [f"output{i}" for i in range(len(out_types))]
    graph = helper.make_graph(
        [helper.make_node(name, names, outputs, domain=domain, **attributes)],
        name,
        [helper.make_tensor_value_info(names[0], fed_type, fed.shape)],
        [
            helper.make_tensor_value_info(
                output, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), None
            )
            for output, kind in zip(outputs, out_types, strict=True)
        ],
        [
            onnx.numpy_helper.from_array(np.asarray(array), label)
            for array, label in zip(inputs[1:], names[1:], strict=True)
            if array is not None
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=10,  # the newest that this runtime reads may be older than what onnx writes
    )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(outputs, {names[0]: fed})
