"""How a generator starts: faint, or from a generator file (``--init-from``)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from syper_data.errors import ConfigError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.generator_file import GeneratorFile

_SHARED = ("z_dim", "w_dim", "mapping_layers", "img_channels", "conv_clamp", "resample_filter")


@torch.no_grad()
def lower_contrast(generator: Generator, factor: float = 0.1) -> None:
    """Start from faint images: the sum of all resolutions at unit variance is several times the
    contrast of a photograph, and unlearning it cost about 10 kimg of saturated colour."""
    for block in generator.synthesis.blocks():
        block.torgb.weight.mul_(factor)


@torch.no_grad()
def start_from(generator: Generator, source: GeneratorFile, classes: Sequence[str] = ()) -> None:
    """Give ``generator`` the weights of a generator file.

    Equal architectures share all weights. A larger resolution keeps the source's blocks, and its new
    ones add nothing to the image at first, so it begins as the source's image up-sampled. With
    classes that the source does not have, the label embedding is new. Where the source has no classes at
    all, label and z share the first dense layer, half of its variance each: every class begins as a part of what
    the source makes. (Begun without effect, the label's weights would stay so: at the mapping's learning rate of
    1 % nine thousand images changed nothing that can be seen.)

    Raises:
        ConfigError: the architectures do not fit, with the field and both values.
    """
    mine, theirs = generator.config, source.config
    _check(mine, theirs, source.name)
    weights = dict(source.generator.state_dict())
    same_classes = list(source.summary.get("classes", [])) == list(classes)
    if mine.c_dim and not (mine.c_dim == theirs.c_dim and same_classes):
        for name in ("mapping.embed.weight", "mapping.embed.bias"):
            weights[name] = generator.state_dict()[name]
    if mine.c_dim and not theirs.c_dim:
        fresh = generator.state_dict()["mapping.fc0.weight"]  # of unit variance, as the source's columns began
        weights["mapping.fc0.weight"] = torch.cat([weights["mapping.fc0.weight"], fresh[:, mine.z_dim :]], dim=1)
    for name, value in generator.state_dict().items():  # shares memory with the network
        if name in weights:
            value.copy_(weights[name])
    for block in generator.synthesis.blocks():
        if block.conv1.resolution > theirs.resolution:
            block.torgb.weight.zero_()
            block.torgb.bias.zero_()


def _check(mine: GeneratorConfig, theirs: GeneratorConfig, name: str) -> None:
    for key in _SHARED:
        if getattr(mine, key) != getattr(theirs, key):
            _refuse(name, key, getattr(theirs, key), getattr(mine, key))
    if theirs.resolution > mine.resolution:
        _refuse(name, "resolution", theirs.resolution, mine.resolution)
    if theirs.c_dim and not mine.c_dim:
        _refuse(name, "c_dim", theirs.c_dim, mine.c_dim)
    for resolution in theirs.block_resolutions:
        if mine.channels(resolution) != theirs.channels(resolution):
            what = f"channels at {resolution} px"
            _refuse(name, what, theirs.channels(resolution), mine.channels(resolution))


def _refuse(name: str, what: str, theirs: object, mine: object) -> None:
    raise ConfigError(f"--init-from {name}: its {what} is {theirs}, the recipe's {mine}; they must fit")
