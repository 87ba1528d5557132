"""Take the last edit out of a graph again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx_ir as ir

from exporter.errors import SurgeryError
from exporter.graph.write import EDITS, PREFIX, find_value

_TABLE = PREFIX + "prototypes"


def remove_edit(model: ir.Model) -> bool:
    """Undo the last ``add_edit`` exactly.

    Postcondition: the model serialises to the bytes of the graph that was edited.

    Args:
        model: A graph; changed in place.

    Returns:
        Whether there was an edit.

    Raises:
        SurgeryError: The note of the edit does not fit the graph: it was changed since.
    """
    if EDITS not in model.metadata_props:
        return False
    try:
        *notes, note = json.loads(model.metadata_props[EDITS])
        _remove(model, note, f"{PREFIX}edit{len(notes) + 1}/")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, SurgeryError) as error:
        raise SurgeryError(
            f"expected the note {EDITS!r} to describe the edit of this graph, but the graph was "
            "changed since. Take the artifact from where it is kept."
        ) from error
    if notes:
        model.metadata_props[EDITS] = json.dumps(notes)
    else:
        del model.metadata_props[EDITS]
    return True


def _remove(model: ir.Model, note: dict[str, Any], prefix: str) -> None:
    graph = model.graph
    _put_rows_back(graph, note["muted"], graph.initializers[f"{prefix}rows"])
    after, before = find_value(model, note["logits"]), find_value(model, f"{prefix}before")
    for node, index in list(after.uses()):
        node.replace_input_with(index, before)
    graph.outputs[:] = [before if value is after else value for value in graph.outputs]
    graph.remove([node for node in graph if (node.name or "").startswith(prefix)], safe=True)
    before.name = note["logits"]
    for name in [name for name in graph.initializers if name.startswith(prefix)]:
        del graph.initializers[name]
    places = {name: int(index) for name, index in note["moved"].items()}
    moved = [node for node in graph if node.name in places]
    graph.remove(moved)
    for node in sorted(moved, key=lambda node: places[node.name or ""]):
        index = places[node.name or ""]
        if index < len(graph):
            graph.insert_before(graph[index], node)
        else:
            graph.append(node)


def _put_rows_back(graph: ir.Graph, muted: list[list[int]], rows: ir.Value) -> None:
    """Write the muted rows (m, d) into the table (c, k * d) again."""
    table = graph.initializers[_TABLE]
    if table.const_value is None or rows.const_value is None:
        raise ValueError("a constant has no value")
    taken = rows.const_value.numpy()
    whole = np.array(table.const_value.numpy())
    classes, numbers = np.array(muted, np.int64).T
    whole.reshape(len(whole), -1, taken.shape[1])[classes, numbers] = taken
    table.const_value = ir.tensor(whole, name=_TABLE)
