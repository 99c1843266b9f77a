"""The StyleGAN2 adversary's losses and the generator's regularisers, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from small_generators import small_generator
from syper_data.errors import ConfigError
from syper_data.gan.adversary import Fakes, Seen, total
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.regularisation import draw_crossover, mix_styles, path_lengths
from syper_data.gan.stylegan2 import StyleGAN2Adversary, StyleGAN2Config

GENERATOR = GeneratorConfig(16, channel_base=128, channel_max=8)


def build(**changes: object) -> StyleGAN2Adversary:
    torch.manual_seed(0)
    config = StyleGAN2Config(**{"cmap_dim": 8, "mapping_layers": 1, **changes})  # type: ignore[arg-type]
    return StyleGAN2Adversary(config, GENERATOR, batch=8, dtype=torch.float32)


def test_losses_are_the_non_saturating_logistic_ones() -> None:
    real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[-1.0], [1.0]])
    adversary = build()
    (term,) = adversary.discriminator_terms([real], [fake]).values()
    expected = (
        sum(math.log(1 + math.exp(-r)) for r in (2, 0)) / 2 + sum(math.log(1 + math.exp(f)) for f in (-1, 1)) / 2
    )
    assert term.value.item() == pytest.approx(expected)
    nothing = Seen(fake, [fake])
    terms = adversary.generator_terms([fake], nothing, Fakes(fake, fake, None), nothing)
    assert total(terms).item() == pytest.approx(sum(math.log(1 + math.exp(-f)) for f in (-1, 1)) / 2)


def test_r1_is_the_squared_gradient_at_the_images_judged() -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.arange(12.0).reshape(3, 2, 2))

        def forward(self, images: Tensor, c: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
            return (images * self.weight).sum(dim=(1, 2, 3))[:, None]

    adversary = build(r1_gamma=3.0, r1_interval=5)
    adversary.trained = Linear()
    (term,) = adversary.penalty(torch.randn(4, 3, 2, 2), None).values()
    assert term.value.item() == pytest.approx(sum(i * i for i in range(12)))
    assert term.weight == 3.0 / 2 * 5
    (slope,) = torch.autograd.grad(term.value, [adversary.trained.weight])
    assert torch.allclose(slope, 2 * adversary.trained.weight)


def test_the_weight_of_r1_follows_size_and_batch_unless_it_is_given() -> None:
    assert build().gamma == pytest.approx(0.0002 * 16 * 16 / 8)
    assert build(r1_gamma=4.0).gamma == 4.0
    assert build(r1_gamma=0.0).penalty_interval == 0


def test_the_discriminator_has_the_generators_size_unless_it_is_given() -> None:
    same = StyleGAN2Config().discriminator(GENERATOR)
    assert (same.channel_base, same.channel_max, same.resolution) == (128, 8, 16)
    other = StyleGAN2Config(channel_base=256, channel_max=4).discriminator(GENERATOR)
    assert (other.channel_base, other.channel_max) == (256, 4)


def test_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="kind is 'projected': must be stylegan2"):
        StyleGAN2Config(kind="projected")


def test_mixed_styles_change_from_the_crossover_on() -> None:
    first, second = torch.zeros(3, 5), torch.ones(3, 5)
    ws = mix_styles(first, second, torch.tensor([1, 3, 4]), 4)
    assert ws[:, :, 0].tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert torch.equal(ws, ws[:, :, :1].expand(-1, -1, 5))


def test_crossovers_fall_on_every_layer_for_the_share_of_images() -> None:
    places = draw_crossover(4000, 6, 0.75, torch.Generator().manual_seed(0))
    counts = torch.bincount(places, minlength=7)
    assert counts[0] == 0
    assert counts[6].item() == pytest.approx(1000, abs=100)
    assert counts[1:6].tolist() == pytest.approx([600] * 5, abs=80)
    assert (draw_crossover(100, 6, 0.0, torch.Generator()) == 6).all()


def test_the_path_length_of_a_linear_generator_is_known() -> None:
    matrix = torch.randn(3 * 4 * 4, 5, generator=torch.Generator().manual_seed(1))
    ws = torch.randn(2, 6, 5, requires_grad=True)
    images = (ws.sum(dim=1) @ matrix.t()).reshape(2, 3, 4, 4)
    directions = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    expected = (directions.flatten(1) @ matrix / 4).norm(dim=1)  # every layer has this gradient
    assert torch.allclose(path_lengths(images, ws, directions), expected, rtol=1e-4)


def test_path_lengths_can_be_pushed_down() -> None:
    generator = small_generator()
    ws = torch.randn(4, generator.config.num_ws, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    images = generator.synthesis(ws, noise_mode="const")
    directions = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    loss = path_lengths(images, ws, directions).square().mean()
    names, parameters = zip(*generator.synthesis.named_parameters(), strict=True)
    slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
    for name, slope in zip(names, slopes, strict=True):
        if name.endswith("weight"):
            assert slope is not None, name
            assert torch.isfinite(slope).all()
            assert slope.abs().max() > 0, name
