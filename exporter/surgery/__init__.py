"""Change a classifier's graph, one transformation a file.

Those that add something return a new model and leave the one they are given alone; those that
edit change it in place and return whether they did.
"""

from exporter.graph.write import PREFIX, free_prefix
from exporter.surgery.add_edit import add_edit
from exporter.surgery.add_prototypes import add_prototype_outputs
from exporter.surgery.add_steering import add_steering
from exporter.surgery.class_notes import LABELS, SCALE, class_notes
from exporter.surgery.fix_input import fix_input_size
from exporter.surgery.raise_opset import raise_opset
from exporter.surgery.remove_edit import remove_edit
from exporter.surgery.remove_prototypes import remove_prototype_outputs
from exporter.surgery.room import require_room
from exporter.surgery.tap_features import AT_MAP, ROW, features_of, tap_features, tap_logits

__all__ = [
    "AT_MAP",
    "LABELS",
    "PREFIX",
    "ROW",
    "SCALE",
    "add_edit",
    "add_prototype_outputs",
    "add_steering",
    "class_notes",
    "features_of",
    "fix_input_size",
    "free_prefix",
    "raise_opset",
    "remove_edit",
    "remove_prototype_outputs",
    "require_room",
    "tap_features",
    "tap_logits",
]
