"""Images in and out: ``source`` reads folders and Parquet, ``codec`` decodes and encodes,
``pixels`` turns a generator's floats into the bytes that are encoded, and resizes them.
"""
