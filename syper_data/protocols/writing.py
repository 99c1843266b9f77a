"""A made protocol as files: ``protocol.yaml``, ``images.parquet`` and, where pairs are listed, one file a fold.

The folder appears whole or not at all. :mod:`syper_data.protocols.parquet_format` reads it back; the format is
described in decision 17. With ``ufpr`` the folder also holds UFPR-Periocular's text layout.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import yaml

import syper_data
from syper_data.dataset.atomic import atomic_folder, output_errors
from syper_data.errors import OutputError
from syper_data.imaging.source import MASKED
from syper_data.protocols.descriptor import MADE
from syper_data.protocols.made import MadeProtocol
from syper_data.protocols.parquet_format import (
    COLUMNS,
    IMAGES,
    ROLE_PREFIX,
    SCHEMA,
    pairs_file,
    read_descriptor,
)
from syper_data.protocols.protocol import Fold
from syper_data.protocols.table import ImageTable, written_out
from syper_data.protocols.ufpr_writing import write_ufpr

_WORLDS = {
    "closed_world": "closed world (the same people in training and test, on disjoint images)",
    "open_world": "open world, closed validation (other people in the test)",
    "open_world_valopen": "open world, open validation (other people in the test, others again in the validation)",
}


def write_protocol(protocol: MadeProtocol, out: Path, *, csv: bool = False, ufpr: bool = False) -> None:
    """Write the folder ``out``. One that holds the same protocol already is left as it is.

    ``csv`` writes the comparisons of each fold as a CSV list, also where a rule would do; ``ufpr`` adds
    ``experimentalProtocol/`` and ``names.csv``.

    Raises:
        OutputError: ``out`` holds another protocol or other files, or can't be written.
        UsageError: UFPR's layout can't say what the protocol does, or a list would be too long.
    """
    lists = "csv" if csv else "parquet" if protocol.rule.listed else None
    if lists and not protocol.rule.listed:
        folds = tuple(written_out(fold) for fold in protocol.folds)
        protocol = replace(protocol, folds=folds, rule=replace(protocol.rule, listed=True))
    descriptor = describe(protocol, lists=lists, ufpr=ufpr)
    if _is_there(out, descriptor):
        return
    with atomic_folder(out) as folder:
        descriptor["options"]["files"] = _write_files(protocol, folder, lists)
        if ufpr:
            write_ufpr(protocol, folder)
        text = yaml.safe_dump(descriptor, sort_keys=False, allow_unicode=True, width=110)
        (folder / MADE).write_text(text, "utf-8")


def describe(protocol: MadeProtocol, *, lists: str | None, ufpr: bool) -> dict[str, Any]:
    """The descriptor, but for the digests of the files beside it."""
    settings = protocol.settings
    subset = settings.kind if settings.across is None else f"{settings.kind}, across {settings.across}"
    source = protocol.source["name"]
    return {
        "name": protocol.name,
        "title": f"{source}: {_WORLDS[settings.kind]}",
        "dataset": source,
        "subset": subset,
        **({} if protocol.spectrum is None else {"spectrum": protocol.spectrum}),
        "reader": "parquet",
        "folds": [fold.name for fold in protocol.folds],
        "options": {
            "schema": SCHEMA,
            "images": IMAGES,
            "lists": lists,
            "key": list(protocol.key),
            "columns": {ours: theirs for ours, theirs in protocol.columns.items() if ours != MASKED},
            "comparisons": protocol.rule.record(),
            "subject_disjoint": bool(protocol.proof["subject_disjoint"]),
            "validation_subject_disjoint": bool(protocol.proof["validation_subject_disjoint"]),
            "fold_sha256": {fold.name: fold.sha256() for fold in protocol.folds},
        },
        "expects": {
            "images": len(protocol.table),
            "subjects": len(set(protocol.table.subject)),
            "folds": {name: [c["mated"], c["non_mated"]] for name, c in protocol.counts.items()},
            "basis": "measured",
        },
        "made": {
            "toolkit": f"syper-data {syper_data.__version__}",
            "command": command(protocol, csv=lists == "csv", ufpr=ufpr),
            "settings": settings.record(),
            "source": dict(protocol.source),
            "counts": {name: dict(values) for name, values in protocol.counts.items()},
            "subjects": {k: v for k, v in protocol.proof.items() if k.startswith("subjects_")},
            "unused": [dict(entry) for entry in protocol.unused],
        },
    }


def command(protocol: MadeProtocol, *, csv: bool, ufpr: bool) -> str:
    """The command that makes the protocol again; paths by their last part."""
    words = ["syper-data", "protocol", "make", str(protocol.source["name"]), "--out", protocol.name]
    defaults = {"kind": "open_world", "folds": 3, "seed": 0, "validation": 0.25, "enrol": 1, "unenrolled": 0.0}
    for option, value in protocol.settings.record().items():
        if option == "key":
            words += [word for name in value for word in ("--key", name)]
        elif value is not None and value != defaults.get(option):
            words += ["--" + option.replace("_", "-"), str(value)]
    words += [word for ours, theirs in protocol.columns.items() for word in ("--columns", f"{ours}={theirs}")]
    words += ["--csv"] * csv + ["--ufpr"] * ufpr
    return shlex.join(words)


def _is_there(out: Path, descriptor: dict[str, Any]) -> bool:
    """Whether ``out`` holds this very protocol; an empty folder is removed.

    Raises:
        OutputError: it holds something else.
    """
    with output_errors(out):
        if not out.exists():
            return False
        if not out.is_dir():
            raise OutputError(f"{out}: is a file, not a folder")
        if not any(out.iterdir()):
            out.rmdir()
            return False
    if not (out / MADE).is_file():
        raise OutputError(f"{out}: holds other files; name a folder that is empty or new")
    there = read_descriptor(out)
    files = there["options"].pop("files", None)
    if files is None or any(there.get(key) != descriptor.get(key) for key in ("name", "options", "made")):
        raise OutputError(f"{out}: holds another protocol, and is not changed; name another folder")
    return True


def _write_files(protocol: MadeProtocol, folder: Path, lists: str | None) -> dict[str, str]:
    pq.write_table(arrow_table(protocol.table), folder / IMAGES, compression="zstd", write_page_index=True)
    names = [IMAGES]
    for fold in protocol.folds if lists else ():
        name = pairs_file(fold.name, str(lists))
        names.append(name)
        if lists == "csv":
            with pacsv.CSVWriter(folder / name, _PAIRS, write_options=_CSV) as writer:
                for batch in _pairs(fold):
                    writer.write_batch(batch)
        else:
            with pq.ParquetWriter(folder / name, _PAIRS, compression="zstd") as parquet:
                for batch in _pairs(fold):
                    parquet.write_batch(batch)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


_PAIRS = pa.schema([("probe", pa.string()), ("reference", pa.string()), ("mated", pa.bool_())])
_CSV = pacsv.WriteOptions(quoting_style="needed")


def _pairs(fold: Fold) -> Iterator[pa.RecordBatch]:
    names = pa.array(fold.images, pa.string())
    for probe, reference, mated in fold.comparisons.blocks(fold):
        columns = [names.take(pa.array(probe)), names.take(pa.array(reference)), pa.array(mated)]
        yield pa.record_batch(columns, _PAIRS)


def arrow_table(table: ImageTable) -> pa.Table:
    """The images as ``images.parquet`` holds them: one column a label, one a fold."""
    columns: dict[str, Any] = {name: pa.array(getattr(table, name), pa.string()) for name in COLUMNS}
    columns |= {ROLE_PREFIX + fold: pa.array(roles, pa.string()) for fold, roles in table.roles.items()}
    return pa.table(columns)
