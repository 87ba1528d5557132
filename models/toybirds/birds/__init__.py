"""Toybirds: procedurally drawn birds whose parts are known to the pixel."""

from .draw import Sample, draw
from .scene import BACKDROPS, NEW_BACKDROPS, SPLITS, Scene, scene
from .species import MANTLES, PALETTE, PARTS, SPECIES, Look, Species

__all__ = [
    "BACKDROPS",
    "MANTLES",
    "NEW_BACKDROPS",
    "PALETTE",
    "PARTS",
    "SPECIES",
    "SPLITS",
    "Look",
    "Sample",
    "Scene",
    "Species",
    "draw",
    "scene",
]
