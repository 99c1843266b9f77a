"""Quantization: a recognizer becomes one of 2 to 8 bits, by copying its own vectors.

In: a recognizer (the teacher) and images without labels, or a generator that makes them. Out: ``student.syq``, a
bit-packed network that embeds as the recognizer does. Start at :func:`quantize.quantize`.

``rounding`` is the arithmetic, ``graph`` the network as a list, ``student`` both together, ``calibration`` the
first ranges; ``recipe`` and ``presets`` say how it is trained, ``images`` with what, ``quantization_run`` is a
step;
``packing`` and ``student_file`` are the artefact, ``onnx_export`` its form for integer runtimes.

``distill`` and ``distillation_run`` train a new recognizer, not rounded, with a teacher.
"""
