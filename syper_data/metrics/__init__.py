"""Figures from arrays, which know no images and no files.

``distances`` compares two sets of feature vectors: Fréchet and kernel distance, precision, recall,
density, coverage and nearest neighbours. ``pairs`` gives the scores of all comparisons of a set of
embeddings, ``verification`` their error rates with intervals (``error_rates`` holds the definitions of
ISO/IEC 19795-1, ``curves`` finds them for millions of scores under all resamples), ``identification`` those of
a search, ``view2`` accuracy over parts, ``paired`` the difference of two systems. ``intervals``: shares,
clusters, bootstrap.
"""
