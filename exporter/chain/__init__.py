"""How a head computes what its last linear layer reads, step by step, and what each place gives.

trace.py reads the chain off a graph with the rules of the steps: affine.py, gate.py, norm.py,
sums.py, attention.py (tokens.py tells its tokens apart) and pool.py. write.py writes it into a
graph again. step.py says what a step is; rows.py writes its nodes.
"""
