"""Protocols: which images are compared with which, read as published or made from labelled images.

In: labelled images (a folder, Parquet, a dataset directory), or published lists. Out: a
:class:`~syper_data.protocols.protocol.Protocol` of folds. To make one, start at
:func:`syper_data.protocols.making.make_protocol`: ``labels`` reads who is on an image, ``splitting`` says who is
trained on and tested, ``table`` what is compared, ``writing`` and ``parquet_format`` hold the files. ``generated``
is a protocol whose pictures a generator makes.
"""
