"""How well a network tells people apart that it was not trained on: the EER over all pairs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from syper_data.metrics.error_rates import Scores
from syper_data.metrics.pairs import Vectors, all_pairs
from syper_data.recognition.eyes import Eyes

_BLOCK = 16  # images that go through the network together


@torch.no_grad()
def validate(backbone: nn.Module, eyes: Eyes, device: torch.device, *, mirrored: bool = False) -> dict[str, float]:
    """``eer``, and the mean similarity of mated and of non-mated pairs (ISO/IEC 19795-1).

    Mated are two images of one class, non-mated those of two people; two eyes of one person that are two
    classes are neither. A ``mirrored`` network sees the mirror image of every eye. A figure for the
    log, without an interval: no choice rests on it alone.
    """
    pairs = all_pairs(vectors(backbone, eyes, device, mirrored=mirrored), eyes.labels, eyes.people)
    eer = Scores(pairs.mated, pairs.nonmated).equal_error_rate().value
    return {"eer": eer, "mated": float(pairs.mated.mean()), "nonmated": float(pairs.nonmated.mean())}


@torch.no_grad()
def vectors(backbone: nn.Module, eyes: Eyes, device: torch.device, *, mirrored: bool = False) -> Vectors:
    """The network's vectors in evaluation mode, of length 1.  # float32 [n, d]"""
    mode = backbone.training
    backbone.eval()
    try:
        parts = []
        for start in range(0, len(eyes), _BLOCK):
            block = torch.from_numpy(np.stack(eyes.pixels[start : start + _BLOCK]))
            x = block.permute(0, 3, 1, 2).to(device).float().sub_(127.5).div_(127.5)
            parts.append(F.normalize(backbone(x.flip(3) if mirrored else x).float()).cpu())
    finally:
        backbone.train(mode)
    found: Vectors = torch.cat(parts).numpy()
    return found
