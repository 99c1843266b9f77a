"""``export_hf``: a complete dataset directory to a folder fit for publishing, and to a Hub."""

from __future__ import annotations

import bisect
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from syper_data.dataset.atomic import atomic_path, remove_leftovers
from syper_data.dataset.directory import (
    COMPLETE,
    DATA,
    KEPT,
    MANIFEST,
    REJECTED,
    TOPUPS,
    Completion,
    DatasetDirectory,
    PlannedShard,
    ShardRecord,
    topup_path,
)
from syper_data.dataset.kept import REJECTED_FILE, KeptRecord
from syper_data.dataset.lock import folder_lock
from syper_data.dataset.shards import check_shard, file_sha256, open_shard, require_recorded
from syper_data.errors import InputError, OutputError, UsageError, VerificationError
from syper_data.filtering.ledger import LEDGER, Ledger, read_ledger
from syper_data.imaging.codec import decode_rgb
from syper_data.publishing.card import Publication, render_card
from syper_data.publishing.carried_plan import (
    PLAN_FILES,
    carry_completion,
    carry_plans,
    no_stub,
    write_if_other,
)
from syper_data.publishing.check import CACHE_PREFIX, ColumnDigests, check_export
from syper_data.publishing.croissant import CROISSANT, render_croissant
from syper_data.publishing.filtered import KeptWriter, planned_shards, write_rejected
from syper_data.publishing.hub import check_repo_id, dataset_url, push, require_token
from syper_data.rendering.sheet import contact_sheet, encode_sheet

Report = Callable[[str, int, int], None]

CARD, SHEET = "README.md", "contact-sheet.png"
SHEET_COLUMNS, SHEET_ROWS, SHEET_TILE = 8, 5, 128

_SMALL_FILES = (*PLAN_FILES, CARD, CROISSANT, SHEET)


def export_hf(
    path: str | Path,
    *,
    out: str | Path | None = None,
    repo_id: str | None = None,
    private: bool = False,
    license: str = "other",
    pretty_name: str | None = None,
    report: Report | None = None,
) -> Path:
    """Publish the dataset directory ``path`` and return the exported folder.

    The folder (``out``; by default ``path`` with ``-export`` added to its name) gets the shards as
    they are, or of a filtered dataset the kept images with their scores and the list of the rejected
    keys (the configuration ``rejected``), the manifest and the plans of top-ups, ``README.md``, a contact
    sheet and ``croissant.json``. It is opened with ``load_dataset``, offline, and compared with the
    dataset; then it gets the completion record (``kept.json`` where it holds kept images only), with which
    ``verify`` checks it, also after a download. With ``repo_id`` ("OWNER/NAME") it is pushed to the Hub of
    ``HF_ENDPOINT``. The same call again sends only what is missing; the card and the other
    descriptions are always written anew.

    ``license`` is a Hub licence id. Croissant's name is the repository's, else the dataset
    folder's. ``report`` is called with a stage ("copying", "checking",
    "uploading"), the images done in it and their total.

    Raises:
        UsageError: neither ``out`` nor ``repo_id``; a folder that is no earlier export; no token.
        InputError: no dataset, or not complete. VerificationError: its shards are not those recorded,
            or what was written does not load back equal.
        LockedError: another process is exporting there. OutputError: the disk is full or read-only.
        SyperError: the Hub or the network failed; the same call continues.
    """
    dataset = DatasetDirectory.open(Path(path))
    folder = _choose_folder(dataset.path, out, repo_id)
    if repo_id is not None:
        check_repo_id(repo_id)
    elif private:
        raise UsageError("--private: nothing is pushed without --repo-id")
    completion = dataset.require_complete()
    ledger = read_ledger(dataset) if dataset.topups or (dataset.path / LEDGER).exists() else None
    publication = Publication(
        dataset.manifest,
        dataset.manifest_sha256,
        completion,
        license=license,
        pretty_name=pretty_name,
        name=_short_name(repo_id or dataset.path.resolve().name),
        repo_id=repo_id,
        url=None if repo_id is None else dataset_url(repo_id),
        ledger=ledger,
        topups=dataset.topups,
    )
    if repo_id is not None:
        require_token()
    _require_own(folder, dataset, ledger)
    with no_stub(folder), folder_lock(folder):
        _require_own(folder, dataset, ledger)
        _clean(folder)
        carry_plans(dataset, folder)
        publication, expected = _write_shards(dataset, completion, publication, folder, report)
        _describe(folder, publication)
        rejected = None if publication.rejected is None else publication.rejected.rows
        _report(report, "checking", 0, expected.rows)
        check_export(folder, dataset.manifest, expected, publication.schema, rejected)
        kept = None if ledger is None else KeptRecord(publication.completion, publication.rejected)
        carry_completion(dataset, folder, kept)
        _report(report, "checking", expected.rows, expected.rows)
        if repo_id is not None:
            push(folder, repo_id, _pushed(publication), private=private, report=report)
    return folder


def _pushed(publication: Publication) -> dict[str, int]:
    """Every file of the export, with its images."""
    names = [*_SMALL_FILES, *(f"{TOPUPS}/{i + 1:04d}.json" for i in range(len(publication.topups)))]
    names.remove(KEPT if publication.ledger is None else COMPLETE)
    if publication.rejected is not None:
        names.append(publication.rejected.name)
    return dict.fromkeys(names, 0) | {f"{DATA}/{s.name}": s.rows for s in publication.completion.shards}


def _short_name(name: str) -> str:
    """The last part of OWNER/NAME, or a folder's name, in the letters that Croissant allows."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.rpartition("/")[2]).strip("-") or "syper"


def _choose_folder(source: Path, out: str | Path | None, repo_id: str | None) -> Path:
    if out is None and repo_id is None:
        raise UsageError("say where to: --out DIR, --repo-id OWNER/NAME or both")
    there = source.resolve()
    folder = there.with_name(f"{there.name}-export") if out is None else Path(out)
    here = folder.resolve()
    if here == there or there in here.parents or here in there.parents:
        raise UsageError(f"--out is {folder}: must lie outside the dataset {source}, and not around it")
    if set("*?[]") & set(str(here)):
        raise UsageError(f"{here}: load_dataset takes * ? [ ] in a path for a pattern; choose another --out")
    return folder


def _require_own(folder: Path, dataset: DatasetDirectory, ledger: Ledger | None) -> None:
    """Refuse a folder that holds anything but an earlier, perhaps unfinished, export of ``dataset``."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder")
    there = [p for p in folder.glob("*") if not p.name.startswith(".")]
    if not there:
        return
    manifest = folder / MANIFEST
    if not manifest.is_file() or file_sha256(manifest) != dataset.manifest_sha256:
        raise UsageError(f"{folder}: is not empty and no earlier export of {dataset.path}; choose another --out")
    planned = {s.name for s in dataset.shards}
    folders = {DATA}
    if ledger is not None:
        planned = {name for name, _ in planned_shards(dataset, ledger)}
        folders |= {TOPUPS, REJECTED}
    strangers = [p for p in there if p.name not in (*_SMALL_FILES, *folders)]
    strangers += [p for p in (folder / DATA).glob("*") if p.name[0] != "." and p.name not in planned]
    ours = {topup_path(folder, i) for i in range(len(dataset.topups))}
    if ledger is not None and ledger.kept < len(dataset):
        ours.add(folder / REJECTED_FILE)
    further = [p for part in (TOPUPS, REJECTED) for p in (folder / part).glob("*") if p.name[0] != "."]
    strangers += [p for p in further if p not in ours]
    if strangers:
        raise UsageError(
            f"{min(strangers)}: is no part of an export of {dataset.path}; move it away or choose another --out"
        )


def _clean(folder: Path) -> None:
    """Remove what a killed run left."""
    for place in (folder, folder / DATA, folder / TOPUPS, folder / REJECTED):
        remove_leftovers(place)
    for cache in folder.glob(f"{CACHE_PREFIX}*"):
        shutil.rmtree(cache, ignore_errors=True)


def _write_shards(
    dataset: DatasetDirectory,
    completion: Completion,
    publication: Publication,
    folder: Path,
    report: Report | None,
) -> tuple[Publication, ColumnDigests]:
    """The publication with what it holds, and what must load back."""
    if publication.ledger is None:
        num_bytes, expected = _copy_shards(dataset, completion, folder, report)
        return replace(publication, num_bytes=num_bytes), expected

    def checked() -> Iterator[PlannedShard]:
        for shard, record in zip(dataset.shards, completion.shards, strict=True):
            _report(report, "copying", shard.start, len(dataset))
            _read_source(dataset, shard, record)
            yield shard

    _check_space(folder, 2 * sum(record.bytes for record in completion.shards))
    writer = KeptWriter(dataset, publication.ledger, folder)
    names = [name for name in publication.schema.names if name != "image"]
    records, expected = [], ColumnDigests(names)
    for record, columns in writer.write(checked()):
        records.append(record)
        expected.add(columns.to_pydict())
    rejected = write_rejected(publication.ledger, folder)
    _report(report, "copying", len(dataset), len(dataset))
    published = replace(publication.completion, shards=tuple(records))
    return replace(publication, completion=published, rejected=rejected, num_bytes=writer.num_bytes), expected


def _copy_shards(
    dataset: DatasetDirectory, completion: Completion, folder: Path, report: Report | None
) -> tuple[int, ColumnDigests]:
    """Copy what is not there yet; the rows' size in memory, and what must load back."""
    shards = list(zip(dataset.shards, completion.shards, strict=True))
    missing = [record for shard, record in shards if not _is_there(folder / DATA / shard.name, record)]
    _check_space(folder, sum(r.bytes for r in missing) + sum(r.bytes for _, r in shards))
    names, num_bytes, expected = {r.name for r in missing}, 0, ColumnDigests()
    for shard, record in shards:
        _report(report, "copying", shard.start, len(dataset))
        source = dataset.shard_path(shard)
        size, digests = _read_source(dataset, shard, record)
        num_bytes += size
        expected.add_planned(dataset.manifest, shard.shard, digests)
        if record.name in names:
            _copy(source, folder / DATA / shard.name, record)
    _report(report, "copying", len(dataset), len(dataset))
    return num_bytes, expected


def _is_there(path: Path, record: ShardRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.bytes and file_sha256(path) == record.sha256


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder}: {free / 1e6:.0f} MB free, the export and its check need {needed / 1e6:.0f} MB"
        )


def _read_source(dataset: DatasetDirectory, shard: PlannedShard, record: ShardRecord) -> tuple[int, list[str]]:
    """Check a shard against its record and the manifest; its size in memory and pixel digests."""
    path = dataset.shard_path(shard)
    require_recorded(path, record.sha256, COMPLETE, record.bytes)
    try:
        check_shard(path, shard.keys())
    except InputError as error:
        raise VerificationError(str(error)) from None
    file, num_bytes, digests = open_shard(path), 0, []
    for group in range(file.metadata.num_row_groups):
        table = file.read_row_group(group)
        num_bytes += table.nbytes
        digests += table["pixel_sha256"].to_pylist()
    return num_bytes, digests


def _copy(source: Path, target: Path, record: ShardRecord) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
        if file_sha256(temporary) != record.sha256:
            raise OutputError(f"{target}: reads back with other bytes than {source}: is the disk sound?")


def _describe(folder: Path, publication: Publication) -> None:
    """Write contact sheet, card and Croissant record; those that are right already stay."""
    sheet, images = _contact_sheet(folder, publication)
    write_if_other(folder / SHEET, sheet)
    write_if_other(folder / CARD, render_card(publication, SHEET, images).encode("utf-8"))
    size = (folder / MANIFEST).stat().st_size
    text = render_croissant(publication, size, _first_published(folder / CROISSANT))
    write_if_other(folder / CROISSANT, text.encode("utf-8"))


def _contact_sheet(folder: Path, publication: Publication) -> tuple[bytes, int]:
    manifest = publication.manifest
    total, shards = publication.rows, publication.completion.shards
    count = min(SHEET_COLUMNS * SHEET_ROWS, total)
    starts = [0, *itertools.accumulate(shard.rows for shard in shards)]
    images = []
    for i in range(count):
        row = i * total // count
        number = bisect.bisect_right(starts, row) - 1
        path = folder / DATA / shards[number].name
        data = _image_bytes(path, row - starts[number], publication.schema)
        images.append(decode_rgb(data, f"{path}, row {row - starts[number]}"))
    tile = SHEET_TILE if manifest.settings.output_size > SHEET_TILE else None
    return encode_sheet(contact_sheet(images, min(SHEET_COLUMNS, count), tile)), count


def _image_bytes(path: Path, row: int, schema: Any) -> bytes:
    file = open_shard(path, schema)
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            image = file.read_row_group(group, columns=["image"])["image"][row].as_py()
            return (image or {}).get("bytes") or b""
        row -= rows
    raise InputError(f"{path}: fewer rows than the manifest plans")


def _first_published(croissant: Path) -> str:
    """The date in an earlier export's record, so that the same export stays the same file; or today."""
    try:
        return date.fromisoformat(json.loads(croissant.read_bytes())["datePublished"]).isoformat()
    except (OSError, ValueError, TypeError, KeyError):
        return datetime.now(UTC).date().isoformat()


def _report(report: Report | None, stage: str, done: int, total: int) -> None:
    if report is not None:
        report(stage, done, total)
