"""The audit of a sampled dataset: image quality, identity overlap with real people, the verdict.

In: a dataset directory and real images (or their embeddings). Out: ``ledger.parquet``, one row an
image with every score, the verdict and its reasons, and ``filter.json``, the figures. Images are
never rewritten. Start at :func:`syper_data.filtering.filter.filter`; ``quality`` holds the measures,
``overlap`` the search for identities, ``ledger`` the file, ``top_up`` makes more images.
"""
