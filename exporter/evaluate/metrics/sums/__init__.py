"""Do the contributions add up, and do they matter?"""

ORDER = ("insertion_deletion", "completeness", "cancellation")
"""Files in the order in which they are read; others follow by name."""
