"""The dataset directory: what is in it, how it is written whole, how it is read back checked.

``manifest`` and ``settings`` are the plan, ``shards`` the Parquet files, ``directory`` the folder
and its completion record; ``atomic`` and ``lock`` are how everything in this toolkit is written.
"""
