"""The metrics, one idea a file, in a folder for each question; catalog.py collects them.

A new metric is a new file in the folder of its question: a function of arrays with its formula and
source, and ``METRICS``, which says its name, direction, needs and what it cannot tell.
"""
