"""What a training run is made of before its first step: adversary, optimisers, checks."""

from __future__ import annotations

import torch
from torch import nn

from syper_data.errors import ConfigError
from syper_data.execution.team import Team
from syper_data.gan.adversary import Adversary
from syper_data.gan.crops import Crops
from syper_data.gan.feature_net import load_feature_net
from syper_data.gan.projected import ProjectedAdversary, ProjectedConfig, ProjectedDiscriminator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.regularisation import PATH_LENGTH_SHRINK
from syper_data.gan.stylegan2 import StyleGAN2Adversary, StyleGAN2Config

_BETAS = (0.0, 0.99)


def build_adversary(recipe: TrainingRecipe, dtype: torch.dtype) -> Adversary:
    """The adversary that the recipe describes, untrained.

    Raises:
        MissingExtraError: the projected one without the ``[train]`` extra.
    """
    config, generator = recipe.adversary, recipe.generator
    if isinstance(config, StyleGAN2Config):
        return StyleGAN2Adversary(config, generator, batch=recipe.batch, dtype=dtype)
    assert isinstance(config, ProjectedConfig)
    network = ProjectedDiscriminator(
        load_feature_net(dtype),
        resolution=config.input_size or generator.resolution,
        width=config.width,
        seed=recipe.seed,
        c_dim=generator.c_dim,
        label_dim=config.label_dim,
        dtype=dtype,
    )
    return ProjectedAdversary(config, network, recipe.seed)


def adam(network: nn.Module, rate: float, interval: int) -> torch.optim.Adam:
    """Adam, corrected for a regulariser that runs as a step of its own every ``interval`` steps
    (0: never): k + 1 steps are made where k were, so rate and betas take the power k / (k + 1)
    (Karras et al. 2020a, appendix B)."""
    share = interval / (interval + 1) if interval else 1.0
    betas = (_BETAS[0] ** share, _BETAS[1] ** share)
    optimiser = torch.optim.Adam(network.parameters(), rate * share, betas)
    for group in optimiser.param_groups:
        group["initial_lr"] = rate * share
    return optimiser


def settle_classes(recipe: TrainingRecipe, crops: Crops) -> TrainingRecipe:
    """The recipe with the number of classes that the data have.

    Raises:
        ConfigError: the recipe says another number.
    """
    if not recipe.conditional:
        return recipe
    count = len(crops.classes)
    if not recipe.auto_classes and recipe.generator.c_dim != count:
        raise ConfigError(
            f"generator.c_dim is {recipe.generator.c_dim}, the data have {count} classes: give that or auto"
        )
    return recipe.with_classes(count)


def check_team(recipe: TrainingRecipe, team: Team) -> None:
    """Refuse numbers of processes over which the batch does not divide."""
    n, config = recipe.batch, recipe.adversary
    if n % team.size:
        raise ConfigError(f"batch is {n}: does not divide over {team.size} processes")
    if config.path_length_weight and n // PATH_LENGTH_SHRINK % team.size:
        raise ConfigError(f"batch is {n}: its half, for path lengths, does not divide over {team.size} processes")
    if isinstance(config, StyleGAN2Config) and config.mbstd_num_channels:
        group = config.mbstd_group_size
        if -(-n // team.size // group) * team.size != -(-n // group):
            raise ConfigError(
                f"batch is {n}: its groups of {group} for the minibatch deviation do not divide over "
                f"{team.size} processes"
            )
