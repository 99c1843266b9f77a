from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syper_data.dataset.atomic import atomic_folder, atomic_path, remove_leftovers, write_atomically
from syper_data.dataset.lock import folder_lock
from syper_data.errors import LockedError, OutputError


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_temporary_names_start_with_a_dot_and_hold_the_process_id(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"x")
        assert temporary.name.startswith(".")
        assert str(os.getpid()) in temporary.name
    assert (tmp_path / "a.bin").read_bytes() == b"x"


def test_leftovers_of_a_dead_process_are_removed_and_files_kept(tmp_path: Path) -> None:
    (tmp_path / ".a.parquet.999.tmp").write_bytes(b"half")
    (tmp_path / "a.parquet").write_bytes(b"whole")
    assert remove_leftovers(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_writing_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "a.json", "x")


def test_a_second_owner_is_refused_with_the_first_ones_id(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from syper_data.dataset.lock import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=str(other.pid)), folder_lock(tmp_path):
            pass
        other.kill()
        other.wait()
        with folder_lock(tmp_path):  # a dead owner holds nothing
            assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="is a file"), folder_lock(tmp_path / "x"):
        pass


def test_a_folder_appears_whole_and_is_never_written_over(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "release"
    with atomic_folder(out) as temporary:
        (temporary / "inside").mkdir()
        (temporary / "inside" / "a.txt").write_text("a")
        assert not out.exists()
    assert (out / "inside" / "a.txt").read_text() == "a"
    with pytest.raises(OutputError, match="is there already"), atomic_folder(out):
        pass
    assert [p.name for p in out.parent.iterdir()] == ["release"]


def test_a_folder_that_failed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), atomic_folder(tmp_path / "release") as temporary:
        (temporary / "a.txt").write_text("a")
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_made_meanwhile_by_another_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "release"
    with pytest.raises(OutputError), atomic_folder(out) as temporary:
        (temporary / "a.txt").write_text("mine")
        out.mkdir()
        (out / "b.txt").write_text("theirs")
    assert [p.name for p in out.iterdir()] == ["b.txt"]


def test_a_folder_made_for_a_lock_is_forgotten_only_where_it_failed_and_holds_nothing(tmp_path: Path) -> None:
    def failing(name: str, **files: str) -> bool:
        with pytest.raises(RuntimeError), folder_lock(tmp_path / name, forget=True):
            for file, text in files.items():
                (tmp_path / name / file).write_text(text)
            raise RuntimeError("stop")
        return (tmp_path / name).exists()

    assert not failing("empty")
    assert failing("filled", shard="x")
    (tmp_path / "before").mkdir()
    assert failing("before")
    with folder_lock(tmp_path / "good", forget=True):
        pass
    assert (tmp_path / "good").is_dir()
