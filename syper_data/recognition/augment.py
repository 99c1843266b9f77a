"""What a recognizer must not depend on: small shifts and turns, light, colour, focus, noise, codec, cover.

One batch at a time, on tensors. All numbers are drawn for the whole batch first, so that several
processes which share it see the same images as one. There is no flip by default: crops have a
canonical orientation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from syper_data.execution.team import Team
from syper_data.gan.config import check_number, check_whole
from syper_data.recognition.compression import compress

_SHARES = ("flip", "grey", "blur", "low_resolution", "noise", "jpeg", "cutout")
_RANGES = {
    "shift": 0.5, "scale": 0.9, "rotation": 180.0, "brightness": 1.0, "contrast": 1.0, "gamma": 3.0, "colour": 1.0,
    "blur_sigma": 8.0, "noise_deviation": 1.0, "cutout_size": 1.0, "shading": 2.0, "pupil": 1.0,
}  # fmt: skip
_IRIS = 1 / 2.4  # radius of the iris in a crop whose half side is 1, as ``crop`` makes them
_LAMPS = 3  # a side of the grid of gains of ``shading``
_DRAWS = (
    *("angle", "zoom", "x", "y", "bright", "contrast", "gamma", "red", "green", "blue"),
    *("blur_sigma", "noise_deviation", "quality", "cover_x", "cover_y", "cover_w", "cover_h", *_SHARES),
)


@dataclass(frozen=True)
class AugmentConfig:
    """How far each change may go; 0 is off.

    Every image: ``shift`` (share of the side, either way), ``scale`` (share), ``rotation`` (degrees),
    ``brightness`` (of the range 0..1), ``contrast`` (share), ``gamma`` (exponents up to e^gamma and down to
    e^-gamma), ``colour`` (gain of each channel, share), ``shading`` (light from elsewhere: a smooth field
    of gains, the deviation of their logarithm at most this) and ``pupil`` (wider or narrower, the iris keeps its
    outer edge: the relative radius inside it is raised to a power between e^-pupil and e^pupil; for crops whose
    iris is at the centre). Shares of the images: ``flip``, ``grey``,
    ``blur`` (Gaussian, up to ``blur_sigma`` pixels), ``low_resolution`` (down to at most
    ``smallest_resolution`` of the side and up again), ``noise`` (deviation up to ``noise_deviation`` of
    the range), ``jpeg`` (quality ``jpeg_quality``..95) and ``cutout`` (a grey rectangle, sides up to
    ``cutout_size``).

    Raises:
        ConfigError: a value is out of range.
    """

    shift: float = 0.04
    scale: float = 0.06
    rotation: float = 6.0
    brightness: float = 0.15
    contrast: float = 0.2
    gamma: float = 0.25
    colour: float = 0.1
    shading: float = 0.0
    pupil: float = 0.0
    flip: float = 0.0
    grey: float = 0.0
    blur: float = 0.2
    blur_sigma: float = 1.5
    low_resolution: float = 0.15
    smallest_resolution: float = 0.35
    noise: float = 0.2
    noise_deviation: float = 0.04
    jpeg: float = 0.2
    jpeg_quality: int = 40
    cutout: float = 0.3
    cutout_size: float = 0.35

    def __post_init__(self) -> None:
        for name in _SHARES:
            check_number(f"augment.{name}", getattr(self, name), 0, 1)
        for name, most in _RANGES.items():
            check_number(f"augment.{name}", getattr(self, name), 0, most)
        check_number("augment.smallest_resolution", self.smallest_resolution, 0.05, 1)
        check_whole("augment.jpeg_quality", self.jpeg_quality, 1, 95)

    @classmethod
    def none(cls) -> AugmentConfig:
        """Every change off."""
        off = {f.name: 0 for f in fields(cls)} | {"smallest_resolution": 1.0, "jpeg_quality": 95}
        return cls(**off)  # type: ignore[arg-type]


def augment(
    images: Tensor, size: int, count: int, config: AugmentConfig, rng: torch.Generator, team: Team | None = None
) -> Tensor:
    """This process's images of a batch, changed, at the size that the network takes.

    ``images`` is uint8 [n, 3, h, w], n of the ``count`` images of the whole batch; ``size`` a multiple
    of 8. The geometry is one bilinear resampling, edges are mirrored.  # float32 [n, 3, size, size] in [-1, 1]
    """
    team = team or Team()
    u = torch.rand(count, len(_DRAWS), generator=rng)
    draws = {name: u[:, i].to(images.device) for i, name in enumerate(_DRAWS)}
    chosen = {name: draws[name] < getattr(config, name) for name in _SHARES}
    noise = torch.randn(int(chosen["noise"].sum()), 3, size, size, generator=rng)
    low = float(torch.rand((), generator=rng))
    fields = torch.randn(count, 1, _LAMPS, _LAMPS, generator=rng) if config.shading else None
    strength = torch.rand(count, 1, 1, 1, generator=rng) if config.shading else None
    if config.pupil:  # drawn apart, as the fields are: without it all other numbers stay what they were
        draws["pupil"] = torch.rand(count, generator=rng).to(images.device)
    places = (chosen["noise"].cumsum(0) - 1).cpu()
    draws = {name: team.mine(v) for name, v in draws.items()}
    chosen = {name: team.mine(v) for name, v in chosen.items()}

    x = images.float() / 255
    x = _warp(x, size, config, draws, chosen["flip"])
    x = _lower_resolution(x, config.smallest_resolution, low, chosen["low_resolution"])
    x = _blur(x, config.blur_sigma, draws["blur_sigma"], chosen["blur"])
    x = _relight(x, config, draws, chosen["grey"])
    if fields is not None and strength is not None:
        x = _shade(x, team.mine(fields * strength).to(x.device) * config.shading)
    own = noise[team.mine(places)[chosen["noise"].cpu()]].to(x.device)
    x[chosen["noise"]] += (
        own * (config.noise_deviation * draws["noise_deviation"][chosen["noise"]])[:, None, None, None]
    )
    if bool(chosen["jpeg"].any()):
        quality = config.jpeg_quality + (95 - config.jpeg_quality) * draws["quality"][chosen["jpeg"]]
        x[chosen["jpeg"]] = compress(x[chosen["jpeg"]].clamp(0, 1), quality)
    x = _cover(x, config.cutout_size, draws, chosen["cutout"])
    return (x.clamp_(0, 1) * 2 - 1).contiguous(memory_format=torch.channels_last)


def _either_way(u: Tensor) -> Tensor:
    return 2 * u - 1


def _warp(x: Tensor, size: int, config: AugmentConfig, draws: dict[str, Tensor], flip: Tensor) -> Tensor:
    """Rotation about the centre, zoom, shift, flip and pupil: where each pixel of the output comes from."""
    angle = _either_way(draws["angle"]) * math.radians(config.rotation)
    zoom = 1 / (1 + _either_way(draws["zoom"]) * config.scale)
    sign = 1 - 2 * flip.float()
    shift = [2 * config.shift * _either_way(draws[axis]) for axis in ("x", "y")]
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = [torch.stack([sign * cos, -sign * sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [len(x), 3, size, size], align_corners=False)
    if config.pupil:
        grid = _within_the_iris(grid, torch.exp(_either_way(draws["pupil"]) * config.pupil))
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _within_the_iris(grid: Tensor, powers: Tensor) -> Tensor:
    """Places [n, h, w, 2], moved along the radius inside the iris: r becomes r^power, and is 1 at the edge."""
    r = grid.norm(dim=3, keepdim=True) / _IRIS
    moved = grid * r.clamp(min=1e-3) ** (powers[:, None, None, None] - 1)
    return torch.where(r < 1, moved, grid)


def _lower_resolution(x: Tensor, smallest: float, draw: float, chosen: Tensor) -> Tensor:
    """Down and up again: one size a batch, so that the chosen images are resampled together."""
    side = x.shape[-1]
    small = max(round(side * (smallest + (1 - smallest) * draw)), 4)
    if small < side and bool(chosen.any()):
        y = F.interpolate(x[chosen], size=small, mode="bilinear", antialias=True)
        x[chosen] = F.interpolate(y, size=side, mode="bilinear")
    return x


def _blur(x: Tensor, largest: float, draw: Tensor, chosen: Tensor) -> Tensor:
    """A Gaussian of its own sigma for each chosen image, rows then columns."""
    if largest <= 0 or not bool(chosen.any()):
        return x
    y = x[chosen]
    n, c, h, w = y.shape
    sigma = (largest * draw[chosen]).clamp(min=0.05)
    reach = min(math.ceil(3 * largest), h - 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / sigma[:, None]).square())
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(c, 0)[:, None, None]  # [n c, 1, 1, taps]
    flat = F.pad(y.reshape(1, n * c, h, w), (reach, reach, reach, reach), mode="reflect")
    flat = F.conv2d(F.conv2d(flat, taps, groups=n * c), taps.transpose(2, 3), groups=n * c)
    x[chosen] = flat.view(n, c, h, w)
    return x


def _relight(x: Tensor, config: AugmentConfig, draws: dict[str, Tensor], grey: Tensor) -> Tensor:
    """Gamma, contrast about the image's mean, brightness, gain of each channel; then grey."""
    if config.gamma:
        exponent = torch.exp(_either_way(draws["gamma"]) * config.gamma)
        x = x.clamp(1e-4, 1).pow(exponent[:, None, None, None])
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast = 1 + _either_way(draws["contrast"])[:, None, None, None] * config.contrast
    bright = _either_way(draws["bright"])[:, None, None, None] * config.brightness
    gains = 1 + config.colour * _either_way(torch.stack([draws[c] for c in ("red", "green", "blue")], 1))
    x = ((x - mean) * contrast + mean + bright) * gains[:, :, None, None]
    if bool(grey.any()):
        x[grey] = x[grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return x


def _shade(x: Tensor, fields: Tensor) -> Tensor:
    """Gains whose logarithms are these values [n, 1, k, k] at the places of a coarse grid, smooth between."""
    fields = fields - fields.mean((2, 3), keepdim=True)
    wide = F.interpolate(fields, size=x.shape[-1], mode="bicubic", align_corners=True)
    return x.clamp(0, 1) * torch.exp(wide)


def _cover(x: Tensor, largest: float, draws: dict[str, Tensor], chosen: Tensor) -> Tensor:
    """A grey rectangle with its centre anywhere in the image."""
    if largest <= 0 or not bool(chosen.any()):
        return x
    place = (torch.arange(x.shape[-1], device=x.device) + 0.5) / x.shape[-1]
    wide = (place[None] - draws["cover_x"][:, None]).abs() < largest / 2 * draws["cover_w"][:, None]
    high = (place[None] - draws["cover_y"][:, None]).abs() < largest / 2 * draws["cover_h"][:, None]
    covered = (high[:, :, None] & wide[:, None, :] & chosen[:, None, None])[:, None]
    return torch.where(covered, 0.5, x)
