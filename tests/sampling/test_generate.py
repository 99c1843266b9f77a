from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import syper_data
from syper_data.errors import UsageError
from syper_data.gan.generator_file import load_generator
from syper_data.gan.synthesis import Synthesizer, latents, layer_noise


def images(path: Path, seeds: object, **options: object) -> np.ndarray:
    return np.concatenate(list(syper_data.generate(path, seeds, **options)))  # type: ignore[arg-type]


def test_batches_are_sized_and_hold_every_seed_in_order(tiny: Path) -> None:
    batches = syper_data.generate(tiny, range(11))
    shapes = [b.shape for b in batches]
    assert len(batches) == len(shapes) == 2
    assert shapes == [(8, 16, 16, 3), (3, 16, 16, 3)]
    assert len(batches.keys) == 11


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_an_image_depends_on_its_seed_alone(tiny: Path, seeds: list[int]) -> None:
    together = images(tiny, seeds)
    assert np.array_equal(together[-1], images(tiny, [seeds[-1]])[0])


def test_latents_follow_the_published_rule() -> None:
    expected = np.random.RandomState(1234).randn(1, 512).astype(np.float32)
    assert np.array_equal(latents([1234], 512), expected)


def test_random_noise_derives_from_seed_label_and_layer_only(tiny: Path) -> None:
    a, b = images(tiny, [3, 4], noise_mode="random"), images(tiny, [9, 3], noise_mode="random")
    assert np.array_equal(a[0], b[1])
    assert not np.array_equal(a[0], images(tiny, [3])[0])
    draws = [layer_noise(s, label, i, 8) for s, label, i in [(1, None, 0), (2, None, 0), (1, 0, 0), (1, None, 1)]]
    assert len({d.tobytes() for d in draws}) == 4


def test_the_product_gives_the_modules_images(tiny: Path) -> None:
    loaded = load_generator(tiny)
    with torch.no_grad():
        z = torch.from_numpy(latents([5, 6], 8))
        expected = loaded.generator(z, psi=0.7).permute(0, 2, 3, 1).numpy()
    made = Synthesizer(loaded.generator, block_size=2, psi=0.7).block([(5, None), (6, None)])
    assert np.abs(made - expected).max() < 1e-5


def test_bf16_stays_close_to_float32(tiny: Path) -> None:
    difference = np.abs(
        images(tiny, range(8), precision="bf16").astype(int) - images(tiny, range(8), precision="fp32")
    )
    assert 0 < difference.max() <= 16


def test_labels_choose_the_class(tiny_conditional: Path) -> None:
    one, two = (images(tiny_conditional, [1], label=c) for c in (0, 1))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("seeds", "options", "words"),
    [
        ([-1], {}, "seed -1"),
        ([2**32], {}, "seed 4294967296"),
        ("x", {}, "--seeds"),
        ([1], {"label": 0}, "unconditional"),
    ],
)
def test_bad_requests_are_refused(tiny: Path, seeds: object, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        syper_data.generate(tiny, seeds, **options)  # type: ignore[arg-type]


def test_a_conditional_generator_needs_a_label(tiny_conditional: Path) -> None:
    with pytest.raises(UsageError, match="3 classes"):
        syper_data.generate(tiny_conditional, [1])


def test_the_callers_thread_count_is_left_as_it_was(tiny: Path) -> None:
    torch.set_num_threads(2)
    try:
        list(syper_data.generate(tiny, [1]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
