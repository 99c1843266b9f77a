"""Protocols: which images are compared with which, read as published or made from labelled images.

To read one, start at :func:`syper_data.protocols.reading.open_protocol`: a descriptor (``descriptor``)
names one of ``formats``, which turns lists into folds (``protocol``); ``pictures`` finds the images,
``check`` says what is missing. To make one, start at :func:`syper_data.protocols.making.make_protocol`:
``labels`` reads who is on an image, ``splitting`` says who is trained on and tested, ``table`` what is
compared, ``writing`` and ``parquet_format`` hold the files. ``generated`` is a protocol whose pictures a
generator makes.
"""
