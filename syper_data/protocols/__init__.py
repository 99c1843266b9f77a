"""Protocols: which images are compared with which, read as published or made from labelled images.

To read one, start at :func:`syper_data.protocols.reading.open_protocol`: a descriptor (``descriptor``) names one
of ``formats``, which turns lists into folds (``protocol``); ``pictures`` finds the images, and ``check`` says what
is missing.
"""
