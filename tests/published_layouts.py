"""Tiny copies of published data sets, images of noise in the layouts that the toolkit reads."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PARTS = ("train", "val", "test")


def noise_png(seed: int, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (size, size, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(folder: Path, names: Iterable[str]) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise_png(seed))


def write_lines(path: Path, lines: Iterable[str], end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())
    return path


def ufpr_images(person: str, sessions: Sequence[int] = (1, 2)) -> list[str]:
    return [f"{person}S{s}I1{eye}.jpg" for s in sessions for eye in "LR"]


def ufpr_copy(root: Path, protocol: str = "open_world", images: bool = True) -> Path:
    """Three folds: people C1 to C4 and C11 in some order; test C4 and C11, two sessions of both eyes."""
    people = {"train": ("C1", "C2"), "val": ("C3",), "test": ("C4", "C11")}
    folder = root / "experimentalProtocol" / protocol
    for fold in (1, 2, 3):
        for part in PARTS:
            listed = [n for person in people[part] for n in ufpr_images(person)]
            lines = [f"{n} {2 * int(n[1 : n.index('S')]) + (n[-5] == 'R')}" for n in listed]
            write_lines(folder / f"{part}_fold{fold}.txt", lines)
        write_lines(folder / f"test_pairs/fold{fold}/pairs.txt", UFPR_PAIRS)
    if images:
        write_images(root / "periocularCropped", [n for person in people["test"] for n in ufpr_images(person)])
    return root


UFPR_PAIRS = (
    "C4S1I1L.jpg C4S2I1L.jpg 1",
    "C4S1I1R.jpg C4S2I1R.jpg 1",
    "C11S1I1L.jpg C11S2I1L.jpg 1",
    "C4S1I1L.jpg C4S1I1R.jpg 0",
    "C4S1I1L.jpg C11S1I1L.jpg 0",
    "C4S2I1R.jpg C11S1I1L.jpg 0",
)
UFPR_PAIRS_FILE = "experimentalProtocol/open_world/test_pairs/fold1/pairs.txt"


def lfw_lines(parts: int = 2, each: int = 2) -> list[str]:
    """Person p of part k has photos 1 and 2; mated are 1 with 2, non-mated those of neighbours."""
    lines = [f"{parts}\t{each}"]
    for k in range(parts):
        people = [f"Person_{k}{p}" for p in range(each + 1)]
        lines += [f"{people[p]}\t1\t2" for p in range(each)]
        lines += [f"{people[p]}\t1\t{people[p + 1]}\t1" for p in range(each)]
    return lines


def lfw_photos(lines: Iterable[str]) -> list[str]:
    """The photos of a list: NAME/NAME_0001."""
    found = []
    for line in lines:
        values = line.split()
        if len(values) > 2:
            other = values[0] if len(values) == 3 else values[2]
            found += [f"{n}/{n}_{int(i):04d}" for n, i in ((values[0], values[1]), (other, values[-1]))]
    return sorted(set(found))
