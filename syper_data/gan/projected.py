"""Projected discriminator (Sauer et al. 2021, "Projected GANs Converge Faster").

A frozen feature net sees the image; fixed random 1x1 convolutions mix its channels (cross-channel
mixing) and fixed random 3x3 convolutions mix its scales from coarse to fine (cross-scale mixing);
on each of the four mixed scales a small discriminator is trained. :class:`ProjectedAdversary` is what
the training loop plays against.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from syper_data.errors import ConfigError
from syper_data.execution.team import Team, WholeBatchNorm
from syper_data.gan.adversary import Adversary, AdversaryConfig, Fakes, Seen, Term, Terms
from syper_data.gan.config import check_number, check_resolution, check_whole
from syper_data.gan.feature_net import FEATURE_CHANNELS, FEATURE_NET, FEATURE_STRIDES, FeatureNet
from syper_data.gan.layers import EqualizedLinear, normalize_second_moment
from syper_data.gan.variety import VarietyTerm

_GRIDS = (4, 4, 2, 1)  # places a side to which the maps at strides 4, 8, 16, 32 are pooled for variety
_PIXEL_GRIDS = (1, 2, 8)  # and the pixels: tone of skin and light, its slope, the layout


@dataclass(frozen=True)
class ProjectedConfig(AdversaryConfig):
    """Settings of the projected adversary.

    ``width`` is the number of channels that the features are mixed to. ``range_penalty`` weighs the
    mean square by which pixels leave [-1, 1]: the frozen feature net saturates there and would give
    the generator no gradient back (without it, training was seen to drift into saturated colours
    within 3 kimg). ``input_size`` is the side of what the feature net sees, a power of two from 128
    on; None is the generator's resolution. ``label_dim`` is the width of the class embedding.
    ``joint_norm`` normalises reals and fakes in one batch: apart, each by its own mean and deviation,
    fakes of too little contrast look to the discriminator as reals do.
    ``variety`` weighs the energy distance of :mod:`syper_data.gan.variety` (0: off).
    """

    kind: str = "projected"
    width: int = 64
    range_penalty: float = 100.0
    input_size: int | None = None
    label_dim: int = 64
    joint_norm: bool = False
    variety: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "projected":
            raise ConfigError(f"adversary.kind is {self.kind!r}: must be projected")
        check_whole("adversary.width", self.width, 1, 1024)
        check_whole("adversary.label_dim", self.label_dim, 1, 4096)
        check_number("adversary.range_penalty", self.range_penalty)
        check_number("adversary.variety", self.variety)
        if not isinstance(self.joint_norm, bool):
            raise ConfigError(f"adversary.joint_norm is {self.joint_norm!r}: must be true or false")
        if self.input_size is not None:
            check_resolution("adversary.input_size", self.input_size, 128, 1024)


class RandomMixing(nn.Module):
    """Fixed random projections of a feature pyramid to ``width`` channels a scale (section 3.2)."""

    def __init__(self, width: int, seed: int, dtype: torch.dtype) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        for i, channels in enumerate(FEATURE_CHANNELS):
            across = torch.randn(width, channels, 1, 1, generator=rng) * (2 / channels) ** 0.5
            scales = torch.randn(width, width, 3, 3, generator=rng) * (2 / (9 * width)) ** 0.5
            self.register_buffer(f"across{i}", across.to(dtype))
            self.register_buffer(f"scales{i}", scales.to(dtype).contiguous(memory_format=torch.channels_last))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps at strides 4..32 -> as many maps of ``width`` channels at the same strides."""
        mixed: list[Tensor] = []
        coarser: Tensor | None = None
        for i in reversed(range(len(features))):
            x = F.conv2d(features[i], self.get_buffer(f"across{i}"))
            if coarser is not None:
                x = x + F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=False)
            coarser = F.conv2d(x, self.get_buffer(f"scales{i}"), padding=1)
            mixed.append(coarser)
        return mixed[::-1]


class ScaleDiscriminator(nn.Module):
    """Strided spectral-norm convolutions from one feature scale to a small map of logits.

    The two fine scales (strides 4 and 8) are halved until 8 px and judged by a valid 4x4
    convolution, 5x5 logits: the generator gets a gradient for each region and the discriminator
    does not win by one global cue. The two coarse ones are halved until 4 px and give one logit
    for the whole image: without them, eyes were seen above brows.

    With ``c_dim`` classes, ``label_dim`` maps beside the logits are projected on the embedded class
    and added to them (Miyato & Koyama 2018).
    """

    def __init__(self, size: int, width: int, *, whole_image: bool, c_dim: int = 0, label_dim: int = 64) -> None:
        super().__init__()
        channels = width
        stages: list[nn.Module] = []
        while size > (4 if whole_image else 8):
            out = min(channels * 2, 2 * width)
            stages += [
                spectral_norm(nn.Conv2d(channels, out, 4, stride=2, padding=1, bias=False)),
                WholeBatchNorm(out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels, size = out, size // 2
        stages.append(spectral_norm(nn.Conv2d(channels, 1, 4)))
        self.stages = nn.Sequential(*stages)
        self.c_dim = c_dim
        if c_dim:
            self.embed = EqualizedLinear(c_dim, label_dim)
            self.relate = spectral_norm(nn.Conv2d(channels, label_dim, 4, bias=False))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """[n, width, s, s], one-hot float32 [n, c_dim] or None -> float32 [n, k]."""
        y: Tensor
        if not self.c_dim:
            y = self.stages(x)
            return y.float().flatten(1)
        if c is None:
            raise ValueError("a class-conditional network needs labels")
        for stage in list(self.stages)[:-1]:
            x = stage(x)
        direction = normalize_second_moment(self.embed(c).float())[:, :, None, None]
        related = (self.relate(x).float() * direction).sum(dim=1) / math.sqrt(direction.shape[1])
        logits: Tensor = self.stages[-1](x)
        y = logits.float().flatten(1) + related.flatten(1)
        return y


class ProjectedDiscriminator(nn.Module):
    """Images to logits, one set a feature scale. Only the scale discriminators have parameters.

    ``project`` holds the fixed part and ``judge`` the trained part, so that a training step can
    project an image once and use the result for both players. ``calibrate`` brings the mixed
    features of real images to unit variance, which the random projections alone do not.
    """

    gain: Tensor

    def __init__(
        self,
        feature_net: FeatureNet,
        *,
        resolution: int,
        width: int = 64,
        seed: int = 0,
        c_dim: int = 0,
        label_dim: int = 64,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.feature_net = feature_net
        self.mixing = RandomMixing(width, seed, dtype)
        self.heads = nn.ModuleList(
            [
                ScaleDiscriminator(resolution // s, width, whole_image=s >= 16, c_dim=c_dim, label_dim=label_dim)
                for s in FEATURE_STRIDES
            ]
        )
        self.register_buffer("gain", torch.ones(len(self.heads)))
        self.dtype = dtype

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Set each scale's gain from real images [n, 3, r, r] in [-1, 1]."""
        self.gain.fill_(1)
        self.gain.copy_(torch.stack([1 / p.float().std().clamp_min(1e-6) for p in self.project(images)]))

    def extract(self, images: Tensor) -> list[Tensor]:
        """Images [n, 3, h, h] in [-1, 1] -> the frozen net's maps at ``resolution``."""
        if images.shape[-1] != self.resolution:
            images = F.interpolate(
                images, size=(self.resolution,) * 2, mode="bilinear", align_corners=False, antialias=True
            )
        maps: list[Tensor] = self.feature_net(images.to(self.dtype))
        return maps

    def mix(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The frozen net's maps -> the mixed pyramid."""
        gains = self.gain.to(self.dtype)
        return [x * gain for x, gain in zip(self.mixing(features), gains, strict=True)]

    def project(self, images: Tensor) -> list[Tensor]:
        """Images in [-1, 1] -> the mixed feature pyramid."""
        return self.mix(self.extract(images))

    def judge(self, pyramid: Sequence[Tensor], c: Tensor | None = None) -> list[Tensor]:
        """The mixed pyramid -> float32 logits [n, k], one tensor a scale."""
        with torch.autocast(pyramid[0].device.type, self.dtype, enabled=self.dtype != torch.float32):
            return [head(x, c) for head, x in zip(self.heads, pyramid, strict=True)]

    def forward(self, images: Tensor, c: Tensor | None = None) -> list[Tensor]:
        return self.judge(self.project(images), c)


class ProjectedAdversary(Adversary):
    """The projected discriminator with hinge losses and the penalty on pixels out of range."""

    description = f"projected discriminator on {FEATURE_NET}"

    def __init__(self, config: ProjectedConfig, discriminator: ProjectedDiscriminator, seed: int = 0) -> None:
        super().__init__()
        self.variety = VarietyTerm(seed) if config.variety else None
        self.tones = VarietyTerm(seed + 1, keep_reals=True) if config.variety else None
        self.config = config
        self.discriminator = discriminator
        self.trained = discriminator.heads

    def calibrate(self, images: Tensor) -> None:
        self.discriminator.calibrate(images)

    def look(self, images: Tensor) -> Seen:
        features = self.discriminator.extract(images)
        return Seen(images, self.discriminator.mix(features), features)

    def judge(self, seen: Seen, c: Tensor | None) -> list[Tensor]:
        return self.discriminator.judge(seen.judged, c)

    def judge_both(
        self, real: Seen, real_c: Tensor | None, fake: Seen, fake_c: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        if not self.config.joint_norm:
            return super().judge_both(real, real_c, fake, fake_c)
        pyramid = [torch.cat(pair) for pair in zip(real.judged, fake.judged, strict=True)]
        c = None if real_c is None or fake_c is None else torch.cat([real_c, fake_c])
        logits, n = self.discriminator.judge(pyramid, c), len(real.images)
        return [x[:n] for x in logits], [x[n:] for x in logits]

    def judge_fakes(self, real: Seen, real_c: Tensor | None, fake: Seen, fake_c: Tensor | None) -> list[Tensor]:
        if not self.config.joint_norm:
            return super().judge_fakes(real, real_c, fake, fake_c)
        return self.judge_both(real, real_c, fake, fake_c)[1]

    def discriminator_terms(self, real: list[Tensor], fake: list[Tensor]) -> Terms:
        return {"loss_d": Term(hinge_discriminator_loss(real, fake))}

    def generator_terms(self, logits: list[Tensor], seen: Seen, fakes: Fakes, real: Seen) -> Terms:
        excess = F.relu(fakes.images.abs() - 1).square().mean()
        terms = {
            "loss_g": Term(hinge_generator_loss(logits)),
            "excess": Term(excess, self.config.range_penalty),
        }
        if self.variety is not None and self.tones is not None:
            team = Team.current()
            terms["variety"] = Term(self.variety.value(_pooled(seen), _pooled(real), team), self.config.variety)
            terms["tones"] = Term(self.tones.value(_tones(fakes.images), [], team), self.config.variety)
        return terms

    @torch.no_grad()
    def survey(self, batches: Iterable[Tensor]) -> None:
        if self.variety is not None and self.tones is not None:
            pairs = [(_pooled(self.look(images)), _tones(images)) for images in batches]
            self.variety.fit(pooled for pooled, _ in pairs)
            self.tones.fit(tones for _, tones in pairs)

    def state(self) -> dict[str, Any]:
        terms = {"variety": self.variety, "tones": self.tones}
        return {"heads": super().state(), **{k: v.state() for k, v in terms.items() if v is not None}}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state["heads"])
        for name, term in {"variety": self.variety, "tones": self.tones}.items():
            if term is not None:
                term.restore(state[name])

    def spaces(self, images: Tensor) -> list[Tensor]:
        """Pooled pixels, and the frozen net's maps at stride 16 pooled to 4x4: [n, 1792]."""
        maps = self.discriminator.extract(images)[FEATURE_STRIDES.index(16)]
        return [*super().spaces(images), F.adaptive_avg_pool2d(maps.float(), 4).flatten(1)]


def _pooled(seen: Seen) -> list[Tensor]:
    """The frozen net's maps pooled to a few places, coarser where they have more channels."""
    return [F.adaptive_avg_pool2d(x.float(), g).flatten(1) for x, g in zip(seen.features, _GRIDS, strict=True)]


def _tones(images: Tensor) -> list[Tensor]:
    """The pixels pooled to a few places. Of images that were not augmented: cutouts, shifts and changes of
    colour would hide the tones that are asked for."""
    return [F.adaptive_avg_pool2d(images.float(), g).flatten(1) for g in _PIXEL_GRIDS]


def hinge_discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the discriminator, summed over scales (Lim & Ye 2017)."""
    losses = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).sum()


def hinge_generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the generator, summed over scales."""
    return torch.stack([-f.mean() for f in fake]).sum()
