"""The decomposition of a head row into part-prototypes, one step a file.

discovery    nmf.py (fast), multiplicative.py (the paper's)     eq. 2
scaling      scaling.py                                         eq. 3
refinement   regression.py (part evidence), selection.py;       eq. 6 and 7
             refinement.py (the paper's Nelder-Mead and naive
             split)
"""

from exporter.decompose.decomposition import (
    MINIMUM_IMAGES,
    Decomposition,
    Method,
    decompose,
    require_feasible,
    smoothing_of,
)
from exporter.decompose.refinement import Start
from exporter.decompose.solution import Ending, Solution, Summary

__all__ = [
    "MINIMUM_IMAGES",
    "Decomposition",
    "Ending",
    "Method",
    "Solution",
    "Start",
    "Summary",
    "decompose",
    "require_feasible",
    "smoothing_of",
]
