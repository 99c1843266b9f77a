"""A protocol and a recognizer: scores, their figures with intervals, and the comparison of recognizers.

``benchmark`` runs models (``model``, ``models``, ``vectors``) on a protocol and writes results, scores and a page.
``scoring`` compares a fold's templates (``FoldScores``), ``figures`` reduces them (``FoldFigures``), in blocks
where they are too many to hold; ``paired`` compares two recognizers, ``folds`` sums up several folds,
``scores_file`` keeps scores so that every figure can be computed again. Definitions: docs/decisions/0018;
how a benchmark runs: docs/decisions/0019.
"""
