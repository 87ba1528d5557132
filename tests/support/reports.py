"""A class without a fault, as a report measures it."""

import numpy as np
from records import decomposed

from exporter.report.measure import ClassFigures, HeldOut, Pair

RECORD = decomposed(4, "wren", "prototype 0", "red tail", images=40)
HELD_OUT = HeldOut(
    images=10,
    skipped=0,
    recognised=0.9,
    residual=1e-7,
    contributions=np.array([3.0, 2.0]),
    shares=np.array([0.6, 0.4]),
    negative=0.0,
    cancelled=0.2,
    border=np.zeros(2),
    off_object=None,
    off_parts=None,
    steady=None,
    turned=None,
    drawn=0,
    pointed=0,
)
FIGURES = ClassFigures(
    live=(0, 1),
    norms=np.ones(2),
    norm_sum=1.4,
    pairs=(Pair(0, 1, 0.1, 0.2),),
    held_out=HELD_OUT,
)
