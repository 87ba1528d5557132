"""Take the prototype outputs out of a graph again."""

from __future__ import annotations

import json

import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.write import ADDED_OUTPUTS, ANNOTATED, PREFIX, find_value
from exporter.surgery.interface.meaning import undocument
from exporter.surgery.interface.notes import remove_notes
from exporter.surgery.interface.take_pixels import take_tensor
from exporter.surgery.remove_edit import remove_edit


def remove_prototype_outputs(model: ir.Model) -> bool:
    """Undo ``add_prototype_outputs`` or ``add_dense_outputs`` exactly, and what is on top of it.

    Postcondition: the model serialises to the bytes of the classifier that was extended, if that
    was read from a file which onnx-ir writes unchanged.

    Args:
        model: An explained graph; changed in place.

    Returns:
        Whether there was something to remove.

    Raises:
        SurgeryError: What was added, or a note of it in the graph, was changed.
    """
    take_tensor(model)
    while remove_edit(model):
        pass
    undocument(model)
    graph, notes = model.graph, model.metadata_props
    if ADDED_OUTPUTS not in notes:
        return False
    try:
        added = set(json.loads(notes.pop(ADDED_OUTPUTS)))
        annotated, *fields = json.loads(notes.pop(ANNOTATED, "[null]"))
        for field in fields:
            setattr(find_value(model, annotated), field, None)
        graph.outputs[:] = [value for value in graph.outputs if value.name not in added]
        nodes = [node for node in graph if (node.name or "").startswith(PREFIX)]
        graph.remove(nodes, safe=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise SurgeryError(
            f"the explanation cannot be taken out of the graph again, it was changed: {error}"
        ) from error
    for name in [name for name in graph.initializers if name.startswith(PREFIX)]:
        del graph.initializers[name]
    remove_notes(model)
    return True
