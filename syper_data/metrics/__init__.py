"""Figures from arrays, which know no images and no files.

``distances`` compares two sets of feature vectors: Fréchet and kernel distance, precision, recall,
density, coverage and nearest neighbours.
"""
