"""A small dataset with a ledger that holds an identity audit of drawn vectors: no network is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import syper_data
from filter_thresholds import write_thresholds
from simulated_people import audit_alone
from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.filtering.identity import OVERLAP
from syper_data.filtering.ledger import write_ledger
from syper_data.filtering.quality.thresholds import Thresholds
from syper_data.recognition.embeddings import Embeddings

DIM, PEOPLE = 32, 60
HOSTILE = '<script>alert("x")</script>'


def audited_dataset(
    path: Path,
    *,
    leaked: int = 0,
    labelled: bool = True,
    second_images: bool = True,
    weak: bool = False,
    networks: int = 1,
    changes: dict[str, Any] | None = None,
    n: int = 20,
) -> DatasetDirectory:
    """``n`` images of which ``leaked`` are near to people of the reference. ``second_images``: every reference
    eye has two images, nearly the same vector (``weak``: hardly alike). ``networks``: as if so many had
    found the same. ``changes`` are made to the overlap's figures."""
    dataset = make_dataset(path, n)
    rng = np.random.default_rng(1)
    people = unit(rng.normal(size=(PEOPLE, DIM)))
    noise = 2.0 if weak else 0.02
    reference = np.concatenate([people, unit(people + noise * rng.normal(size=people.shape))])
    if not second_images:
        reference = people
    synthetic = unit(rng.normal(size=(n, DIM)))
    synthetic[:leaked] = unit(people[:leaked] + 0.02 * rng.normal(size=(leaked, DIM)))
    names = [f"{HOSTILE}/{i}.png" for i in range(len(reference))]
    subjects = [f"p{i % PEOPLE}" if labelled else None for i in range(len(reference))]
    result = audit_alone(
        embeddings(synthetic, [f"{i}" for i in range(n)], [None] * n),
        embeddings(reference, names, subjects),
        fpir=0.05,
        neighbours=1,
        repeats=50,
    )
    figures = result.to_dict() | {
        "reference": {"images": len(reference), "people": PEOPLE if labelled else None, "sha256": "cd" * 32},
        "summary": [],
    }
    figures["networks"] = figures["networks"] * networks
    figures |= changes or {}
    scores = {
        "nearest_reference": [names[row] for row in result.nearest[:, 0]],
        "nearest_similarity": result.similarity[:, 0].astype(np.float64),
        "exposure": np.linspace(80, 120, n),
    }
    flagged = np.zeros(n, bool) if result.flagged is None else result.flagged
    reasons = [[OVERLAP] if flag else [] for flag in flagged]
    for row in range(3):
        reasons[row].append("too dark")
    record = {"settings": settings(), "quality": quality(path.parent, n), "overlap": figures}
    write_ledger(dataset, scores, reasons, record)
    return dataset


def text_of(page: str) -> str:
    """What a person reads: no tags, styles or pictures; one space between words."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).replace("&#34;", '"').split())


def page_of(dataset: DatasetDirectory, **options: Any) -> str:
    return text_of(syper_data.report(dataset.path, **options).path.read_text("utf-8"))


def settings() -> dict[str, Any]:
    from syper_data.filtering.settings import FilterSettings

    return FilterSettings(reference="/home/someone/reference.parquet", fpir=0.05).to_dict()


def quality(folder: Path, n: int) -> dict[str, Any]:
    thresholds = Thresholds.read(write_thresholds(folder / "thresholds.json", exposure=(85.0, None))).to_dict()
    thresholds["limits"] = {"exposure": thresholds["limits"]["exposure"]}
    return {"origin": "file", "thresholds": thresholds, "rejected": 3, "share": 3 / n, "expected_share": 0.01}


def embeddings(vectors: Any, names: list[str], subjects: list[str | None]) -> Embeddings:
    n = len(names)
    table = pa.table(
        {
            "source_id": pa.array(names, pa.string()),
            "subject": pa.array(subjects, pa.string()),
            "side": pa.array(["image_left"] * n, pa.string()),
            "spectrum": pa.array(["vis"] * n, pa.string()),
            "sample": pa.nulls(n, pa.string()),
            "seed": pa.nulls(n, pa.int64()),
            "label": pa.nulls(n, pa.int32()),
            "pixel_sha256": pa.nulls(n, pa.string()),
        }
    )
    return Embeddings(vectors.astype(np.float32), table, embedder_sha256="ef" * 32, embedder_name="drawn")


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
