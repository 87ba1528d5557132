"""A model in any form becomes an ONNX graph in memory, and how images become its input.

onnx_file is the one road; torch_model, torch_export and torch_weights lead to it, and embedded
takes the classifier out of an artifact. torch is imported by the files named after it, and nowhere
else.
"""
