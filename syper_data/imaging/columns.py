"""Which of a source's columns hold what: ``OURS=THEIRS`` pairs, as the command line gives them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from syper_data.errors import UsageError
from syper_data.imaging.source import KEY_COLUMNS, MASKED, METADATA_COLUMNS

_OURS = ("image", *METADATA_COLUMNS, *KEY_COLUMNS, MASKED)


def parse_columns(pairs: Iterable[str]) -> dict[str, str]:
    """``["side=eye"]`` -> ``{"side": "eye"}``, our name to the source's; ``side=`` reads no column as the side.

    Raises:
        UsageError: a pair without our name and an equals sign after it, or a name that is not ours.
    """
    names = {}
    for pair in pairs:
        ours, separator, theirs = pair.partition("=")
        if not separator or not ours:
            raise UsageError(f"--columns is {pair!r}: must look like side=eye")
        if ours not in _OURS:
            near = get_close_matches(ours, _OURS, 1)
            meant = f"; did you mean {near[0]}?" if near else f": must be one of {', '.join(_OURS)}"
            raise UsageError(f"--columns {pair}: {ours!r} is no column that the toolkit reads{meant}")
        names[ours] = theirs
    return names
