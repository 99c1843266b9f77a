"""The fast generator computes what the papers' equations say, in every configuration and direction."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stylegan2_reference import randomized, reference_mapping, reference_synthesis
from syper_data.errors import ConfigError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator

TINY: dict[str, Any] = {
    "resolution": 16,
    "z_dim": 12,
    "w_dim": 16,
    "mapping_layers": 3,
    "channel_base": 128,
    "channel_max": 16,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "one block": {"resolution": 4},
    "plain": {},
    "wider": {"resolution": 32, "channel_base": 512, "channel_max": 32},
    "conditional": {"c_dim": 3},
    "clamped": {"conv_clamp": 0.7},
    "grey": {"img_channels": 1},
    "four channels": {"img_channels": 4},
    "box filter": {"resample_filter": (0, 1, 1, 0)},
    "sharp filter": {"resample_filter": (1, 7, 7, 1)},
}


def build(seed: int = 1, **changes: Any) -> Generator:
    torch.manual_seed(seed)
    return randomized(Generator(GeneratorConfig(**{**TINY, **changes})), seed)


def latents(generator: Generator, n: int, seed: int = 2) -> tuple[Tensor, Tensor | None]:
    config = generator.config
    z = torch.randn(n, config.z_dim, generator=torch.Generator().manual_seed(seed))
    return z, torch.eye(config.c_dim)[torch.arange(n) % config.c_dim] if config.c_dim else None


def layer_noise(generator: Generator, n: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(3)
    sides = [layer.resolution for layer in generator.synthesis.layers()]
    return [torch.randn(n, 1, side, side, generator=rng) for side in sides]


def largest(difference: Tensor) -> float:
    return float(difference.detach().abs().max())


@pytest.mark.parametrize("gradients", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_images_equal_the_reference_formulation(variant: str, n: int, gradients: bool) -> None:
    generator = build(**VARIANTS[variant])
    z, c = latents(generator, n)

    with torch.set_grad_enabled(gradients):
        images = generator(z, c, psi=0.7)

    expected = reference_synthesis(generator, reference_mapping(generator.mapping, z, c, psi=0.7))
    side = generator.config.resolution
    assert images.shape == (n, generator.config.img_channels, side, side)
    assert images.dtype == torch.float32
    assert expected.std() > 0.1
    assert largest(images - expected) < 1e-4


def test_the_reference_with_transposed_convolutions_is_the_same_function() -> None:
    generator = build(resolution=32)
    w = generator.mapping(latents(generator, 3)[0])

    plain = reference_synthesis(generator, w)
    transposed = reference_synthesis(generator, w, transposed=True)

    assert largest(plain - transposed) < 1e-4


@pytest.mark.parametrize("gradients", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("mode", ["none", "const", "random"])
def test_every_noise_mode_equals_the_reference(mode: str, gradients: bool) -> None:
    generator = build()
    w = generator.mapping(latents(generator, 3)[0])
    noise = layer_noise(generator, 3) if mode == "random" else None

    with torch.set_grad_enabled(gradients):
        images = generator.synthesis(w, noise_mode=mode, noise=noise)

    assert largest(images - reference_synthesis(generator, w, mode, noise)) < 1e-4


def test_the_noise_modes_differ_and_no_noise_equals_noise_of_no_strength() -> None:
    generator = build()
    w = generator.mapping(latents(generator, 2)[0])
    none, const = (generator.synthesis(w, noise_mode=mode) for mode in ("none", "const"))
    assert largest(none - const) > 0.05

    for layer in generator.synthesis.layers():
        layer.noise_strength.data.zero_()

    assert largest(generator.synthesis(w, noise_mode="const") - none) < 1e-5


def test_random_noise_is_drawn_anew_a_call_and_follows_the_seed() -> None:
    generator = build()
    w = generator.mapping(latents(generator, 2)[0])
    torch.manual_seed(5)
    first, second = (generator.synthesis(w, noise_mode="random") for _ in range(2))
    torch.manual_seed(5)
    again = generator.synthesis(w, noise_mode="random")

    assert largest(first - second) > 0.05
    assert torch.equal(first, again)


def test_random_noise_differs_between_the_images_of_a_batch() -> None:
    generator = build()
    w = generator.mapping(latents(generator, 1)[0]).expand(2, -1)
    torch.manual_seed(5)
    one, other = generator.synthesis(w, noise_mode="random")
    assert largest(one - other) > 0.05


def test_constant_noise_gives_the_same_image_twice() -> None:
    generator = build()
    z, _ = latents(generator, 3)
    assert torch.equal(generator(z), generator(z))


def test_psi_moves_w_in_a_straight_line_from_the_mean() -> None:
    mapping = build().mapping
    z, _ = latents(build(), 4)
    full, half = mapping(z), mapping(z, psi=0.5)

    assert largest(mapping(z, psi=0.0) - mapping.w_avg) < 1e-6
    assert largest(half - (full + mapping.w_avg) / 2) < 1e-6
    assert largest(full - mapping.w_avg) > 0.1


def test_psi_zero_makes_every_image_the_mean_image() -> None:
    generator = build()
    images = generator(latents(generator, 3)[0], psi=0.0)
    mean = generator.synthesis(generator.mapping.w_avg[None])
    assert largest(images - mean) < 1e-4


def test_w_ignores_the_length_of_z() -> None:
    mapping = build().mapping
    z, _ = latents(build(), 3)
    assert largest(mapping(z) - mapping(z * 7)) < 1e-4


def test_labels_change_the_image_and_are_demanded() -> None:
    generator = build(c_dim=3)
    z = latents(generator, 1)[0].expand(3, -1)
    a, b, c = generator(z, torch.eye(3))

    assert min(largest(a - b), largest(b - c), largest(a - c)) > 0.05
    with pytest.raises(ValueError, match="labels"):
        generator(z)


def test_tracking_moves_w_avg_by_an_exponential_average() -> None:
    mapping = build().mapping
    before = mapping.w_avg.clone()
    w = mapping(latents(build(), 5)[0])

    mapping.track_average(w, beta=0.9)

    assert largest(mapping.w_avg - (0.9 * before + 0.1 * w.mean(dim=0))) < 1e-6
    assert not mapping.w_avg.requires_grad
    for _ in range(300):
        mapping.track_average(w, beta=0.9)
    assert largest(mapping.w_avg - w.mean(dim=0)) < 1e-5


def test_one_w_for_all_layers_is_the_same_as_its_copies() -> None:
    generator = build()
    w = generator.mapping(latents(generator, 2)[0])
    copies = w[:, None].repeat(1, generator.config.num_ws, 1)
    assert torch.equal(generator.synthesis(w), generator.synthesis(copies))


def test_mixed_styles_equal_the_reference_and_every_one_counts() -> None:
    generator = build(resolution=32)
    ws = torch.randn(
        2, generator.config.num_ws, generator.config.w_dim, generator=torch.Generator().manual_seed(4)
    )
    images = generator.synthesis(ws)
    assert largest(images - reference_synthesis(generator, ws)) < 1e-4

    for index in range(generator.config.num_ws):
        changed = ws.clone()
        changed[:, index] += 1
        assert largest(generator.synthesis(changed) - images) > 1e-3, f"style {index} is idle"


def test_the_image_of_a_latent_does_not_depend_on_the_batch() -> None:
    generator = build()
    z, _ = latents(generator, 5)
    together = generator(z)
    for i in range(5):
        assert largest(generator(z[i : i + 1])[0] - together[i]) < 1e-5


def test_a_small_clamp_bites_and_bounds_every_layer() -> None:
    clamped, free = build(conv_clamp=0.7), build()
    z, _ = latents(free, 2)
    assert largest(clamped(z) - free(z)) > 0.05

    seen: list[float] = []
    for layer in clamped.synthesis.layers():
        layer.register_forward_hook(lambda module, args, output: seen.append(largest(output)))
    clamped(z)
    assert seen == [pytest.approx(0.7)] * len(clamped.synthesis.layers())


@pytest.mark.parametrize("variant", ["wider", "conditional", "grey"])
def test_bf16_images_are_close_to_float32(variant: str) -> None:
    generator = build(**VARIANTS[variant])
    z, c = latents(generator, 4)
    with torch.no_grad():
        exact, rough = generator(z, c), generator(z, c, dtype=torch.bfloat16)

    assert rough.dtype == torch.float32
    assert 1e-4 < (rough - exact).std() / exact.std() < 0.03
    assert largest(rough - exact) < 0.15 * exact.std()


@pytest.mark.parametrize("variant", ["plain", "conditional", "clamped", "grey", "sharp filter"])
def test_gradients_equal_those_of_the_reference(variant: str) -> None:
    generator = build(**VARIANTS[variant])
    z, c = latents(generator, 3)
    z.requires_grad_()
    noise = layer_noise(generator, 3)
    side = generator.config.resolution
    weights = torch.randn(3, generator.config.img_channels, side, side, generator=torch.Generator().manual_seed(6))
    names, parameters = zip(*generator.named_parameters(), strict=True)

    fast = generator(z, c, noise_mode="random", noise=noise)
    w = reference_mapping(generator.mapping, z, c)
    slow = reference_synthesis(generator, w, "random", noise)

    got = torch.autograd.grad((fast * weights).sum(), [z, *parameters])
    expected = torch.autograd.grad((slow * weights).sum(), [z, *parameters])
    for name, a, b in zip(("z", *names), got, expected, strict=True):
        assert b.abs().max() > 0, f"{name} has no gradient"
        assert largest(a - b) < 1e-4 * float(b.abs().max()), name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("resolution", v) for v in (0, 2, 3, 12, 2048, -4, 16.0, "16", True, None)),
        *(("z_dim", v) for v in (0, 4097, 1.5, "8")),
        *(("c_dim", v) for v in (-1, 1_000_001, True)),
        *(("w_dim", v) for v in (0, 4097)),
        *(("mapping_layers", v) for v in (0, 33)),
        *(("img_channels", v) for v in (0, 5)),
        *(("channel_base", v) for v in (3, 15, (1 << 20) + 1, None)),
        *(("channel_max", v) for v in (0, 4097)),
        *(("num_fp16_res", v) for v in (-1, 10)),
        *(("conv_clamp", v) for v in (0, -1.0, float("nan"), float("inf"), "256", True)),
        *(
            ("resample_filter", v)
            for v in (
                (),
                (1, 2, 1),
                (1, 2, 3, 4),
                (0, 0, 0, 0),
                (-1, 3, 3, -1),
                (0.5, 1, 1, 0.5),
                [1, 3, 3, 1],
            )
        ),
    ],
)
def test_a_bad_architecture_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        GeneratorConfig(**{**TINY, field: value})
    assert str(caught.value).startswith(f"{field} is {value!r}")
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(
    exponent=st.integers(2, 10),
    base=st.integers(10, 20),
    widest=st.integers(1, 4096),
    clamp=st.none() | st.floats(1e-3, 1e6),
    taps=st.tuples(st.integers(0, 9), st.integers(1, 9)),
)
def test_an_architecture_survives_its_dictionary(
    exponent: int, base: int, widest: int, clamp: float | None, taps: tuple[int, int]
) -> None:
    config = GeneratorConfig(
        1 << exponent,
        channel_base=1 << base,
        channel_max=widest,
        conv_clamp=clamp,
        resample_filter=(*taps, *taps[::-1]),
    )
    assert GeneratorConfig.from_dict(config.to_dict()) == config
    assert config.block_resolutions == tuple(2**i for i in range(2, exponent + 1))
    assert config.num_ws == 2 * (exponent - 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"z_dim": 8}, "names no resolution"),
        ({"resolution": 16, "depth": 3}, "unknown architecture field 'depth'"),
        ({"resolution": 16, 7: 1, "a": 2}, "unknown architecture field 7"),
        ({"resolution": 16, "resample_filter": [1.5, 3, 3, 1.5]}, "resample_filter is"),
        ({"resolution": 16, "resample_filter": None}, "resample_filter is None"),
        ({"resolution": 16, "resample_filter": "1331"}, "resample_filter is '1331'"),
        ({"resolution": "sixteen"}, "resolution is 'sixteen'"),
    ],
)
def test_a_bad_architecture_dictionary_is_refused(values: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GeneratorConfig.from_dict(values)


def test_an_architecture_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GeneratorConfig(16).resolution = 32  # type: ignore[misc]
