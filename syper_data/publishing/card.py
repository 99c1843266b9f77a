"""The dataset card: YAML metadata the Hub reads, and text a person reads, both from the manifest.

Manifests may come from anywhere, so nothing of one reaches the card unescaped: metadata is dumped
by the YAML library, text stands in code spans that no content can close.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from syper_data.dataset.directory import REJECTED, Completion, Plan, ShardRecord
from syper_data.dataset.kept import REJECTED_FILE
from syper_data.dataset.manifest import Manifest, Run
from syper_data.dataset.shards import SCHEMA
from syper_data.errors import UsageError
from syper_data.filtering.ledger import Ledger
from syper_data.publishing.audit import audit_text
from syper_data.publishing.filtered import kept_schema
from syper_data.publishing.generator_card import bundled_faults
from syper_data.rendering.templates import render_template

TEMPLATE = "dataset.md.j2"
SPECTRA = {"vis": "visible-spectrum", "nir": "near-infrared"}
MAX_TITLE = 120

_RUNS_SHOWN = 20
_CLASSES = {"subject": "person", "eye": "eye of a person"}
_REJECTED_CONFIG = {"config_name": REJECTED, "data_files": [{"split": "train", "path": REJECTED_FILE}]}


@dataclass(frozen=True)
class Publication:
    """What is published, and under which name and terms.

    ``completion`` lists the shards as they are published. ``num_bytes`` is the size of the rows in
    memory, as ``datasets`` counts it. ``name`` is the dataset's short name, as Croissant gives it.
    ``repo_id`` and ``url`` are None for a folder that is not pushed. ``ledger`` is None for a dataset
    that was not filtered; then every image is published.
    """

    manifest: Manifest
    manifest_sha256: str
    completion: Completion
    num_bytes: int = 0
    license: str = "other"
    pretty_name: str | None = None
    name: str = "syper"
    repo_id: str | None = None
    url: str | None = None
    ledger: Ledger | None = None
    rejected: ShardRecord | None = None
    topups: tuple[Plan, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,49}", self.license):
            raise UsageError(
                f"--license is {self.license!r}: must be a Hub licence id such as cc-by-4.0, or other"
            )
        title = self.pretty_name
        if title is not None and not (title.strip() and title.isprintable() and len(title) <= MAX_TITLE):
            raise UsageError(f"--pretty-name: must be one line of at most {MAX_TITLE} characters")

    @property
    def rows(self) -> int:
        """How many images are published."""
        return sum(shard.rows for shard in self.completion.shards)

    @property
    def schema(self) -> Any:
        """The shards' schema."""
        return SCHEMA if self.ledger is None else kept_schema(self.ledger)

    @property
    def runs(self) -> list[Run]:
        """The ranges of seeds of all plans."""
        return [*self.manifest.runs, *(run for plan in self.topups for run in plan.manifest.runs)]

    @property
    def title(self) -> str:
        """``pretty_name``, or a name that says what the images are."""
        return self.pretty_name or f"SyPer: synthetic periocular images ({self.spectrum})"

    @property
    def spectrum(self) -> str:
        """The spectrum in words: visible-spectrum or near-infrared."""
        return SPECTRA[self.manifest.generator.spectrum]

    @property
    def learned_from(self) -> str | None:
        """Whom a class of the generator was learned from, ``one person`` or ``one eye of a person``, where the
        manifest says so."""
        name = _CLASSES.get(self.manifest.generator.class_of or "")
        return None if name is None else f"one {name}"

    @property
    def label_in_words(self) -> str:
        """What the column ``label`` holds."""
        c_dim = self.manifest.generator.c_dim
        if not c_dim:
            return "null: the generator has no classes"
        if self.learned_from is None:
            meaning = "whether its classes stand for people is in the generator's card"
        else:
            meaning = f"each label is a class learned from {self.learned_from} of the training data"
        return f"class given to the generator, 0 to {c_dim - 1}; {meaning}"

    @property
    def lossless(self) -> bool:
        """Whether the stored images decode to the pixels whose digest is recorded."""
        return self.manifest.settings.image_format == "png"


def size_category(n: int) -> str:
    """The Hub's category of a dataset of ``n`` rows, e.g. ``10K<n<100K``."""
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    for power, (low, high) in enumerate(zip(("", *names), names, strict=False), 3):
        if n < 10**power:
            return f"{low}<n<{high}" if low else f"n<{high}"
    return "n>1T"


def front_matter(publication: Publication) -> dict[str, Any]:
    """The card's metadata; ``dataset_info`` says the same as the shards' own schema."""
    rows = publication.rows
    download = sum(s.bytes for s in publication.completion.shards)
    split = {"name": "train", "num_bytes": publication.num_bytes, "num_examples": rows}
    return {
        "license": publication.license,
        "pretty_name": publication.title,
        "size_categories": [size_category(rows)],
        "task_categories": ["image-feature-extraction"],
        "annotations_creators": ["machine-generated"],
        "tags": ["synthetic", "periocular", "biometrics", "StyleGAN2", publication.spectrum],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]},
            *([_REJECTED_CONFIG] if publication.rejected is not None else []),
        ],
        "dataset_info": {
            **({"config_name": "default"} if publication.rejected is not None else {}),
            "features": _features(publication.schema),
            "splits": [split],
            "download_size": download,
            "dataset_size": publication.num_bytes,
        },
    }


def render_card(publication: Publication, sheet: str, sheet_images: int) -> str:
    """The text of ``README.md``; ``sheet`` is the contact sheet's file name."""
    from syper_data.sampling.environment import drift_tolerance

    runs = publication.runs
    metadata = yaml.safe_dump(
        front_matter(publication), sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**6
    )
    return render_template(
        TEMPLATE,
        metadata=metadata,
        publication=publication,
        manifest=publication.manifest,
        settings=publication.manifest.settings,
        rows=publication.rows,
        audit=None if publication.ledger is None else audit_text(publication.ledger),
        runs=[_describe(run) for run in runs[:_RUNS_SHOWN]],
        more_runs=max(0, len(runs) - _RUNS_SHOWN),
        drift=[line for entry in publication.completion.drift for line in _differences(entry)],
        faults=bundled_faults(publication.manifest.generator.sha256),
        sheet=sheet,
        sheet_images=sheet_images,
        tolerance=drift_tolerance(publication.manifest.settings.precision),
    )


def _features(schema: Any) -> list[dict[str, str]]:
    stored = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    return [{"name": name, "dtype": kind.get("dtype", "image")} for name, kind in stored.items()]


def _describe(run: Run) -> str:
    seeds = f"seeds {run.start} to {run.stop - 1}" if len(run) > 1 else f"seed {run.start}"
    return seeds if run.label is None else f"label {run.label}: {seeds}"


def _differences(entry: dict[str, Any]) -> list[str]:
    found = entry.get("differences")
    return [str(line) for line in found[:_RUNS_SHOWN]] if isinstance(found, list) else []
