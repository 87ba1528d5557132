"""What is true to the pixel: do parts, backdrops and masks agree?"""

ORDER = ("part_purity", "part_iou", "part_deletion", "background")
"""Files in the order in which they are read; others follow by name."""
