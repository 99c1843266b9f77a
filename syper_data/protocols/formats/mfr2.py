"""MFR2 (Anwar and Raychowdhury, 2020): masked and unmasked faces, with LFW's form of lines and no first line.

Options: ``pairs`` (names that the list may have), ``folders`` (that the folder of the photos may have),
``repeated``, ``columns``.
"""

from __future__ import annotations

from syper_data.errors import InputError
from syper_data.protocols.lists import option, repeated_option
from syper_data.protocols.named_pairs import named_fold, read_named_pairs
from syper_data.protocols.reading import Reading, Request


def read(request: Request) -> Reading:
    """One fold of all listed pairs."""
    options = request.descriptor.options
    listed = option(options, "pairs", ["pairs.txt"], list)
    path = next((request.root / name for name in listed if (request.root / name).is_file()), None)
    if path is None:
        raise InputError(f"{request.root}: no list of pairs; it must be named {' or '.join(map(str, listed))}")
    pairs = read_named_pairs(path, repeated_option(options))
    folders = option(options, "folders", ["mfr2"], list)
    fold, pictures, notes = named_fold(request, pairs, request.folds[0], None, folders)
    return Reading((fold,), pictures, (path,), notes)
