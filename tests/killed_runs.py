"""What the tests that kill a run use: a step that is its last, its processes, through ``/proc``, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syper_data.dataset.lock import LOCK_NAME


def children(pid: int) -> list[int]:
    """The processes that a process started, by id."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return sorted(found)


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def files(folder: Path) -> dict[str, bytes]:
    """A folder's content by relative path, without the lock, which holds its last owner's id."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != LOCK_NAME)
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def stop_after(monkeypatch: pytest.MonkeyPatch, kind: type, steps: int) -> None:
    """Let the process "die" at the step of this kind of run that follows the first ``steps`` ones."""
    advance = kind.advance  # type: ignore[attr-defined]

    def mortal(run: Any) -> dict[str, float]:
        if run.step == steps:
            raise KeyboardInterrupt
        found: dict[str, float] = advance(run)
        return found

    monkeypatch.setattr(kind, "advance", mortal)
