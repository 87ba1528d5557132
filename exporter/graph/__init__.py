"""Read an ONNX graph: read.py its nodes, shapes and constants, sizes.py what one image settles."""
