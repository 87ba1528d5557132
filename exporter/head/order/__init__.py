"""In which order the positions of a feature map lie on the image.

follow.py follows them up to the image, one node at a time (moves.py), as digits of an index
(positions.py).
"""
