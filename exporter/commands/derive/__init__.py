"""The verbs that make a new artifact of one that is there."""
