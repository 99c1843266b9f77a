"""Which of a source's columns hold what: ``OURS=THEIRS`` pairs, as the command line gives them."""

from __future__ import annotations

from collections.abc import Iterable

from syper_data.errors import UsageError


def parse_columns(pairs: Iterable[str]) -> dict[str, str]:
    """``["side=eye"]`` -> ``{"side": "eye"}``, our name to the source's; ``side=`` reads no column as the side.

    Raises:
        UsageError: a pair without our name and an equals sign after it.
    """
    names = {}
    for pair in pairs:
        ours, separator, theirs = pair.partition("=")
        if not separator or not ours:
            raise UsageError(f"--columns is {pair!r}: must look like side=eye")
        names[ours] = theirs
    return names
