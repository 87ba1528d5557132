"""The verbs that hold one artifact against another."""
