"""Decisions about prototypes, baked into an artifact and taken back: one step a file.

decision -> files -> effect -> verification, which knows edited artifacts by ``gates``
"""
