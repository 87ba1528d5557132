"""Explanations as pictures.

picture puts pieces of canvas together; overlay lays heatmaps on photographs, peaks says where they
peak; palette and lettering are the colours and the letters.
"""
