"""The augmentation pipeline of adaptive discriminator augmentation (Karras et al. 2020b, appendix B).

Six groups in this order: pixel blitting, general geometry, colour, image-space filtering, additive
noise, cutout. Every transform is applied to an image with the same probability p. ``draw_ada`` makes
all random numbers, ``apply_ada`` is a differentiable function of the images. An image that no
transform of a group chose passes that group untouched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from syper_data.errors import ConfigError
from syper_data.execution.team import Team
from syper_data.gan.config import check_number, check_positive, check_whole
from syper_data.gan.resampling import BANDS, amplify_bands, reflect, warp

GROUPS = ("blit", "geometry", "colour", "filter", "noise", "cutout")
_LETTERS = "bgcfnc"
PUBLISHED = {_LETTERS[: i + 1]: GROUPS[: i + 1] for i in range(len(GROUPS))}  # "bgc", "bgcfnc", ...

_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of natural images in the four bands
_GREY = 1 / math.sqrt(3)


@dataclass(frozen=True)
class AdaConfig:
    """Which transforms, and how their probability adapts.

    ``groups`` is a name of the paper's (b, bg, bgc, bgcf, bgcfn, bgcfnc) or words joined by "+", of
    blit, geometry, colour, filter, noise, cutout. ``probability`` is p at the start. Every
    ``interval`` batches it moves towards the ``target`` of r_t = E[sign(D(real))], at a speed that
    takes ``speed_kimg`` from 0 to 1, and never above ``limit`` (above 0.8 augmentations may leak);
    ``target`` None keeps it. ``x_flip``, ``rotate90`` (blit) and ``rotation`` (geometry) break the
    orientation of crops should they leak, so the first two are off unless asked for; a rotation by
    any angle is part of the geometry.
    """

    kind: str = "ada"
    groups: str = "bgc"
    probability: float = 0.0
    target: float | None = 0.6
    interval: int = 4
    speed_kimg: float = 500.0
    limit: float = 0.8
    x_flip: bool = False
    rotate90: bool = False
    rotation: bool = True

    def __post_init__(self) -> None:
        if self.kind != "ada":
            raise ConfigError(f"augment.kind is {self.kind!r}: must be ada")
        words = self.groups.split("+") if isinstance(self.groups, str) else []
        if self.groups not in PUBLISHED and (not words or not set(words) <= set(GROUPS)):
            raise ConfigError(
                f"augment.groups is {self.groups!r}: must be one of {', '.join(PUBLISHED)}, "
                f"or words joined by +: {', '.join(GROUPS)}"
            )
        check_number("augment.probability", self.probability, 0, 1)
        check_number("augment.limit", self.limit, 0, 1)
        if self.target is not None:
            check_number("augment.target", self.target, -1, 1)
        check_whole("augment.interval", self.interval, 1, 1_000_000)
        check_positive("augment.speed_kimg", self.speed_kimg)
        for name in ("x_flip", "rotate90", "rotation"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"augment.{name} is {getattr(self, name)!r}: must be true or false")

    def uses(self, group: str) -> bool:
        """Whether one of :data:`GROUPS` is on."""
        return group in PUBLISHED.get(self.groups, tuple(self.groups.split("+")))


@dataclass(frozen=True)
class AdaDraws:
    """What was drawn for n images; a group that is off is None."""

    flip: Tensor | None = None  # bool [n]
    quarters: Tensor | None = None  # int64 [n], counter-clockwise
    shift: Tensor | None = None  # int64 [n, (down, right)] in pixels
    geometry: Tensor | None = None  # float32 [n, 3, 3]: where a place (x, y, 1) of the input goes
    colour: Tensor | None = None  # float32 [n, 4, 4] on (r, g, b, 1)
    bands: Tensor | None = None  # float32 [n, 4] gains, coarse to fine
    sigma: Tensor | None = None  # float32 [n], and the noise it scales
    noise: Tensor | None = None  # float32 [n, 3, side, side]
    hole: Tensor | None = None  # float32 [n, (y, x)], the centre as a share of the side; nan: none

    def rows(self, team: Team) -> AdaDraws:
        """The draws of this process's images."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return AdaDraws(**{k: None if v is None else team.mine(v) for k, v in values.items()})


def draw_ada(config: AdaConfig, p: float, n: int, side: int, rng: torch.Generator) -> AdaDraws | None:
    """All random numbers for ``n`` images of ``side`` pixels; None, and nothing drawn, at p = 0."""
    if p == 0:
        return None
    values: dict[str, Tensor] = {}
    if config.uses("blit"):
        zero = torch.zeros(n, dtype=torch.int64)
        if config.x_flip:
            values["flip"] = _chosen(n, p, rng) & (torch.rand(n, generator=rng) < 0.5)
        if config.rotate90:
            turn = torch.randint(0, 4, (n,), generator=rng)
            values["quarters"] = torch.where(_chosen(n, p, rng), turn, zero)
        shift = ((torch.rand(n, 2, generator=rng) * 2 - 1) * (0.125 * side)).round().long()
        values["shift"] = torch.where(_chosen(n, p, rng)[:, None], shift, torch.zeros_like(shift))
    if config.uses("geometry"):
        values["geometry"] = _draw_geometry(p, n, side, config.rotation, rng)
    if config.uses("colour"):
        values["colour"] = _draw_colour(p, n, rng)
    if config.uses("filter"):
        values["bands"] = _draw_bands(p, n, rng)
    if config.uses("noise"):
        sigma = torch.randn(n, generator=rng).abs() * 0.1
        values["sigma"] = torch.where(_chosen(n, p, rng), sigma, torch.zeros(n))
        values["noise"] = torch.randn(n, 3, side, side, generator=rng)
    if config.uses("cutout"):
        centre = torch.rand(n, 2, generator=rng)
        nowhere = torch.full_like(centre, math.nan)
        values["hole"] = torch.where(_chosen(n, p, rng)[:, None], centre, nowhere)
    return AdaDraws(**values)


def apply_ada(images: Tensor, draws: AdaDraws) -> Tensor:
    """``images`` [n, 3, s, s] in [-1, 1] -> augmented images, not clamped; differentiable."""
    x = images
    n, channels, side, _ = x.shape
    if draws.flip is not None or draws.quarters is not None or draws.shift is not None:
        index = blit_index(draws, n, side).to(x.device)
        x = x.flatten(2).gather(2, index[:, None].expand(-1, channels, -1)).reshape(x.shape)
    if draws.geometry is not None:
        moved = (draws.geometry != torch.eye(3)).flatten(1).any(dim=1)
        inverse = torch.linalg.inv(draws.geometry[moved])[:, :2]
        x = _on_rows(x, moved, lambda part: warp(part, inverse))
    if draws.colour is not None:
        changed = (draws.colour != torch.eye(4)).flatten(1).any(dim=1)
        matrix = draws.colour[changed].to(x.device, x.dtype)
        x = _on_rows(x, changed, lambda part: recolour(part, matrix))
    if draws.bands is not None:
        changed = (draws.bands != 1).any(dim=1)
        gains = draws.bands[changed]
        x = _on_rows(x, changed, lambda part: amplify_bands(part, gains))
    if draws.sigma is not None and draws.noise is not None:
        x = x + (draws.noise * draws.sigma[:, None, None, None]).to(x.device, x.dtype)
    if draws.hole is not None:
        place = (torch.arange(side) + 0.5) / side
        inside = (place - draws.hole[:, :, None]).abs() < 0.25  # [n, (y, x), side]; false for nan
        hole = inside[:, 0, :, None] & inside[:, 1, None, :]
        x = x.masked_fill(hole[:, None].to(x.device), 0)
    return x


def blit_index(draws: AdaDraws, n: int, side: int) -> Tensor:
    """Where each pixel of the blitted image comes from: flip, then quarter turns, then translation
    with reflection.  # int64 [n, side * side] into the flattened image"""
    line = torch.arange(side)
    row, column = (x.expand(n, -1, -1) for x in torch.meshgrid(line, line, indexing="ij"))
    if draws.shift is not None:
        row = reflect(row - draws.shift[:, 0, None, None], side)
        column = reflect(column - draws.shift[:, 1, None, None], side)
    if draws.quarters is not None:
        last = side - 1
        turns = [(row, column), (column, last - row), (last - row, last - column), (last - column, row)]
        for k, (turned_row, turned_column) in enumerate(turns):
            here = (draws.quarters == k)[:, None, None]
            row, column = torch.where(here, turned_row, row), torch.where(here, turned_column, column)
    if draws.flip is not None:
        column = torch.where(draws.flip[:, None, None], side - 1 - column, column)
    return (row * side + column).flatten(1)


def recolour(images: Tensor, matrix: Tensor) -> Tensor:
    """An affine map [n, 4, 4] of (r, g, b, 1) in every pixel of [n, 3, s, s]."""
    flat = images.flatten(2)
    return torch.baddbmm(matrix[:, :3, 3:], matrix[:, :3, :3], flat).reshape(images.shape)


def _on_rows(x: Tensor, chosen: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
    if not chosen.any():
        return x
    rows = chosen.nonzero().flatten().to(x.device)
    return x.index_copy(0, rows, transform(x.index_select(0, rows)))


def _chosen(n: int, p: float, rng: torch.Generator) -> Tensor:
    return torch.rand(n, generator=rng) < p


def _lognormal(n: int, octaves: float, p: float, rng: torch.Generator) -> Tensor:
    factor = torch.exp(torch.randn(n, generator=rng) * (octaves * math.log(2)))
    return torch.where(_chosen(n, p, rng), factor, torch.ones(n))


def _draw_geometry(p: float, n: int, side: int, rotation: bool, rng: torch.Generator) -> Tensor:
    turn = 1 - math.sqrt(1 - p)  # twice, so that an image is rotated with probability p
    scale = _lognormal(n, 0.2, p, rng)
    matrix = _scaling(scale, scale)
    if rotation:
        matrix = _rotation(_angle(n, turn, rng)) @ matrix
    stretch = _lognormal(n, 0.2, p, rng)
    matrix = _scaling(stretch, 1 / stretch) @ matrix
    if rotation:
        matrix = _rotation(_angle(n, turn, rng)) @ matrix
    offset = torch.randn(n, 2, generator=rng) * (0.125 * side)
    matrix[:, :2, 2] += torch.where(_chosen(n, p, rng)[:, None], offset, torch.zeros(n, 2))
    return matrix


def _draw_colour(p: float, n: int, rng: torch.Generator) -> Tensor:
    eye = torch.eye(4).repeat(n, 1, 1)
    axis = torch.tensor([_GREY, _GREY, _GREY, 0.0])
    along = torch.outer(axis, axis)
    brightness = torch.randn(n, generator=rng) * 0.2
    matrix = eye.clone()
    matrix[:, :3, 3] = torch.where(_chosen(n, p, rng), brightness, torch.zeros(n))[:, None]
    contrast = _lognormal(n, 0.5, p, rng)
    matrix = torch.diag_embed(torch.stack([contrast] * 3 + [torch.ones(n)], dim=1)) @ matrix
    flip = _chosen(n, p, rng) & (torch.rand(n, generator=rng) < 0.5)
    matrix = (eye - 2 * flip.float()[:, None, None] * along) @ matrix
    matrix = _about_grey(_angle(n, p, rng)) @ matrix
    saturation = _lognormal(n, 1.0, p, rng)
    colours = torch.diag(torch.tensor([1.0, 1, 1, 0])) - along  # what of a pixel is not grey
    return (eye + (saturation - 1)[:, None, None] * colours) @ matrix


def _draw_bands(p: float, n: int, rng: torch.Generator) -> Tensor:
    power = torch.tensor(_POWER)
    gains = torch.ones(n, BANDS)
    for band in range(BANDS):
        one = torch.ones(n, BANDS)
        one[:, band] = _lognormal(n, 1.0, p, rng)
        changed = (one[:, band] != 1)[:, None]
        scaled = one / (one.square() @ power).sqrt()[:, None]  # keeps the expected power
        gains = torch.where(changed, gains * scaled, gains)
    return gains


def _angle(n: int, p: float, rng: torch.Generator) -> Tensor:
    angle = (torch.rand(n, generator=rng) * 2 - 1) * math.pi
    return torch.where(_chosen(n, p, rng), angle, torch.zeros(n))


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _rotation(angle: Tensor) -> Tensor:
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, torch.ones_like(angle)]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def _about_grey(angle: Tensor) -> Tensor:
    """Rotation of colours about the grey axis (Rodrigues' formula)."""
    cross = torch.tensor([[0.0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]]) * _GREY
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(4) + sin * cross + (1 - cos) * (cross @ cross)
