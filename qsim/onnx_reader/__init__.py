"""Networks and integer programs read from ONNX files."""
