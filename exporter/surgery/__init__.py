"""Change a classifier's graph, one transformation a file.

Those that add something return a new model and leave the one they are given alone; those that
edit change it in place and return whether they did.
"""

from exporter.graph.write import PREFIX, free_prefix
from exporter.surgery.add_dense import CHOOSING_OPERATORS, add_dense_outputs, require_dense
from exporter.surgery.add_edit import add_edit
from exporter.surgery.add_prototypes import add_prototype_outputs
from exporter.surgery.add_steering import add_steering
from exporter.surgery.interface.fix_input import fix_input_size
from exporter.surgery.interface.meaning import describe, document, undocument
from exporter.surgery.interface.notes import (
    LABELS,
    SCALE,
    artifact_notes,
    drop_model_api,
    write_notes,
)
from exporter.surgery.interface.take_pixels import (
    require_tensor,
    take_pixels,
    take_tensor,
)
from exporter.surgery.raise_opset import raise_opset
from exporter.surgery.remove_edit import remove_edit
from exporter.surgery.remove_prototypes import remove_prototype_outputs
from exporter.surgery.room import require_room
from exporter.surgery.tap_features import AT_MAP, ROW, features_of, tap_features, tap_logits

__all__ = [
    "AT_MAP",
    "CHOOSING_OPERATORS",
    "LABELS",
    "PREFIX",
    "ROW",
    "SCALE",
    "add_dense_outputs",
    "add_edit",
    "add_prototype_outputs",
    "add_steering",
    "artifact_notes",
    "describe",
    "document",
    "drop_model_api",
    "features_of",
    "fix_input_size",
    "free_prefix",
    "raise_opset",
    "remove_edit",
    "remove_prototype_outputs",
    "require_dense",
    "require_room",
    "require_tensor",
    "take_pixels",
    "take_tensor",
    "tap_features",
    "tap_logits",
    "undocument",
    "write_notes",
]
