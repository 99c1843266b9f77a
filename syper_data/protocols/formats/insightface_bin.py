"""insightface's verification files: one pickle of (list of 2n encoded images, list of n booleans).

Images 2i and 2i + 1 are pair i. Nothing in the file is executed: it goes through the restricted reader of
published networks, with a vocabulary of bytes and numpy arrays. Nobody's name is in it: images joined by
mated pairs count as one person, and the same bytes as one image.

Options: ``file`` (the file's name, where ``--root`` is a folder), ``parts`` (consecutive parts, as in the
published evaluation).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from syper_data.errors import ConfigError, InputError
from syper_data.protocols.lists import components, option
from syper_data.protocols.pictures import BinPictures
from syper_data.protocols.protocol import Bools, Fold, ListedComparisons, Rows
from syper_data.protocols.reading import Reading, Request

_STEPS = 20_000_000  # some twelve opcodes an image
_MOST_BYTES = 4 << 30


def read(request: Request) -> Reading:
    """One fold: the file's pairs in their order."""
    options = request.descriptor.options
    name = option(options, "file", "", str)
    path = request.place / name if request.place.is_dir() else request.place
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the .bin file or its folder as --root")
    images, mated = read_bin(path)
    digests: dict[bytes, int] = {}
    rows = np.array([digests.setdefault(hashlib.sha256(image).digest(), i) for i, image in enumerate(images)])
    first, codes = np.unique(rows, return_inverse=True)
    probe, reference = codes[0::2].astype(np.int64), codes[1::2].astype(np.int64)
    identity = components(len(first), probe[mated], reference[mated])
    width = len(str(len(images) - 1))
    names = tuple(f"{row:0{width}d}" for row in first.tolist())
    fold = Fold(
        request.folds[0],
        names,
        identity,
        identity,
        tuple(f"{path.stem}-{code}" for code in range(int(identity.max()) + 1)),
        ListedComparisons(probe, reference, mated, str(path)),
        parts=_parts(mated, option(options, "parts", 0, int)),
        named=False,
    )
    held = {name: images[row] for name, row in zip(names, first.tolist(), strict=True)}
    return Reading((fold,), BinPictures(path, held), (path,), _notes(fold, probe, reference, mated))


def read_bin(path: Path) -> tuple[list[bytes], Bools]:
    """The encoded images and the labels of a file.

    Raises:
        InputError: unreadable, damaged, hostile, or other than such a file.
    """
    from syper_data.gan.published.network_pickle import PLAIN_VOCABULARY
    from syper_data.gan.published.refusal import Budget, RefusalError, RefusedNameError, quoted
    from syper_data.gan.published.restricted_pickle import read_pickle

    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(f"{path}: {size >> 20} MiB, more than {_MOST_BYTES >> 20}: no verification file")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    budget = Budget(min(_STEPS, 1000 + size), Budget.of(size).octets)
    try:
        value = read_pickle(data, PLAIN_VOCABULARY, budget)
    except RefusedNameError as error:
        name = quoted(f"{error.module}.{error.name}")
        raise InputError(f"{path}: refused: it names {name}, which no verification file needs") from error
    except RefusalError as error:
        raise InputError(f"{path}: {error}") from error
    if type(value) not in (tuple, list) or len(value) != 2:
        raise InputError(f"{path}: not a pair of images and labels, as insightface writes it")
    images = [_octets(image) for image in _listed(value[0])]
    labels = [_truth(label) for label in _listed(value[1])]
    if None in images or None in labels or not labels:
        raise InputError(f"{path}: holds other things than encoded images and truth values")
    if len(images) != 2 * len(labels):
        raise InputError(f"{path}: {len(images)} images for {len(labels)} pairs; must be two a pair")
    return [image for image in images if image is not None], np.array(labels, bool)


def _parts(mated: Bools, count: int) -> tuple[Rows, ...] | None:
    """Consecutive parts as equal as can be; none in a file with fewer pairs."""
    if count < 0:
        raise ConfigError(f"options.parts is {count}: must be 0 or more")
    return tuple(np.array_split(np.arange(len(mated)), count)) if 0 < count <= len(mated) else None


def _notes(fold: Fold, probe: Rows, reference: Rows, mated: Bools) -> tuple[str, ...]:
    said = ["the file names nobody: people are what mated pairs join, so intervals rest on the pairs alone"]
    same = fold.identity[probe] == fold.identity[reference]
    for rows, what in (
        (probe == reference, "pairs are of one image with itself"),
        (~mated & same & (probe != reference), "non-mated pairs are of images that mated pairs join"),
    ):
        if rows.any():
            said.append(f"{int(rows.sum())} {what}: kept, as published")
    return tuple(said)


def _listed(value: Any) -> list[Any]:
    """The elements of a list, a tuple or a recorded one-dimensional array of truth values."""
    if type(value) in (list, tuple):
        return list(value)
    found = _array(value)
    return [] if found is None or found[0] not in ("b1", "?") else [byte != 0 for byte in found[1]]


def _octets(value: Any) -> bytes | None:
    """An encoded image: bytes, or a recorded array of bytes."""
    if type(value) is bytes:
        return value
    found = _array(value)
    return found[1] if found is not None and found[0] in ("u1", "i1", "B", "b") else None


def _truth(value: Any) -> bool | None:
    return bool(value) if type(value) in (bool, int) and value in (0, 1) else None


def _array(value: Any) -> tuple[str, bytes] | None:
    """Type code and bytes of a one-dimensional numpy array that the restricted reader recorded."""
    from syper_data.gan.published.restricted_pickle import Recorded

    if type(value) is not Recorded or value.name != "array":
        return None
    if type(value.state) is tuple and len(value.state) == 5:
        shape, kind, raw = value.state[1], value.state[2], value.state[4]
    elif value.state is None and len(value.args) == 4:  # protocol 5
        raw, kind, shape = value.args[:3]
    else:
        return None
    code = kind.args[0] if type(kind) is Recorded and kind.name == "dtype" and kind.args else None
    if type(code) is not str or type(raw) is not bytes or shape != (len(raw),):
        return None
    return code, raw
