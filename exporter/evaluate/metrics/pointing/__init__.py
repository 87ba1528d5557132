"""Where do the prototypes point?"""

ORDER = ("consistency", "stability", "distinctiveness", "comprehensiveness")
"""Files in the order in which they are read; others follow by name."""
