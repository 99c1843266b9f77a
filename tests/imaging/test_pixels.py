from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syper_data.errors import SyperError
from syper_data.imaging.pixels import resize, to_uint8


def test_clamping_rounds_to_the_nearest_level_as_published_generators_do() -> None:
    values = np.array([-2, -1, -0.9999, 0, 0.5 / 127.5, 1, 3], np.float32).reshape(1, 1, -1, 1)
    assert to_uint8(values, "clamp").ravel().tolist() == [0, 0, 0, 128, 128, 255, 255]


@given(st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=30))
def test_clamped_levels_are_within_half_a_level_of_the_value(values: list[float]) -> None:
    x = np.array(values, np.float32).reshape(1, 1, -1, 1)
    exact = np.clip(127.5 * x.astype(np.float64) + 127.5, 0, 255)
    assert np.abs(to_uint8(x, "clamp") - exact).max() <= 0.5 + 1e-4


def test_stretching_is_each_images_own_and_reaches_both_ends() -> None:
    x = np.random.RandomState(0).randn(2, 5, 5, 3).astype(np.float32)
    x[1] *= 0.01
    y = to_uint8(x, "minmax_per_image")
    assert [(int(i.min()), int(i.max())) for i in y] == [(0, 255), (0, 255)]
    assert np.array_equal(y[0], to_uint8(x[:1], "minmax_per_image")[0])
    assert not to_uint8(np.full((1, 2, 2, 3), 0.7, np.float32), "minmax_per_image").any()


def test_values_that_are_not_finite_never_become_pixels() -> None:
    with pytest.raises(SyperError, match="not finite"):
        to_uint8(np.array([[[[np.nan]]]], np.float32), "clamp")


def test_nearest_takes_the_floor_row_and_the_filters_keep_a_flat_image_flat() -> None:
    x = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    assert resize(x, 7, "nearest")[:, 0, 0].tolist() == [x[i * 4 // 7, 0, 0] for i in range(7)]
    flat = np.full((8, 8, 3), 91, np.uint8)
    for name in ("box", "bilinear", "bicubic", "lanczos"):
        assert resize(flat, 5, name).shape == (5, 5, 3)
        assert (resize(flat, 5, name) == 91).all()
    assert resize(x, 4, "lanczos") is x
