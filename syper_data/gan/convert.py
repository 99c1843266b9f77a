"""Converts published StyleGAN2-ADA network pickles to generator files, without running them.

In: ``network.pkl`` as the published PyTorch code writes it. Out: ``generator.safetensors``
(:mod:`~syper_data.gan.generator_file`). Start at :func:`convert`. The pickle's bytes go through
:mod:`~syper_data.gan.published.restricted_pickle`, which gives plain data, and
:mod:`~syper_data.gan.published.published_generator`, which checks it and takes the averaged generator ``G_ema``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import output_errors
from syper_data.errors import InputError, UsageError
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import save_generator
from syper_data.gan.published.network_pickle import PersistentObject, read_network_pickle
from syper_data.gan.published.published_generator import build_generator
from syper_data.gan.published.refusal import RefusalError, RefusedNameError, refuse, shown
from syper_data.imaging.spectrum import SPECTRA

_TENSORFLOW = ("dnnlib.tflib", "tensorflow", "tfutil")
_TENSORFLOW_REASON = (
    "holds TensorFlow networks; convert it to a PyTorch pickle first, with the legacy converter "
    "(legacy.py) of the published StyleGAN2-ADA PyTorch code"
)


def convert(source: str | Path, target: str | Path, *, spectrum: str = "vis") -> Path:
    """Write the generator in the network pickle ``source`` as generator file ``target``; return its path.

    ``spectrum`` is what the network's images show: ``vis`` (visible light) or ``nir`` (near infrared).
    Missing folders are made, an existing ``target`` is replaced once all is checked. Nothing in
    ``source`` is executed or imported. The same source gives the same bytes.

    Raises:
        InputError: ``source`` is unreadable, damaged, hostile, or not a StyleGAN2-ADA generator.
        UsageError: an unknown spectrum, or ``target`` is ``source``.
        OutputError: ``target`` can't be written.
    """
    source, target = Path(source), Path(target)
    if spectrum not in SPECTRA:
        raise UsageError(f"spectrum is {spectrum!r}: must be vis or nir")
    data = _read(source)
    with output_errors(target):
        same = target.exists() and target.samefile(source)
    if same:
        raise UsageError(f"{target}: is the file to convert; give the result another name")
    try:
        generator = _generator(data)
    except RefusedNameError as error:
        tensorflow = error.module.startswith(_TENSORFLOW)
        raise InputError(f"{source}: {_TENSORFLOW_REASON if tensorflow else error}") from error
    except RefusalError as error:
        raise InputError(f"{source}: {error}") from error
    summary = {"converted_from": {"name": source.name, "sha256": hashlib.sha256(data).hexdigest()}}
    save_generator(generator, target, spectrum=spectrum, summary=summary)
    return target


def _read(source: Path) -> bytes:
    try:
        if source.exists() and not source.is_file():  # a pipe or device would never end
            raise InputError(f"{source}: is {'a folder' if source.is_dir() else 'no regular file'}")
        return source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror or error}") from error


def _generator(data: bytes) -> Generator:
    """The generator in a network pickle; a :class:`RefusalError` says why there is none."""
    value: Any = read_network_pickle(data)
    root = value
    if type(value) is dict:
        if "G_ema" not in value:
            keys = ", ".join(shown(key) for key in list(value)[:5])
            refuse(f"no 'G_ema' among its keys ({keys or 'none'}): not a StyleGAN2-ADA network pickle")
        root = value["G_ema"]
    if type(root) is not PersistentObject:
        what = "its G_ema is" if type(value) is dict else "a pickle of"
        refuse(f"{what} {shown(root)}, not a StyleGAN2-ADA generator")
    return build_generator(root, len(data))
