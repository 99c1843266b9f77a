"""What an image's bytes depend on besides the settings: versions and the kind of processor."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import numpy
import pyarrow
import torch

from syper_data.dataset.settings import SamplingSettings
from syper_data.errors import DriftError, UsageError
from syper_data.imaging.codec import encoder_identity

# Largest difference between images made again on another kind of processor, in levels of 0..255;
# measured on the bundled generator (tests/sampling/test_drift.py), with room to spare
_DRIFT_TOLERANCE = {"fp32": 2, "bf16": 10}


def require_device(device: str) -> None:
    """Raise :class:`UsageError` where ``cuda`` is asked for and this torch finds none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "device cuda: this torch finds no CUDA device (sample with --device cpu, verify with --rows 0)"
        )


def current_environment(settings: SamplingSettings) -> dict[str, str]:
    """The environment that a manifest records, for images made with these settings."""
    encoder = encoder_identity(settings.image_format)
    cpu = settings.device == "cpu"
    return {
        "encoder": f"{encoder['library']} {encoder['version']}, {encoder['codec']}",
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pyarrow": pyarrow.__version__,
        "processor": platform.machine(),
        "cpu_capability": cpu_capability() if cpu else torch.cuda.get_device_name(),
    }


def cpu_capability() -> str:
    """The instruction sets that choose torch's kernels, e.g. ``AVX512+BF16+AMX``."""
    names = [torch.backends.cpu.get_cpu_capability()]
    if torch.cpu._is_avx512_bf16_supported():
        names.append("BF16")
    if torch.cpu._is_amx_tile_supported():
        names.append("AMX")
    return "+".join(names)


def drift_tolerance(precision: str) -> int:
    """Levels of 0..255 that another kind of processor may change a pixel by, at this precision."""
    return _DRIFT_TOLERANCE[precision]


def differences(recorded: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    """One phrase for each entry that differs, ours first."""
    return [
        f"{name} is {current.get(name, 'absent')} here, {recorded.get(name, 'absent')} in the manifest"
        for name in sorted(set(recorded) | set(current))
        if recorded.get(name) != current.get(name)
    ]


def require_same(recorded: Mapping[str, str], current: Mapping[str, str], where: str) -> None:
    """Raise :class:`DriftError` with the first difference, unless there is none."""
    found = differences(recorded, current)
    if found:
        raise DriftError(
            f"{where}: {found[0]}, so the bytes would differ; use the same versions and kind of machine, "
            "or --accept-drift"
        )
