"""The stages of each job in order, nothing else: one job a file."""
