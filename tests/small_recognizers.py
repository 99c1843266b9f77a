"""Recognizers with random weights, in which every weight and statistic matters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from syper_data.recognition.backbones import Backbone, build_backbone
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import write_recognizer

SMALL = BackboneConfig("mobilefacenet", 112, 128, "pooling")


def random_backbone(config: BackboneConfig = SMALL, seed: int = 0) -> Backbone:
    """Weights and batch statistics that differ from one and zero, so that each of them matters."""
    torch.manual_seed(seed)
    network = build_backbone(config)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            elif isinstance(module, nn.PReLU):
                module.weight.uniform_(-0.2, 0.5)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return network.eval().requires_grad_(False)


def save_random_recognizer(
    path: Path,
    config: BackboneConfig = SMALL,
    seed: int = 0,
    *,
    name: str = "random",
    spectrum: str | None = "vis",
    orientation: str = "canonical",
    identities: Iterable[str] | None = (),
) -> Path:
    """Write :func:`random_backbone` as a recognizer file."""
    write_recognizer(
        path,
        random_backbone(config, seed),
        config,
        name=name,
        spectrum=spectrum,
        orientation=orientation,
        identities=identities,
        summary={"made_for": "tests"},
    )
    return path
