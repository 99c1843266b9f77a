"""The check before an export is called done: open it as a user would, offline, and compare.

``load_dataset(folder)`` runs in a process of its own, in which the Hub libraries are told to stay
offline and to cache in a folder that is removed afterwards. It must give the manifest's keys in
order, the source's digests, the schema's columns, and images that decode.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.dataset.manifest import Manifest
from syper_data.dataset.shards import SCHEMA
from syper_data.errors import VerificationError
from syper_data.execution import open_pool

DECODED = 200  # images decoded, evenly spread
CACHE_PREFIX = ".check-"

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
_COLUMNS = ("seed", "label", "spectrum", "pixel_sha256")


@dataclass
class ColumnDigests:
    """SHA-256 over the values of each column but the image, in row order."""

    def __post_init__(self) -> None:
        self._hashes = {name: hashlib.sha256() for name in _COLUMNS}
        self.rows = 0

    def add(self, columns: dict[str, list[Any]]) -> None:
        """Take in the next rows, ``columns`` holding a list of values for each name."""
        for name, digest in self._hashes.items():
            digest.update("".join(f"{value}\n" for value in columns[name]).encode("utf-8"))
        self.rows += len(columns["seed"])

    def to_dict(self) -> dict[str, str]:
        """Hexadecimal digests by column name."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


def expected_digests(manifest: Manifest, pixel_digests: Iterable[list[str]]) -> ColumnDigests:
    """What must come out: keys and spectrum of the manifest, pixel digests of the source's shards
    (one list a shard)."""
    expected = ColumnDigests()
    for shard, digests in zip(manifest.shards, pixel_digests, strict=True):
        keys = manifest.keys(shard.start, shard.start + shard.rows)
        expected.add(
            {
                "seed": [seed for seed, _ in keys],
                "label": [label for _, label in keys],
                "spectrum": [manifest.generator.spectrum] * len(keys),
                "pixel_sha256": digests,
            }
        )
    return expected


def check_export(folder: Path, manifest: Manifest, expected: ColumnDigests) -> None:
    """Open ``folder`` with ``load_dataset`` and raise :class:`VerificationError` at a difference."""
    cache = folder / f"{CACHE_PREFIX}{os.getpid()}"
    settings = manifest.settings
    setup = {
        "folder": str(folder.resolve()),
        "cache": str(cache.resolve()),
        "size": settings.output_size,
        "mode": settings.colour_mode,
        "lossless": settings.image_format == "png",
    }
    try:
        with open_pool("syper_data.publishing.check:load_back", setup, workers=1, threads=1) as pool:
            found = next(answer["result"] for answer in pool.run([{}]) if "result" in answer)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if found["rows"] != expected.rows:
        raise VerificationError(f"{folder}: load_dataset gives {found['rows']} rows, not {expected.rows}")
    features = json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]
    if found["features"] != {name: _kind(value) for name, value in features.items()}:
        raise VerificationError(f"{folder}: load_dataset gives the columns {found['features']}")
    for name, digest in expected.to_dict().items():
        if found["digests"][name] != digest:
            raise VerificationError(f"{folder}: load_dataset gives another column {name} than the dataset's")
    if found["wrong"] is not None:
        raise VerificationError(f"{folder}: {found['wrong']}")


def load_back(setup: dict[str, Any]) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Job: load the folder of ``setup`` and describe what came; runs in a worker process only."""
    os.environ.update(_OFFLINE, HF_HOME=setup["cache"])  # before the first import of the libraries

    def handle(task: dict[str, Any], progress: Any) -> dict[str, Any]:
        import datasets

        folder = setup["folder"]
        try:
            dataset = datasets.load_dataset(folder, split="train", cache_dir=setup["cache"])
        except Exception as error:  # whatever stops a user from loading it is a failed check
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise VerificationError(f"{folder}: load_dataset fails: {reason}") from error
        digests = ColumnDigests()
        for batch in dataset.select_columns(list(_COLUMNS)).with_format("arrow").iter(batch_size=1000):
            digests.add(batch.to_pydict())
        return {
            "rows": len(dataset),
            "features": {name: _kind(value) for name, value in dataset.features.to_dict().items()},
            "digests": digests.to_dict(),
            "wrong": _first_wrong_image(dataset, setup),
        }

    return handle


def _kind(feature: dict[str, Any]) -> str:
    """A feature's type as text: ``Image``, or the dtype of a value."""
    return str(feature["_type"] if feature["_type"] != "Value" else feature["dtype"])


def _first_wrong_image(dataset: Any, setup: dict[str, Any]) -> str | None:
    import numpy as np

    count = min(DECODED, len(dataset))
    for row in sorted({i * (len(dataset) - 1) // max(count - 1, 1) for i in range(count)}):
        try:
            values = dataset[row]
            image = values["image"]
            image.load()
        except Exception as error:  # Pillow's decoders raise many types on damaged data
            return f"row {row}: the image does not decode ({type(error).__name__})"
        if image.size != (setup["size"], setup["size"]) or image.mode != setup["mode"]:
            return f"row {row}: {image.mode} {image.width}x{image.height}, not what the manifest says"
        if setup["lossless"]:
            digest = hashlib.sha256(np.asarray(image).tobytes()).hexdigest()
            if digest != values["pixel_sha256"]:
                return f"row {row}: the pixels are not those recorded"
    return None
