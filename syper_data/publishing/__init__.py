"""A finished dataset directory to a folder others can use, and on to a Hugging Face Hub.

In: a complete dataset directory. Out: the same Parquet shards, manifest and completion record
(``carried_plan``, so that ``verify`` can check it), a card (``README.md``), a contact sheet and
``croissant.json``, opened with ``load_dataset`` and compared before it is called
done; on request pushed to a Hub. Start at :func:`syper_data.publishing.export.export_hf`; ``card``
and ``croissant`` write the descriptions, ``check`` opens the result, ``hub`` pushes it.

``release`` makes a release folder of a training run and its evaluation, ``generator_card`` its card.
"""
