"""Reproduction: the experiment table of low-bit recognizers, run by one command.

In: a plan (``experiments/quantization.yaml``), teachers, a generator and, for some rows, real crops. Out: a
student for every run, ``quantization.json`` and ``quantization.html``. Start at
:func:`quantization.reproduce_quantization`.

``plan`` says what is to be run, ``materials`` finds teachers and images, ``runs`` joins both, ``testing``
measures a student as ``benchmark`` does, ``record`` is the table, ``page`` and ``shown`` how a person reads it.
"""
