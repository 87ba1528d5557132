"""Read an ONNX graph: read.py its nodes, shapes and constants, sizes.py what one image settles.

forms.py says what a value is as a function of one vector, operations.py what each node makes of it.
"""
