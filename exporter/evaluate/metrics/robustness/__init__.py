"""What stays when picture, network or seed change, and what is said twice?"""

ORDER = ("redundancy", "equivariance", "randomisation", "seed_overlap")
"""Files in the order in which they are read; others follow by name."""
