"""Charts are PNG pictures of the asked panels, made without a display."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from syper_data.rendering.charts import histograms, line_panels

pytest.importorskip("matplotlib", reason="the [report] extra is missing")


def picture(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_lines_move_with_their_values() -> None:
    def drawn(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        low, high = [v - 0.1 for v in values], [v + 0.1 for v in values]
        return picture(line_panels([0.5, 1.0], "psi", {"recall": {"recall": (values, low, high)}}))

    assert drawn(0.2, 0.4).shape == drawn(0.4, 0.2).shape
    assert (drawn(0.2, 0.4) != drawn(0.4, 0.2)).any()
    assert (drawn(0.2, 0.4) == drawn(0.2, 0.4)).all()


def test_panels_stand_beside_each_other() -> None:
    series = ([0.2], [0.1], [0.3])
    one = picture(line_panels([1.0], "psi", {"a": {"a": series}}))
    four = picture(line_panels([1.0], "psi", {name: {name: series} for name in "abcd"}))
    assert four.shape[0] == one.shape[0]
    assert four.shape[1] == 2 * one.shape[1]


def test_distributions_of_one_value_can_be_drawn() -> None:
    assert picture(histograms({"d": {"samples": [0.0, 0.0], "real": [0.0]}}, ["distance"])).size > 0
