"""Figures as JSON."""

from __future__ import annotations

import json
import math

import numpy as np

from syper_data.metrics.intervals import Estimate
from syper_data.metrics.record import json_ready


def test_figures_of_any_kind_become_what_strict_json_can_hold() -> None:
    given = {
        "estimate": Estimate(np.float32(0.5), -math.inf, math.nan),
        "rows": np.arange(2),
        "pair": (True, np.bool_(False)),
        1: None,
    }
    found = json.loads(json.dumps(json_ready(given), allow_nan=False))
    assert found == {
        "estimate": {"value": 0.5, "low": None, "high": None},
        "rows": [0, 1],
        "pair": [True, False],
        "1": None,
    }
