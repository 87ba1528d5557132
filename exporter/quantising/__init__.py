"""A classifier in fewer bits, all but its head, and how far it agrees with what it was.

body -> int8 or float16 -> files -> agreement
"""
