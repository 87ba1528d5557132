"""What is told of a head before anything is exported.

drawing.py draws the chain of a head in words, cost.py counts what its explanation costs, and
sample.py runs a few pictures to see how much of the evidence has a place.
"""
