"""The images that lie in a folder, each checked, and the row of the plan that each is.

A dataset holds every row of its plan. An export of kept images holds some, and the list of the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from syper_data.dataset.directory import COMPLETE, DATA, KEPT, REJECTED, Completion, DatasetDirectory, ShardRecord
from syper_data.dataset.kept import KeptRecord
from syper_data.dataset.manifest import sha256_hex
from syper_data.dataset.shards import SCHEMA, open_shard, read_shard, require_recorded
from syper_data.errors import InputError, VerificationError
from syper_data.imaging.codec import decode
from syper_data.sampling.environment import drift_tolerance
from syper_data.sampling.render import pixel_sha256

Key = tuple[int, int | None]
_LOSSLESS = ("png",)


class StoredImages:
    """The images of ``dataset`` as ``record`` lists them; ``kept`` is the record of an export that has not all.

    ``places`` are their rows in the plan, rising, and ``digests`` their recorded pixels, as far as they were
    checked.
    """

    def __init__(self, dataset: DatasetDirectory, record: Completion, kept: KeptRecord | None) -> None:
        self.dataset, self.record, self.kept = dataset, record, kept
        self.places: Sequence[int] = range(len(dataset)) if kept is None else []
        self.digests: list[str] = []
        self._source = COMPLETE if kept is None else KEPT
        self._starts = [0]
        for shard in record.shards:
            self._starts.append(self._starts[-1] + shard.rows)
        self._keys = dataset.keys()
        self._index = {} if kept is None else {key: place for place, key in enumerate(self._keys)}
        self._schema: pa.Schema | None = SCHEMA if kept is None else None
        self._shard: int | None = None
        self._images: list[bytes] = []

    def __len__(self) -> int:
        """Images listed."""
        return self._starts[-1]

    def check_names(self) -> None:
        """Raise :class:`VerificationError` where a shard lies there that is not listed."""
        folder = self.dataset.path
        listed = {folder / DATA / shard.name for shard in self.record.shards}
        if self.kept is not None and self.kept.rejected is not None:
            listed.add(folder / self.kept.rejected.name)
        for path in sorted(p for part in (DATA, REJECTED) for p in (folder / part).rglob("*")):
            if path.suffix.lower() == ".parquet" and path not in listed and not path.name.startswith("."):
                lists = "the manifest does not plan" if self.kept is None else f"{KEPT} does not list"
                raise VerificationError(f"{path}: a shard that {lists}")

    def check(self, seen: Callable[[int], None]) -> None:
        """Read every file and row; ``seen`` is told how many images were read.

        Raises:
            VerificationError: the first thing that is not as it was recorded.
        """
        folder = self.dataset.path / DATA
        for shard in self.record.shards:
            require_recorded(folder / shard.name, shard.sha256, self._source, shard.bytes)
            self._check_rows(folder / shard.name, shard)
            seen(len(self.digests))
        if self.kept is not None:
            self._check_rejected(self.kept)

    def _check_rows(self, path: Path, shard: ShardRecord) -> None:
        settings = self.dataset.manifest.settings
        channels = 1 if settings.colour_mode == "L" else 3
        shape = (settings.output_size, settings.output_size, channels)
        try:
            if self._schema is None:
                self._schema = _with_scores(path)
            found = open_shard(path, self._schema).metadata.num_rows
        except InputError as error:
            raise VerificationError(str(error)) from None
        if found != shard.rows:
            says = "the manifest plans" if self.kept is None else f"{KEPT} says"
            raise VerificationError(f"{path}: {found} rows, {says} {shard.rows}")
        for row, values in enumerate(read_shard(path, SCHEMA.names, schema=self._schema)):
            where = self._placed((values["seed"], values["label"]), path, row)
            if values["spectrum"] != self.dataset.manifest.generator.spectrum:
                raise VerificationError(f"{where}: spectrum is {values['spectrum']!r}")
            try:
                pixels = decode((values["image"] or {}).get("bytes") or b"", settings.colour_mode, where)
            except InputError as error:
                raise VerificationError(str(error)) from None
            if pixels.shape != shape:
                raise VerificationError(
                    f"{where}: {pixels.shape[1]}x{pixels.shape[0]} pixels, not {shape[1]}x{shape[0]}"
                )
            if settings.image_format in _LOSSLESS and pixel_sha256(pixels) != values["pixel_sha256"]:
                raise VerificationError(f"{where}: the pixels are not those recorded")
            self.digests.append(str(values["pixel_sha256"]))

    def _placed(self, key: Key, path: Path, row: int) -> str:
        """Note the next row's place in the plan; where it lies, for messages."""
        if self.kept is None:
            planned = self._keys[len(self.digests)]
            where = f"{path}, row {row} ({_key(planned)})"
            if key != planned:
                raise VerificationError(f"{where}: holds {_key(key)}")
            return where
        place = self._planned(key, f"{path}, row {row}")
        assert isinstance(self.places, list)
        if self.places and place <= self.places[-1]:
            raise VerificationError(f"{path}, row {row}: {_key(key)} comes twice, or not in the plan's order")
        self.places.append(place)
        return f"{path}, row {row} ({_key(key)})"

    def _planned(self, key: Key, where: str) -> int:
        place = self._index.get(key)
        if place is None:
            raise VerificationError(f"{where}: {_key(key)} is not in the plan")
        return place

    def _check_rejected(self, record: KeptRecord) -> None:
        """Kept and rejected keys must be those of the plan, each once."""
        left = set(range(len(self._keys))) - set(self.places)
        if record.rejected is not None:
            path = self.dataset.path / record.rejected.name
            require_recorded(path, record.rejected.sha256, self._source, record.rejected.bytes)
            keys = _keys(path)
            if len(keys) != record.rejected.rows:
                raise VerificationError(f"{path}: {len(keys)} rows, {KEPT} says {record.rejected.rows}")
            for row, key in enumerate(keys):
                place = self._planned(key, f"{path}, row {row}")
                if place not in left:
                    raise VerificationError(f"{path}, row {row}: {_key(key)} is kept, or comes twice")
                left.remove(place)
        if left:
            raise VerificationError(
                f"{self.dataset.path}: {len(left)} of the {len(self._keys)} planned images are neither kept nor "
                f"rejected, {_key(self._keys[min(left)])} first"
            )

    def require_equal(self, row: int, pixels: str, encoded: str) -> None:
        """Raise unless stored image ``row`` is the one made again: digests of its pixels and of its bytes."""
        image, where = self._at(row)
        if pixels != self.digests[row]:
            raise VerificationError(f"{where}: made again, the pixels differ from those recorded")
        if sha256_hex(image) != encoded:
            raise VerificationError(f"{where}: made again, the encoded image differs from the one stored")

    def compare(self, row: int, remade: bytes) -> int:
        """The largest difference in levels to the image made on another kind of machine; an error above the
        tolerance."""
        image, where = self._at(row)
        settings = self.dataset.manifest.settings
        difference = _levels(
            decode(image, settings.colour_mode, where), decode(remade, settings.colour_mode, where)
        )
        tolerance = drift_tolerance(settings.precision)
        if difference > tolerance:
            raise VerificationError(
                f"{where}: made again here it differs by {difference} levels, "
                f"more than the {tolerance} that another kind of machine explains"
            )
        return difference

    def _at(self, row: int) -> tuple[bytes, str]:
        number = bisect_right(self._starts, row) - 1
        path = self.dataset.path / DATA / self.record.shards[number].name
        if self._shard != number:
            self._images = [bytes(image) for image in self._read(path)]
            self._shard = number
        local = row - self._starts[number]
        return self._images[local], f"{path}, row {local} ({_key(self._keys[self.places[row]])})"

    def _read(self, path: Path) -> Iterator[bytes]:
        assert self._schema is not None
        for values in read_shard(path, ["image"], schema=self._schema):
            yield values["image"]["bytes"]


def _with_scores(path: Path) -> pa.Schema:
    """A dataset shard's columns and, behind them, columns of numbers."""
    try:
        found = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: truncated or damaged ({str(error).splitlines()[0]})") from error
    twice = [name for name in found.names if found.names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: has the column {twice[0]} more than once")
    further = [found.field(i) for i in range(len(SCHEMA), len(found))]
    numbers = [
        pa.types.is_floating(f.type) or pa.types.is_integer(f.type) or pa.types.is_boolean(f.type) for f in further
    ]
    if not all(numbers):
        raise InputError(f"{path}: its column {further[numbers.index(False)].name} holds no numbers")
    return pa.schema([*SCHEMA, *further])


def _keys(path: Path) -> list[Key]:
    """The keys in a list of rejected images."""
    try:
        table = pq.read_table(path, columns=["seed", "label"])
        whole = all(pa.types.is_integer(kind) for kind in table.schema.types) and len(table.schema) == 2
    except (pa.ArrowException, OSError, KeyError) as error:
        raise VerificationError(f"{path}: no list of keys ({str(error).splitlines()[0]})") from error
    if not whole:
        raise VerificationError(f"{path}: no list of keys (seed and label are {table.schema.types})")
    return list(zip(table["seed"].to_pylist(), table["label"].to_pylist(), strict=True))


def _levels(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    return int(np.abs(a.astype(np.int16) - b.astype(np.int16)).max()) if a.shape == b.shape else 255


def _key(key: Key) -> str:
    return f"seed {key[0]}, label {'null' if key[1] is None else key[1]}"
