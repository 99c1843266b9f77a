"""Thresholds reject what they say of the crops that set them, and are read back checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syper_data.errors import InputError, UsageError
from syper_data.filtering.quality.measures import MeasureSet
from syper_data.filtering.quality.thresholds import Thresholds, bundled_thresholds, calibrate

MEASURES = MeasureSet("nir")
NAMES = [m.name for m in MEASURES.measures]
CROPS = {"source": "crops", "images": 1000, "sha256": "0" * 64}


def scores(n: int = 1000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(50, 10, n) for name in NAMES}


def test_each_side_rejects_at_most_the_rate_and_the_total_is_counted() -> None:
    found = calibrate(scores(), MEASURES, CROPS, 0.01)
    reasons = found.reasons(scores())
    for limits in found.limits.values():
        for reason in (limits.low_reason, limits.high_reason):
            if reason is not None:
                assert sum(reason in r for r in reasons) == 10
    assert found.rejected == sum(bool(r) for r in reasons) / 1000
    assert found.limits["glare"].low is None


def test_the_thresholds_reject_the_same_share_of_crops_that_did_not_set_them() -> None:
    found = calibrate(scores(20_000), MEASURES, CROPS, 0.01)
    share = np.mean(["blurred" in r for r in found.reasons(scores(20_000, seed=1))])
    assert share == pytest.approx(0.01, abs=0.003)


def test_equal_values_are_kept() -> None:
    flat = {name: np.zeros(200) for name in NAMES}
    assert calibrate(flat, MEASURES, CROPS, 0.01).rejected == 0


def test_too_few_crops_for_the_rate_are_refused_with_the_number_needed() -> None:
    with pytest.raises(UsageError, match=r"crops: 199 crops are too few .* 0.005 \(at least 200\)"):
        calibrate(scores(199), MEASURES, CROPS, 0.005)


@pytest.mark.parametrize("rate", [0, 0.5, -1, True, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="--false-rejection-rate"):
        calibrate(scores(), MEASURES, CROPS, rate)


def test_a_file_is_read_back_equal(tmp_path: Path) -> None:
    found = calibrate(scores(), MEASURES, CROPS)
    found.write(tmp_path / "t.json")
    assert Thresholds.read(tmp_path / "t.json") == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "other/1"}, "schema is 'other/1'"),
        ({"limits": {"glare": {"unit": "%", "high": float("nan"), "high_reason": "glare"}}}, "finite"),
        (
            {"limits": {"glare": {"unit": "%", "low": 2, "low_reason": "a", "high": 1, "high_reason": "b"}}},
            "above",
        ),
        ({"limits": {"glare": {"unit": "%", "run": "x"}}}, "not a readable"),
        ({"limits": None}, "not a readable"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = calibrate(scores(), MEASURES, CROPS).to_dict() | change
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        Thresholds.read(tmp_path / "t.json")


def test_thresholds_of_another_spectrum_or_scale_do_not_fit() -> None:
    found = calibrate(scores(), MEASURES, CROPS)
    found.require_fit(MEASURES, "t.json")
    with pytest.raises(UsageError, match=r"t.json: spectrum is nir, this audit's is vis"):
        found.require_fit(MeasureSet("vis"), "t.json")
    with pytest.raises(UsageError, match=r"iris diameters is 2.4, this audit's is 5.4"):
        found.require_fit(MeasureSet("nir", 5.4), "t.json")


@pytest.mark.parametrize("spectrum", ["vis", "nir"])
def test_the_bundled_thresholds_fit_and_state_their_crops(spectrum: str) -> None:
    found = Thresholds.read(bundled_thresholds(spectrum))
    found.require_fit(MeasureSet(spectrum), "bundled")
    assert found.crops["images"] > 1000
    assert 0 < found.rejected < 0.1
