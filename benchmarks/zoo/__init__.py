"""Architectures by name, and how each becomes an ONNX file."""
