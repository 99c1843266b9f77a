"""The StyleGAN2 adversary: residual discriminator, non-saturating logistic loss, lazy R1.

Karras et al. 2020a (section 3.1, appendix B), Goodfellow et al. 2014 (non-saturating loss) and
Mescheder et al. 2018 (R1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.errors import ConfigError
from syper_data.gan.adversary import Adversary, AdversaryConfig, Fakes, Seen, Term, Terms
from syper_data.gan.config import GeneratorConfig, check_number, check_whole
from syper_data.gan.discriminator import Discriminator, DiscriminatorConfig


@dataclass(frozen=True)
class StyleGAN2Config(AdversaryConfig):
    """Settings of the StyleGAN2 adversary.

    ``r1_gamma`` weighs the mean squared gradient norm at real images, by half, every ``r1_interval``
    steps with the weight times the interval; None is 0.0002 x pixels / batch (Karras et al. 2020b,
    appendix C). ``channel_base`` and ``channel_max`` None are the generator's. The other fields are
    those of :class:`~syper_data.gan.discriminator.DiscriminatorConfig`.
    """

    kind: str = "stylegan2"
    style_mixing: float = 0.9
    path_length_weight: float = 2.0
    path_length_interval: int = 4
    r1_gamma: float | None = None
    r1_interval: int = 16
    channel_base: int | None = None
    channel_max: int | None = None
    cmap_dim: int = 512
    mapping_layers: int = 8
    mbstd_group_size: int = 4
    mbstd_num_channels: int = 1
    conv_clamp: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "stylegan2":
            raise ConfigError(f"adversary.kind is {self.kind!r}: must be stylegan2")
        if self.r1_gamma is not None:
            check_number("adversary.r1_gamma", self.r1_gamma)
        check_whole("adversary.r1_interval", self.r1_interval, 1, 1024)
        for name in ("channel_base", "channel_max"):
            if getattr(self, name) is not None:
                check_whole(f"adversary.{name}", getattr(self, name), 1, 1 << 20)

    def discriminator(self, generator: GeneratorConfig) -> DiscriminatorConfig:
        """The network that faces ``generator``.

        Raises:
            ConfigError: a value is out of range, or the generator's resolution below 8.
        """
        try:
            return DiscriminatorConfig(
                generator.resolution,
                c_dim=generator.c_dim,
                cmap_dim=self.cmap_dim,
                mapping_layers=self.mapping_layers,
                img_channels=3,  # grey images come as three equal channels
                channel_base=generator.channel_base if self.channel_base is None else self.channel_base,
                channel_max=generator.channel_max if self.channel_max is None else self.channel_max,
                mbstd_group_size=self.mbstd_group_size,
                mbstd_num_channels=self.mbstd_num_channels,
                conv_clamp=self.conv_clamp,
                resample_filter=generator.resample_filter,
            )
        except ConfigError as error:
            raise ConfigError(f"adversary: {error}") from error


class StyleGAN2Adversary(Adversary):
    """Images to one logit; the gradient penalty looks at the images that the network judges, that is
    after augmentation."""

    description = "StyleGAN2 discriminator"

    def __init__(
        self, config: StyleGAN2Config, generator: GeneratorConfig, *, batch: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.trained = Discriminator(config.discriminator(generator))
        gamma = config.r1_gamma
        self.gamma = 0.0002 * generator.resolution**2 / batch if gamma is None else float(gamma)
        self.penalty_interval = config.r1_interval if self.gamma else 0
        self.dtype = dtype

    def look(self, images: Tensor) -> Seen:
        return Seen(images, [images])

    def judge(self, seen: Seen, c: Tensor | None) -> list[Tensor]:
        logits: Tensor = self.trained(seen.judged[0], c, dtype=self.dtype)
        return [logits]

    def discriminator_terms(self, real: list[Tensor], fake: list[Tensor]) -> Terms:
        return {"loss_d": Term(F.softplus(-real[0]).mean() + F.softplus(fake[0]).mean())}

    def generator_terms(self, logits: list[Tensor], seen: Seen, fakes: Fakes, real: Seen) -> Terms:
        return {"loss_g": Term(F.softplus(-logits[0]).mean())}

    def penalty(self, reals: Tensor, c: Tensor | None) -> Terms:
        """R1 in float32: the squared norm of the logits' gradient, averaged over the images."""
        images = reals.detach().requires_grad_()
        logits = self.trained(images, c)
        (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        norm = slope.square().sum(dim=(1, 2, 3)).mean()
        return {"r1": Term(norm, self.gamma / 2 * self.penalty_interval)}
