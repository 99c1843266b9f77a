"""Embeddings: vectors with what is known of their images, and the network that made them.

:func:`embed` makes them of any image source; :class:`Embeddings` holds, writes and reads them
(:mod:`~syper_data.recognition.embedding_table` is the file). Vectors of two recognizers don't compare:
:func:`require_same_embedder` refuses them.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from syper_data.dataset.atomic import remove_leftovers
from syper_data.dataset.directory import COMPLETE, DATA, KEPT, MANIFEST
from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, UsageError
from syper_data.execution import open_pool
from syper_data.imaging.hub_source import HUB
from syper_data.imaging.source import ImageSource, SourceImage
from syper_data.recognition.bundled import find_recognizer
from syper_data.recognition.embedding_cache import EmbeddingCache, cache_folder, cache_key
from syper_data.recognition.embedding_table import (
    COLUMNS,
    EmbeddingsHeader,
    NotEmbedded,
    check_vectors,
    conformed,
    joined,
    read_blocks,
    read_header,
    write_table,
)
from syper_data.recognition.recognizer_file import RecognizerFile, read_recognizer

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Report = Callable[[int, int], None]

_SMALLEST_TASK, _LARGEST_TASK = 16, 256  # images; the first is a block of the embedder


@dataclass(frozen=True, eq=False)
class Embeddings:
    """``vectors`` float32 [n, d] of length 1, and ``table``, a row of metadata for each: ``source_id, subject,
    side, spectrum, sample`` (string or null), ``seed`` (int64), ``label`` (int32), ``pixel_sha256``.

    ``unreadable`` are the source's images that gave no vector. ``identities`` are the digests of the people that
    the recognizer was trained on (None: not known), ``spectrum`` that of its images. Absent columns become null.

    Raises:
        InputError: vectors that are not finite or not of length 1, or a table of other columns or length.
    """

    vectors: Vectors
    table: pa.Table
    embedder_sha256: str
    embedder_name: str
    unreadable: tuple[NotEmbedded, ...] = ()
    identities: frozenset[str] | None = None
    spectrum: str | None = None

    def __post_init__(self) -> None:
        check_vectors(self.vectors)
        if len(self.table) != len(self.vectors):
            raise InputError(f"{len(self.vectors)} embeddings and {len(self.table)} rows: must be as many")
        object.__setattr__(self, "table", conformed(self.table))

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def select(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Embeddings:
        """Those rows: numbers, in the order given, or one truth value a row."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        table = self.table.take(pa.array(index))
        return replace(self, vectors=self.vectors[index], table=table)

    @property
    def header(self) -> EmbeddingsHeader:
        """What a file of them says of itself."""
        return EmbeddingsHeader(
            len(self), self.dim, self.embedder_name, self.embedder_sha256, self.unreadable, self.identities,
            self.spectrum,
        )  # fmt: skip

    @classmethod
    def _of(cls, header: EmbeddingsHeader, table: pa.Table, vectors: Vectors) -> Embeddings:
        return cls(
            vectors, table, header.embedder_sha256, header.embedder_name, header.unreadable, header.identities,
            header.spectrum,
        )  # fmt: skip

    def write(self, path: str | Path) -> None:
        """Write one Parquet file, atomically; :meth:`read` reads it back."""
        write_table(Path(path), self.table, self.vectors, self.header)

    @classmethod
    def read(cls, path: str | Path) -> Embeddings:
        """Read and check a whole file.

        Raises:
            InputError: not there, damaged, no file of embeddings, or vectors that are not of length 1.
        """
        header = read_header(Path(path))
        table, vectors = joined(read_blocks(Path(path), header, 1 << 14), header)
        return cls._of(header, table, vectors)

    @classmethod
    def blocks(cls, path: str | Path, rows: int = 8192) -> Iterator[Embeddings]:
        """The file's rows in order, at most ``rows`` at a time, for files larger than memory.

        Raises:
            InputError: as :meth:`read`; damage shows at its block.
        """
        header = read_header(Path(path))
        for table, vectors in read_blocks(Path(path), header, rows):
            yield cls._of(header, table, vectors)


def require_same_embedder(*parts: Embeddings | EmbeddingsHeader) -> None:
    """Refuse vectors that different recognizers made.

    Raises:
        InputError: with both names and digests.
    """
    for part in parts[1:]:
        if part.embedder_sha256 != parts[0].embedder_sha256:
            names = [f"{p.embedder_name} (SHA-256 {p.embedder_sha256[:12]})" for p in (parts[0], part)]
            raise InputError(
                f"embeddings of different recognizers, {names[0]} and {names[1]}, do not compare; embed all "
                "images with one"
            )


def embed(
    images: str | Path | ImageSource,
    *,
    embedder: str | Path | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    mirrored: bool = False,
    workers: int | None = None,
    report: Report | None = None,
) -> Embeddings:
    """The embeddings of an image source; the same call again computes only what is new.

    ``images`` is a folder, Parquet, a dataset directory, ``hf:OWNER/NAME``, or an opened source;
    ``columns`` maps our column names to its own. Crops are square; those of ``side`` ``image_right`` are
    mirrored; ``mirrored`` mirrors all once more, for a search in the other orientation. ``embedder`` is a
    bundled name or a recognizer file, by default the teacher of the images' spectrum. ``out`` is the
    Parquet file to write. Computed vectors are kept in the folder ``cache``, by default ``OUT.cache``,
    under the digests of pixels and recognizer; also after a kill.

    ``report`` is called with images done and their number. All vectors are held in memory.

    Raises:
        UsageError: options out of range; nothing usable at ``images``; images of another spectrum.
        LockedError: another process is filling this cache.
        OutputError: the disk is full or the folder read-only; what was finished stays in the cache.
    """
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"--workers is {workers}: must lie in 1..1024")
    if isinstance(images, ImageSource) and columns:
        raise UsageError("columns belong to a path; an opened source has its own")
    target = None if out is None else Path(out)
    if target is not None and target.is_dir():
        raise UsageError(f"{target}: is a folder; give the name of the Parquet file to write")
    places = [Path(place) for place in (out, cache) if place is not None]
    _check_places(images.path if isinstance(images, ImageSource) else images, places)
    source = images if isinstance(images, ImageSource) else ImageSource.open(images, columns)
    if not len(source):
        raise InputError(f"{source.path}: holds no image")
    recognizer = read_recognizer(
        find_recognizer(embedder, spectrum=_spectrum(source) if embedder is None else "vis")
    )
    with _cache_root(target, cache) as root:
        folder = cache_folder(root, recognizer.sha256)
        with folder_lock(folder):
            remove_leftovers(folder)
            rows, lost = _compute(source, recognizer, folder, mirrored, workers, report)
            made = _gathered(source, rows, lost, recognizer, folder)
    if target is not None:
        made.write(target)
    return made


def _compute(
    source: ImageSource,
    recognizer: RecognizerFile,
    cache: Path,
    mirrored: bool,
    workers: int | None,
    report: Report | None,
) -> tuple[list[list[Any]], list[list[str]]]:
    """Rows of the table and images without one, in the source's order; the vectors go into the cache."""
    local = not source.path.startswith(HUB)
    setup = {
        "source": str(Path(source.path).resolve()) if local else source.path,
        "columns": dict(source.columns),
        "embedder": str(recognizer.path.resolve()),
        "sha256": recognizer.sha256,
        "cache": str(cache.resolve()),
        "mirrored": mirrored,
    }
    total, done = len(source), 0
    wanted = workers or os.cpu_count() or 1
    size = min(max(-(-total // (4 * wanted)), _SMALLEST_TASK), _LARGEST_TASK)
    tasks = [{"start": i, "stop": min(i + size, total)} for i in range(0, total, size)]
    answers: dict[int, dict[str, Any]] = {}
    job = "syper_data.recognition.embedding_worker:embed_ranges"
    with open_pool(job, setup, workers=min(wanted, len(tasks)), threads=1) as pool:
        for answer in pool.run(tasks):
            if "progress" in answer:
                done += answer["progress"]
                if report is not None:
                    report(done, total)
            else:
                answers[answer["task"]["start"]] = answer["result"]
    ordered = [answers[start] for start in sorted(answers)]
    return [row for part in ordered for row in part["rows"]], [entry for part in ordered for entry in part["lost"]]


def _gathered(
    source: ImageSource, rows: list[list[Any]], lost: list[list[str]], recognizer: RecognizerFile, folder: Path
) -> Embeddings:
    unreadable = tuple(NotEmbedded(*entry) for entry in lost)
    if not rows:
        raise InputError(
            f"{source.path}: none of its {len(source)} images could be embedded; the first: {unreadable[0].reason}"
        )
    keys = [cache_key(digest, mirrored) for *_, digest, mirrored in rows]
    vectors = EmbeddingCache(folder, recognizer.config.embedding_dim).vectors(keys)
    columns = list(zip(*rows, strict=True))[: len(COLUMNS)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, COLUMNS, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=COLUMNS)
    known = recognizer.identities if recognizer.identities_known else None
    return Embeddings(vectors, table, recognizer.sha256, recognizer.name, unreadable, known, recognizer.spectrum)


@contextmanager
def _cache_root(out: Path | None, cache: str | Path | None) -> Iterator[Path]:
    if cache is not None or out is not None:
        yield Path(cache) if cache is not None else Path(f"{out}.cache")
    else:
        with tempfile.TemporaryDirectory(prefix="syper-embed-") as scratch:
            yield Path(scratch)


def _spectrum(source: ImageSource) -> str:
    """The spectrum of the first image that says one, of those at the start; else visible light."""
    for entry in source.read(0, 32):
        if isinstance(entry, SourceImage) and entry.spectrum in ("vis", "nir"):
            return entry.spectrum
    return "vis"


def _check_places(given: str | Path, places: Sequence[Path]) -> None:
    """A dataset that is read must be whole, and what is written must not lie in what is read."""
    if str(given).startswith(HUB):
        return
    images = Path(given)
    dataset = (images / MANIFEST).is_file()
    if dataset and not any((images / record).is_file() for record in (COMPLETE, KEPT)):
        raise InputError(f"{images}: not complete; finish the dataset first, with the command that began it")
    root = images / DATA if dataset else images
    for place in places:
        if place.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{place}: lies inside {root}, which is read; choose a place outside of it")


def reasons(unreadable: Sequence[NotEmbedded]) -> list[tuple[str, int]]:
    """Reasons without their places, most frequent first."""
    return Counter(entry.reason.rsplit(": ", 1)[-1] for entry in unreadable).most_common()
