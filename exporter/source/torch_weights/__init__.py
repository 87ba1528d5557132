"""Weights on disk become tensors by the names that a module gives them; no code of theirs runs.

kinds says what a file is, read reads it, unwrap finds the state dict in a checkpoint, load fits its
names to the module's.
"""
