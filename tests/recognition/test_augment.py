"""Augmentation: each change alone does what it says, and nothing depends on who computes which row."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from drawn_crops import drawn_eye
from syper_data.errors import ConfigError
from syper_data.execution.team import Team
from syper_data.recognition.augment import AugmentConfig, augment
from syper_data.recognition.compression import compress

OFF = AugmentConfig.none()
SIDE, N = 32, 8


def eyes() -> Tensor:
    """uint8 [N, 3, SIDE, SIDE]"""
    return torch.from_numpy(np.stack([drawn_eye(i, SIDE) for i in range(N)])).permute(0, 3, 1, 2)


def seen(config: AugmentConfig, seed: int = 0, size: int = SIDE, images: Tensor | None = None) -> Tensor:
    return augment(eyes() if images is None else images, size, N, config, torch.Generator().manual_seed(seed))


def levels(x: Tensor) -> Tensor:
    return x * 127.5 + 127.5


def test_with_everything_off_the_images_come_through_unchanged() -> None:
    out = seen(OFF)
    assert out.dtype == torch.float32
    assert torch.allclose(levels(out), eyes().float(), atol=0.01)


def test_the_same_seed_gives_the_same_images_and_stays_in_range() -> None:
    every = replace(AugmentConfig(), blur=1, noise=1, jpeg=1, cutout=1, low_resolution=1, grey=0.5)
    first, again, other = (seen(every, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.abs().max()) <= 1
    assert torch.isfinite(first).all()


def test_pupils_grow_and_shrink_and_what_lies_outside_of_the_iris_stays() -> None:
    side = 96
    place = (torch.arange(side) + 0.5) / side * 2 - 1
    r = (place[None].square() + place[:, None].square()).sqrt() * 2.4  # 1 at the edge of the iris
    disc = torch.where(r < 0.5, 0, torch.where(r < 1, 120, 200)).to(torch.uint8)
    out = levels(seen(replace(OFF, pupil=0.5), size=side, images=disc.expand(N, 3, side, side)))[:, 0]
    across = (out < 60).sum((1, 2)).float().sqrt() / (disc == 0).sum().sqrt()
    # the edge lies where r^power is 0.5, for powers of e^-0.5 to e^0.5: radii from 0.32 to 0.66
    assert float(across.min()) > 0.6 and float(across.max()) < 1.34
    assert float(across.min()) < 0.9 and float(across.max()) > 1.1
    beyond = r > 1.1
    assert torch.allclose(out[:, beyond], disc[beyond].float().expand(N, -1), atol=0.01)


def test_two_processes_see_the_rows_that_one_sees() -> None:
    config = replace(AugmentConfig(), noise=0.6, flip=0.3, pupil=0.3, shading=0.3)
    whole = seen(config, 4)
    for rank in (0, 1):
        team = Team(rank, 2)
        own = augment(team.mine(eyes()), SIDE, N, config, torch.Generator().manual_seed(4), team)
        assert torch.allclose(own, whole[rank::2], atol=1e-6)


def test_another_size_is_resampled_on_the_way() -> None:
    flat = torch.full((N, 3, SIDE, SIDE), 100, dtype=torch.uint8)
    out = seen(AugmentConfig.none(), size=16, images=flat)
    assert out.shape == (N, 3, 16, 16)
    assert torch.allclose(levels(out), torch.tensor(100.0), atol=0.01)


def test_shading_is_a_smooth_field_of_gains_alike_in_all_channels() -> None:
    flat = torch.full((N, 3, SIDE, SIDE), 60, dtype=torch.uint8)
    gains = (levels(seen(replace(OFF, shading=0.5), 2, images=flat)) / 60).log()
    assert torch.allclose(gains[:, 0], gains[:, 2], atol=1e-5)
    assert 0.05 < float(gains.std()) < 0.5
    assert float(gains.diff(dim=3).abs().max()) < 0.15  # no edges: an eye's own must stay the sharpest
    assert float((gains[0] - gains[1]).abs().max()) > 0.1
    half = (levels(seen(replace(OFF, shading=0.25), 2, images=flat)) / 60).log()
    assert torch.allclose(2 * half, gains, atol=1e-3)


def test_a_flip_mirrors_and_a_half_turn_turns() -> None:
    assert torch.allclose(levels(seen(replace(OFF, flip=1.0))), eyes().flip(3).float(), atol=0.01)
    turned = seen(replace(OFF, rotation=90.0), 3)
    assert not torch.allclose(levels(turned), eyes().float(), atol=20)
    means = turned.mean((1, 2, 3)), seen(OFF).mean((1, 2, 3))
    assert torch.allclose(*means, atol=0.2)


def test_a_shift_moves_by_at_most_its_share() -> None:
    dot = torch.zeros(N, 3, SIDE, SIDE, dtype=torch.uint8)
    dot[:, :, 16, 16] = 255
    out = levels(seen(replace(OFF, shift=0.25), images=dot))[:, 0]
    places = torch.arange(SIDE).float()
    ys = (out.sum(2) * places).sum(1) / out.sum((1, 2))
    assert float((ys - 16).abs().max()) <= 8.01
    assert float((ys - 16).abs().max()) > 2


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "colour"])
def test_each_change_of_light_keeps_the_drawing_and_changes_its_levels(name: str) -> None:
    dim = eyes() // 2 + 64  # nothing saturates
    out, plain = (seen(config, 1, images=dim) for config in (replace(OFF, **{name: 0.2}), OFF))
    assert float((out - plain).abs().mean()) > 0.005
    for a, b in zip(out.flatten(0, 1).flatten(1), plain.flatten(0, 1).flatten(1), strict=True):
        assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.9


def test_grey_has_equal_channels() -> None:
    out = seen(replace(OFF, grey=1.0))
    assert torch.allclose(out[:, 0], out[:, 2])


@pytest.mark.parametrize(
    "changes", [{"blur": 1.0, "blur_sigma": 2.0}, {"low_resolution": 1.0, "smallest_resolution": 0.3}]
)
def test_blur_and_low_resolution_remove_detail_and_keep_the_mean(changes: dict[str, float]) -> None:
    out, plain = seen(replace(OFF, **changes)), seen(OFF)
    detail = [float(x.diff(dim=3).square().mean()) for x in (out, plain)]
    assert detail[0] < 0.8 * detail[1]
    assert torch.allclose(out.mean((1, 2, 3)), plain.mean((1, 2, 3)), atol=0.03)


def test_a_blur_is_the_gaussian_of_its_sigma() -> None:
    dot = torch.zeros(N, 3, SIDE, SIDE, dtype=torch.uint8)
    dot[:, :, 16, 16] = 255
    out = levels(seen(replace(OFF, blur=1.0, blur_sigma=2.0), images=dot))[:, 0] / 255
    places = torch.arange(SIDE).float() - 16
    deviations = ((out.sum(1) * places.square()).sum(1)).sqrt()
    assert float(out.sum((1, 2)).sub(1).abs().max()) < 1e-3
    assert 0.9 < float(deviations.max()) <= 2.0


def test_noise_has_at_most_its_deviation() -> None:
    grey = torch.full((N, 3, SIDE, SIDE), 128, dtype=torch.uint8)
    out = seen(replace(OFF, noise=1.0, noise_deviation=0.1), images=grey) / 2
    deviations = out.flatten(1).std(1)
    assert 0.03 < float(deviations.max()) < 0.105


def test_a_cutout_is_grey_and_not_larger_than_it_may_be() -> None:
    white = torch.full((N, 3, SIDE, SIDE), 255, dtype=torch.uint8)
    out = seen(replace(OFF, cutout=1.0, cutout_size=0.5), images=white)
    covered = (out == 0).all(1)
    assert bool(covered.any(2).any(1).all())
    assert float(covered.float().mean((1, 2)).max()) <= 0.27
    assert bool((out[:, 0][~covered] == 1).all())


@pytest.mark.parametrize("quality", [20, 60, 90])
def test_compression_is_what_pillow_makes_of_the_image(quality: int) -> None:
    drawn = np.stack([drawn_eye(i, SIDE) for i in range(3)])
    ours = compress(torch.from_numpy(drawn).permute(0, 3, 1, 2) / 255, torch.full((3,), float(quality)))
    for pixels, mine in zip(drawn, ours, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
        theirs = np.asarray(Image.open(buffer)).astype(np.float32)
        difference = np.abs(mine.permute(1, 2, 0).numpy() * 255 - theirs)
        assert difference.mean() < 3  # at quality 20 one rounded coefficient is worth many levels
        lost = np.abs(pixels.astype(np.float32) - theirs).mean()
        assert difference.mean() < 0.5 * lost


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flip": 1.5}, "augment.flip is 1.5"),
        ({"shift": -0.1}, "augment.shift is -0.1"),
        ({"rotation": "a lot"}, "augment.rotation is 'a lot'"),
        ({"smallest_resolution": 0}, "augment.smallest_resolution is 0"),
        ({"jpeg_quality": 99}, "augment.jpeg_quality is 99"),
    ],
)
def test_a_value_out_of_range_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentConfig(**values)
