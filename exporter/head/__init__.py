"""Find the feature map, the pooling and the linear head in a classifier's graph.

find.py puts together what walk.py finds on the way up from the logits: linear.py, normalisation.py
and, where branches join, joining.py fold it into one tail (tail.py). pooling.py reads where the
walk ends; class_map.py goes above a linear layer in front of the pooling; obstacles.py says why it
cannot go on. grid.py says on which grid the positions of the feature map lie: order/ follows them
further up to the image. rows.py is what is split of the head.
"""

from exporter.graph.forms import Normalisation
from exporter.head.find import Head, find_head

__all__ = ["Head", "Normalisation", "find_head"]
