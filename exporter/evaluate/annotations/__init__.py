"""Where the parts of the objects in images are: annotations read from files, one format a file.

`read_annotations` reads keypoints of real or drawn images; `read_truth` finds the pictures of drawn
ones whose every pixel is known.
"""

from exporter.evaluate.annotations.parts import Annotations, ImageParts
from exporter.evaluate.annotations.read import read_annotations
from exporter.evaluate.annotations.truth import PartTruth, read_truth

__all__ = ["Annotations", "ImageParts", "PartTruth", "read_annotations", "read_truth"]
