"""The page that a person reads and signs.

In: a dataset directory, with its ledger where it was audited. Out: one HTML file that needs no other.
Start at :func:`syper_data.reporting.report.report`; ``verdict`` holds the words, ``audited`` reads and
checks, ``pictures`` and ``quality`` show images, ``tables`` the figures. Nothing is measured here.
"""
