"""Recognizers: a crop becomes a vector, and vectors of one eye lie close together.

In: crops in canonical orientation. Out: float32 vectors of length 1, alone (``embedder``) or as a file
of embeddings (``embeddings``, made by ``embed``). ``backbones`` are the networks, ``recognizer_file`` how
they are kept, ``checkpoint`` how published ones are read, ``bundled`` which ship. Start at
:func:`embeddings.embed`.

Training: start at ``training`` (``recipe``, ``initialisation``, ``eyes``, ``batches``, ``augment``, ``margins``,
``training_run``, ``validation``); ``evaluation`` measures what came out.
"""
