"""An artifact held to every promise: run measures, gates judge, report tells."""
