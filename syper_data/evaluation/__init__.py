"""How good a generator's images are, measured against real ones.

In: a generator or stored images, and real crops. Out: ``evaluation.json``, pictures and a page.
Start at :func:`syper_data.evaluation.evaluate.evaluate`. ``images`` reads and samples, ``judge``
turns images into feature vectors, ``figures`` reduces those, ``memorisation`` asks whether training
images were copied, ``comparison`` joins them, ``pictures`` and ``page`` show them.
"""
