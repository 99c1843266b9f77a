from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syper_data.dataset.manifest import Run
from syper_data.errors import SyperError, UsageError
from syper_data.gan.bundled import open_generator
from syper_data.sampling.plan import paper_options, parse_seeds, plan_runs, plan_settings, plan_shard_rows


def test_seeds_and_ranges_keep_their_order() -> None:
    assert parse_seeds("0-99,250, 1000-1999") == [(0, 100), (250, 251), (1000, 2000)]
    assert parse_seeds("7,3") == [(7, 8), (3, 4)]
    assert parse_seeds("4294967295") == [(4294967295, 4294967296)]


@pytest.mark.parametrize(
    "text", ["", "1,,2", "a", "5-3", "-4", "1-2-3", "4294967296", "0-4,4", "3,3", "1.5", "9" * 30, "٣", "1;2"]
)
def test_seeds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


@given(st.text(max_size=20))
def test_any_text_gives_spans_or_one_line(text: str) -> None:
    try:
        spans = parse_seeds(text)
    except UsageError as error:
        assert "\n" not in str(error).replace(repr(text), "")
    else:
        assert all(0 <= a < b for a, b in spans)


def test_per_label_gives_every_class_its_own_consecutive_seeds() -> None:
    assert plan_runs(3, per_label=4, seed_start=10) == (Run(10, 14, 0), Run(14, 18, 1), Run(18, 22, 2))
    assert plan_runs(3, n=4, label=2) == (Run(0, 4, 2),)
    assert plan_runs(0, seeds=[5, 9]) == (Run(5, 6), Run(9, 10))


@pytest.mark.parametrize(
    ("c_dim", "options", "words"),
    [
        (0, {}, "--n 50000"),
        (0, {"n": 0}, "--n is 0"),
        (0, {"n": -3}, "--n is -3"),
        (0, {"n": 1, "seeds": "4"}, "--n and --seeds exclude"),
        (0, {"seeds": "4", "seed_start": 2}, "--seed-start exclude"),
        (0, {"n": 1, "label": 0}, "--label: the generator is unconditional"),
        (0, {"per_label": 1}, "--per-label: the generator is unconditional"),
        (0, {"n": 2, "seed_start": 2**32 - 1}, "largest seed"),
        (0, {"n": 2, "seed_start": -1}, "--seed-start is -1"),
        (3, {"n": 5}, "3 classes: give --label or --per-label"),
        (3, {"n": 5, "label": 3}, "--label is 3"),
        (3, {"n": 5, "per_label": 3}, "--n and --per-label exclude"),
        (3, {"per_label": 3, "label": 1}, "--label and --per-label exclude"),
        (3, {"per_label": 0}, "--per-label is 0"),
    ],
)
def test_contradictory_requests_are_refused_by_name(c_dim: int, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_runs(c_dim, **options)  # type: ignore[arg-type]


@given(st.integers(1, 10**9))
def test_shards_are_whole_hundreds_and_never_more_than_a_folder_takes(total: int) -> None:
    rows = plan_shard_rows(total)
    assert rows % 200 == 0
    assert -(-total // rows) < 10_000


def test_fifty_thousand_images_are_fifty_shards() -> None:
    assert plan_shard_rows(50_000) == 1000


@pytest.mark.parametrize(
    "options",
    [{"psi": float("nan")}, {"psi": float("inf")}, {"psi": 9.0}, {"output_size": 0}, {"output_size": 10**6},
     {"noise_mode": "loud"}, {"precision": "fp8"}, {"image_format": "bmp"}, {"resize_filter": "magic"}],
)  # fmt: skip
def test_settings_out_of_range_are_one_line(tiny: object, options: dict[str, object]) -> None:
    name = next(iter(options))
    if name == "resize_filter":
        options = {**options, "output_size": 24}
    with pytest.raises(SyperError, match=f"^--{name.replace('_', '-')} is") as caught:
        plan_settings(open_generator(tiny), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_resize_filter_with_nothing_to_resize_is_refused(tiny: object) -> None:
    with pytest.raises(SyperError, match="--resize-filter belongs to --output-size"):
        plan_settings(open_generator(tiny), resize_filter="box")  # type: ignore[arg-type]
    settings = plan_settings(open_generator(tiny), output_size=24)  # type: ignore[arg-type]
    assert settings.resize_filter == "lanczos"


def test_nothing_is_left_open_in_the_settings(tiny: object) -> None:
    settings = plan_settings(open_generator(tiny))  # type: ignore[arg-type]
    assert settings.precision in ("fp32", "bf16")
    assert (settings.output_size, settings.resize_filter) == (16, "none")


def test_the_papers_preset_is_99836_images_at_224_nearest_stretched() -> None:
    assert paper_options() == {
        "n": 99_836,
        "psi": 1.0,
        "noise_mode": "const",
        "value_range": "minmax_per_image",
        "output_size": 224,
        "resize_filter": "nearest",
        "image_format": "png",
    }
