"""The metrics, grouped by what they ask; one a file."""
