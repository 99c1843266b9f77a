"""Seeds to images to shards, and the check of what was made.

In: a generator and keys (seed, label). Out: a dataset directory that can be regenerated.
Start at :func:`sample` (writes), :func:`generate` (yields) and :func:`verify`.
``plan`` turns options into a manifest, ``render`` makes the images of one block, ``worker`` one
shard in a process of its own.
"""
