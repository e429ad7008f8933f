"""ONNX files read."""
