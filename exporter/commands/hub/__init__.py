"""The verbs of where models live: push, pull, sign and card."""
