"""What lies over an eye: each a function of an image and a random generator, with its ranges beside it.

Images are float32 [s, s, 3] in 0..255, crops in canonical orientation: the eye's centre at the image's, the nose
at the right edge, the side as long as the eyes are apart (about 63 mm). Lids are taken to
lie where they mostly do.
"""

from __future__ import annotations

import numpy as np

from syper_data.recognition.occlusion.drawing import (
    TEXTURES,
    Float,
    Points,
    blob,
    cover,
    curve,
    lay,
    oval,
    places,
    shadow,
    smooth_noise,
    stroke,
    texture,
)

_LID_HALF = 0.235  # of an eye's width
_UPPER, _LOWER = 0.105, 0.055  # how far the lids bow from the line between the corners
_CORNERS = 0.49  # y of that line
_HAIR = ((22, 18, 17), (58, 40, 28), (104, 74, 48), (176, 142, 96), (150, 150, 150), (120, 62, 36))
_FRAMES = (
    (24, 22, 22),
    (62, 42, 30),
    (132, 132, 138),
    (168, 138, 84),
    (40, 52, 92),
    (112, 30, 36),
    (205, 198, 186),
)
_TINTS = ((40, 38, 36), (74, 54, 34), (44, 60, 50), (48, 56, 76))


def glasses(image: Float, rng: np.random.Generator) -> Float:
    """A lens with its rim, bridge, temple, shadow, perhaps tint and reflections.

    Lens: half sides 0.34..0.45 and 0.2..0.32 around the eye, ellipse to rounded box (powers 2.2..5), turned by
    about 2 degrees. Rim 0.014..0.05 wide; every fifth pair has none below. Every fourth is tinted (0.1..0.45),
    every tenth made for the sun (0.6..0.85). Two in three reflect, up to 0.8 of white.
    """
    side = len(image)
    x, y = 0.5 + rng.uniform(-0.04, 0.04), 0.5 + rng.uniform(0.0, 0.06)
    half = np.array([rng.uniform(0.34, 0.45), rng.uniform(0.2, 0.32)])
    power, angle, width = rng.uniform(2.2, 5), rng.normal(0, 0.04), rng.uniform(0.014, 0.05)
    inside = oval((x, y), half, power=power, angle=angle)
    rim = [oval((x, y), half + width, power=power, angle=angle)]
    bridge = curve((x + half[0], y - 0.4 * half[1]), (1.0, y - 0.75 * half[1]), (1.12, y - 0.7 * half[1]))
    temple = curve((x - half[0], y - 0.5 * half[1]), (0.0, y - 0.55 * half[1]), (-0.1, y - 0.5 * half[1]))
    rim += [stroke(bridge, 0.9 * width), stroke(temple, 1.4 * width, width)]
    frame, lens = cover(side, rim, [inside]), cover(side, [inside])
    if rng.random() < 0.2:  # no rim below the eye
        frame *= np.clip((y + 0.1 * half[1] - places(side)[1][:, :, None]) * side, 0, 1)
    image = shadow(image, frame, (-0.012, 0.03), rng.uniform(0.1, 0.35))
    kind = rng.random()
    if kind < 0.35:
        strength = rng.uniform(0.6, 0.85) if kind < 0.1 else rng.uniform(0.1, 0.45)
        image = lay(image, strength * lens, _choose(rng, _TINTS))
    if rng.random() < 0.67:
        image = _reflections(image, rng, lens, (x, y), half)
    colour = np.clip(_choose(rng, _FRAMES) * (1 + 0.12 * smooth_noise(rng, side, 5)), 0, 255)
    image = lay(image, frame, colour)
    lit = np.clip(frame - np.roll(frame, 1, axis=0), 0, 1) * rng.uniform(0, 0.5)  # light from above on the edge
    return lay(image, lit, (235, 235, 235))


def _reflections(
    image: Float, rng: np.random.Generator, lens: Float, at: tuple[float, float], half: Points
) -> Float:
    """A window or a lamp on the lens: a slanted band or a soft spot, white, green or blue."""
    for _ in range(int(rng.integers(1, 3))):
        centre = (at[0] + rng.uniform(-0.7, 0.7) * half[0], at[1] + rng.uniform(-0.7, 0.7) * half[1])
        if rng.random() < 0.5:
            slant, reach, width = rng.uniform(-0.12, 0.12), rng.uniform(0.05, 0.2), rng.uniform(0.03, 0.12)
            line = np.array([(centre[0] + slant, centre[1] - reach), (centre[0] - slant, centre[1] + reach)])
            shape = stroke(line, width)
        else:
            shape = oval(centre, rng.uniform(0.02, 0.1, 2), angle=rng.uniform(0, 3))
        spot = cover(len(image), [shape], soft=rng.uniform(0.004, 0.02)) * lens
        colour = _choose(rng, ((255, 255, 255), (255, 255, 255), (205, 245, 220), (205, 220, 255)))
        image = lay(image, rng.uniform(0.2, 0.8) * spot, colour)
    return image


def lashes(image: Float, rng: np.random.Generator) -> Float:
    """24..60 long lashes of the upper lid, in half of the images falling over the eye, and fewer below.

    They are 0.05..0.11 long, 0.004..0.008 wide at the root, and fan out towards the corners.
    """
    side = len(image)
    n, length, width = int(rng.integers(24, 61)), rng.uniform(0.05, 0.11), rng.uniform(0.004, 0.008)
    falling = rng.random() < 0.5
    shapes = []
    for number, bow, down in ((n, -_UPPER, falling), (n // 2, _LOWER, True)):
        across = np.clip(rng.uniform(-1, 1, number), -0.97, 0.97)
        for t in across:
            root = np.array([0.5 + _LID_HALF * t, _CORNERS + bow * (1 - t * t)])
            own = length * rng.uniform(0.6, 1) * (1 if bow < 0 else 0.45)
            fan = np.array([0.75 * t + rng.normal(0, 0.08), 1.0 if down else -1.0])
            tip = root + own * fan / np.hypot(*fan)
            bend = root + 0.5 * (tip - root) + np.array([0.0, 0.18 * own * (-1 if bow > 0 else 1)])
            shapes.append(stroke(curve(root, bend, tip, 8), width, 0.001))
    colour = rng.uniform(12, 48) * np.array([1.0, 0.9, 0.85])
    return lay(image, rng.uniform(0.75, 0.95) * cover(side, shapes), colour)


def hair(image: Float, rng: np.random.Generator) -> Float:
    """A lock of 5..60 strands from the top or the temple's side across the image.

    Strands are 0.003..0.009 wide, 0.02..0.12 apart (deviation), in three shades of one colour, with a shadow.
    """
    side = len(image)
    start, end = rng.uniform(-0.1, 1.0), rng.uniform(-0.3, 0.9)
    bend = np.array([0.5 * (start + end) + rng.uniform(-0.3, 0.3), rng.uniform(0.3, 0.7)])
    spread, width, n = rng.uniform(0.02, 0.12), rng.uniform(0.003, 0.009), int(rng.integers(5, 61))
    base = _choose(rng, _HAIR) * rng.uniform(0.8, 1.2)
    strands = []
    for _ in range(n):
        off = spread * rng.normal()
        points = curve(
            (start + off + 0.02 * rng.normal(), -0.05),
            bend + np.array([off + 0.03 * rng.normal(), 0.05 * rng.normal()]),
            (end + 1.3 * off + 0.04 * rng.normal(), rng.uniform(0.75, 1.1)),
        )
        strands.append(stroke(points, width * rng.uniform(0.6, 1.2), 0.3 * width))
    image = shadow(image, cover(side, strands), (0.015, 0.02), rng.uniform(0.1, 0.3))
    strength = rng.uniform(0.75, 0.95)
    for i, shade in enumerate((0.75, 1.0, 1.3)):
        image = lay(image, strength * cover(side, strands[i::3]), np.clip(base * shade, 0, 255))
    return image


def lid(image: Float, rng: np.random.Generator) -> Float:
    """The upper lid closed by 0.4..1 of the way: the skin above the eye is drawn down, its lashes with it."""
    side = len(image)
    closed = rng.uniform(0.4, 1.0)
    at = (np.arange(side) + 0.5) / side
    bow = np.clip(1 - ((at - 0.5) / (_LID_HALF + 0.01)) ** 2, 0, 1)
    upper = _CORNERS - (_UPPER + 0.005) * bow
    edge = upper + closed * (_UPPER + _LOWER + 0.005) * bow
    top = upper - 0.09 - 0.02 * bow  # the skin below the brow
    y = at[:, None]
    down = top + (y - top) * (upper - 0.02 - top) / np.maximum(edge - top, 1e-6)  # where the skin comes from
    row = np.clip(np.where((y > top) & (y < edge + 1 / side), down, y) * side - 0.5, 0, side - 1)
    first = np.floor(row).astype(np.int64)
    share = (row - first)[:, :, None].astype(np.float32)
    columns = np.arange(side)[None]
    drawn = image[first, columns] * (1 - share) + image[np.minimum(first + 1, side - 1), columns] * share
    inside = np.abs(at - 0.5) < _LID_HALF
    line = np.stack([at, edge], 1)[inside]
    above = np.stack([at, top], 1)[inside][::-1]
    skin = cover(side, [np.concatenate([line, above])], soft=0.004)
    image = lay(image, skin, drawn)
    fringe = [stroke(line, rng.uniform(0.008, 0.016))]
    for t in rng.uniform(-0.95, 0.95, int(rng.integers(15, 40))):
        root = np.array([0.5 + _LID_HALF * t, np.interp(0.5 + _LID_HALF * t, at, edge)])
        tip = root + rng.uniform(0.02, 0.05) * np.array([0.6 * t, 1.0])
        fringe.append(stroke(np.array([root, tip]), 0.006, 0.001))
    dark = 0.3 * image[inside.nonzero()[0][[0, -1]]].mean((0, 1)) * np.array([1.0, 0.9, 0.85])
    return lay(image, rng.uniform(0.55, 0.85) * cover(side, fringe), dark)


def glare(image: Float, rng: np.random.Generator) -> Float:
    """1..4 bright spots within 0.25 of the eye's centre, half axes 0.012..0.07; in a third a veil, too."""
    side = len(image)
    for _ in range(int(rng.integers(1, 5))):
        centre = 0.5 + rng.uniform(-0.25, 0.25, 2)
        half = rng.uniform(0.012, 0.07) * np.array([1.0, rng.uniform(0.4, 1.0)])
        shape = oval(centre, half, angle=rng.uniform(0, 3))
        halo = cover(side, [shape], soft=rng.uniform(0.4, 1.2) * float(half.max()))
        core = cover(side, [shape], soft=0.006)
        image = lay(lay(image, 0.6 * halo, (255, 255, 255)), rng.uniform(0.6, 1.0) * core, (255, 255, 255))
    if rng.random() < 1 / 3:
        x, y = places(side)
        a, b = rng.uniform(-0.1, 1.1, 2)
        veil = np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * rng.uniform(0.15, 0.4) ** 2))[:, :, None]
        image = lay(image, rng.uniform(0.15, 0.5) * veil.astype(np.float32), (255, 250, 240))
    return image


def patch(image: Float, rng: np.random.Generator) -> Float:
    """A shape of any kind, its centre at 0.15..0.85: a blob or a turned box, radius 0.1..0.3, any texture."""
    side = len(image)
    centre, radius = rng.uniform(0.15, 0.85, 2), rng.uniform(0.1, 0.3)
    if rng.random() < 0.3:
        shape = oval(centre, radius * rng.uniform(0.5, 1.2, 2), power=12, angle=rng.uniform(0, 3))
    else:
        shape = blob(rng, centre, radius, rng.uniform(0.1, 0.4))
    x, y = places(side)
    kind = TEXTURES[int(rng.integers(len(TEXTURES)))]
    painted = texture(rng, x, y, rng.uniform(0, 255, (2, 3)), kind)
    covered = cover(side, [shape])
    return lay(shadow(image, covered, (0.01, 0.015), 0.25), covered, painted)


def _choose(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> Float:
    return np.asarray(colours[int(rng.integers(len(colours)))], np.float32)
