"""What several test files of evaluations use."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawn_crops import drawn_eye, write_crops


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 drawn eyes of 60 subjects, 16 px."""
    return write_crops(tmp_path_factory.mktemp("crops") / "crops.parquet", [drawn_eye(i) for i in range(120)])
