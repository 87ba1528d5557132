"""Find the feature map, the pooling and the linear head in a classifier's graph.

find.py walks up from the logits; linear.py and normalisation.py fold what it meets into one tail
(tail.py); pooling.py and grid.py read where the walk ends; obstacles.py says why it cannot go on.
"""

from exporter.head.find import Head, find_head
from exporter.head.tail import LayerNorm

__all__ = ["Head", "LayerNorm", "find_head"]
