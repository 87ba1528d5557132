"""Find the feature map, the pooling and the linear head in a classifier's graph.

find.py walks up from the logits; linear.py and normalisation.py fold what it meets into one tail
(tail.py); pooling.py reads where the walk ends, and obstacles.py says why it cannot go on. grid.py
says on which grid the positions of the feature map lie: order.py follows them further up to the
image, one node at a time (moves.py), as digits of an index (positions.py). rows.py is what is split
of the head.
"""

from exporter.graph.forms import Normalisation
from exporter.head.find import Head, find_head

__all__ = ["Head", "Normalisation", "find_head"]
