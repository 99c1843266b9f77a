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
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from syper_data.dataset.manifest import Manifest, Shard
from syper_data.dataset.shards import SCHEMA
from syper_data.errors import SyperError, VerificationError
from syper_data.execution import module_command

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


class ColumnDigests:
    """SHA-256 over the values of each column but the image, in row order."""

    def __init__(self, names: Sequence[str] = _COLUMNS) -> None:
        self._hashes = {name: hashlib.sha256() for name in names}
        self.rows = 0

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self._hashes)

    def add(self, columns: dict[str, list[Any]]) -> None:
        """Take in the next rows, ``columns`` holding a list of values for each name."""
        for name, digest in self._hashes.items():
            digest.update("".join(f"{value}\n" for value in columns[name]).encode("utf-8"))
        self.rows += len(columns["seed"])

    def add_planned(self, manifest: Manifest, shard: Shard, pixel_sha256: list[str]) -> None:
        """Take in a shard's rows as they must be: the manifest's keys and spectrum, these digests."""
        keys = manifest.keys(shard.start, shard.start + shard.rows)
        self.add(
            {
                "seed": [seed for seed, _ in keys],
                "label": [label for _, label in keys],
                "spectrum": [manifest.generator.spectrum] * len(keys),
                "pixel_sha256": pixel_sha256,
            }
        )

    def to_dict(self) -> dict[str, str]:
        """Hexadecimal digests by column name."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


def check_export(
    folder: Path, manifest: Manifest, expected: ColumnDigests, schema: Any = SCHEMA, rejected: int | None = None
) -> None:
    """Open ``folder`` with ``load_dataset`` and raise :class:`VerificationError` at a difference.

    ``rejected`` is the number of rows that the configuration of that name must have; None: there is none.
    """
    cache = folder.resolve() / f"{CACHE_PREFIX}{os.getpid()}"
    settings = manifest.settings
    question = {
        "folder": str(folder.resolve()),
        "cache": str(cache),
        "parent": os.getpid(),
        "size": settings.output_size,
        "mode": settings.colour_mode,
        "lossless": settings.image_format == "png",
        "names": expected.names,
        "rejected": rejected,
    }
    try:
        found = _ask_child(question)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    if "failure" in found:
        raise VerificationError(f"{folder}: {found['failure']}")
    if found["rows"] != expected.rows:
        raise VerificationError(f"{folder}: load_dataset gives {found['rows']} rows, not {expected.rows}")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    if found["features"] != {name: _kind(value) for name, value in features.items()}:
        raise VerificationError(f"{folder}: load_dataset gives the columns {found['features']}")
    for name, digest in expected.to_dict().items():
        if found["digests"][name] != digest:
            raise VerificationError(f"{folder}: load_dataset gives another column {name} than the dataset's")


def _ask_child(question: dict[str, Any]) -> dict[str, Any]:
    child = subprocess.run(
        module_command("syper_data.publishing.check"),
        input=json.dumps(question),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if child.returncode:
        words = child.stderr.strip().splitlines() or ["no message"]
        raise SyperError(f"{question['folder']}: the check ended with code {child.returncode}: {words[-1]}")
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """The child: read the question from standard input, write the answer as the last line."""
    question = json.loads(sys.stdin.read())
    threading.Thread(target=_end_with, args=(question["parent"],), daemon=True).start()
    os.environ.update(_OFFLINE, HF_HOME=question["cache"])  # before the first import of the libraries
    with redirect_stdout(sys.stderr):
        answer = load_back(question)
    print(json.dumps(answer), flush=True)


def load_back(question: dict[str, Any]) -> dict[str, Any]:
    """Load the folder as a user does and describe what came, or why nothing did (``failure``)."""
    import datasets

    try:
        dataset = datasets.load_dataset(question["folder"], split="train", cache_dir=question["cache"])
    except Exception as error:  # whatever stops a user from loading it is a failed check
        return {"failure": f"load_dataset fails: {_reason(error)}"}
    wrong = _first_wrong_image(dataset, question) or _wrong_rejected(question)
    if wrong is not None:
        return {"failure": wrong}
    digests = ColumnDigests(question["names"])
    for batch in dataset.select_columns(question["names"]).with_format("arrow").iter(batch_size=1000):
        digests.add(batch.to_pydict())
    return {
        "rows": len(dataset),
        "features": {name: _kind(value) for name, value in dataset.features.to_dict().items()},
        "digests": digests.to_dict(),
    }


def _end_with(parent: int) -> None:
    """End this process soon after its parent, however that died."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _reason(error: BaseException) -> str:
    """The first line of what lies at the bottom of an error."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _kind(feature: dict[str, Any]) -> str:
    """A feature's type as text: ``Image``, or the dtype of a value."""
    return str(feature["_type"] if feature["_type"] != "Value" else feature["dtype"])


def _first_wrong_image(dataset: Any, question: dict[str, Any]) -> str | None:
    import numpy as np

    count = min(DECODED, len(dataset))
    for row in sorted({i * (len(dataset) - 1) // max(count - 1, 1) for i in range(count)}):
        try:
            values = dataset[row]
            image = values["image"]
            image.load()
        except Exception as error:  # Pillow's decoders raise many types on damaged data
            return f"row {row}: the image does not decode ({type(error).__name__})"
        if image.size != (question["size"], question["size"]) or image.mode != question["mode"]:
            return f"row {row}: {image.mode} {image.width}x{image.height}, not what the manifest says"
        if question["lossless"]:
            digest = hashlib.sha256(np.asarray(image).tobytes()).hexdigest()
            if digest != values["pixel_sha256"]:
                return f"row {row}: the pixels are not those recorded"
    return None


def _wrong_rejected(question: dict[str, Any]) -> str | None:
    if question["rejected"] is None:
        return None
    import datasets

    folder, cache = question["folder"], question["cache"]
    try:
        rows = len(datasets.load_dataset(folder, "rejected", split="train", cache_dir=cache))
    except Exception as error:  # as above
        return f"load_dataset fails on the configuration rejected: {_reason(error)}"
    return None if rows == question["rejected"] else f"{rows} rejected keys, not {question['rejected']}"


if __name__ == "__main__":
    main()
