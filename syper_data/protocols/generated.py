"""A protocol without anybody's data: eyes that the bundled generator makes, each captured several times.

Mated are two captures of one generated eye (one seed), non-mated captures of different seeds. It shows
whether an embedding stays put under changes of place, focus, light and noise, and whether it tells generated
eyes apart. It does not show that a recognizer recognizes people: the eyes are nobody's, captures are computed
from one picture, and gaze, ageing, other sensors and other days are missing. It is easier than real data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from syper_data.dataset.manifest import MAX_SEED
from syper_data.errors import ConfigError, InputError
from syper_data.gan.bundled import open_generator
from syper_data.gan.synthesis import torch_threads
from syper_data.imaging.source import Entry, SourceImage
from syper_data.protocols.capture import Changes, Pixels, captured
from syper_data.protocols.protocol import AllComparisons, Fold, Identification
from syper_data.sampling.plan import plan_settings
from syper_data.sampling.render import Renderer

_MOST = {"seeds": 100_000, "captures": 100, "enrol": 100, "unenrolled": 100_000}


@dataclass(frozen=True)
class GeneratedSettings:
    """The options of such a protocol: ``seeds`` eyes from ``first_seed`` on, ``captures`` pictures of each; the
    first ``enrol`` captures are the gallery, the last ``unenrolled`` eyes are not in it.

    ``generator`` is a bundled one's name or a file, ``sha256`` what it must be.

    Raises:
        ConfigError: a value is out of range.
    """

    generator: str
    sha256: str | None = None
    first_seed: int = 1_000_000
    seeds: int = 300
    captures: int = 4
    enrol: int = 1
    unenrolled: int = 60
    changes: Changes = field(default_factory=Changes)

    def __post_init__(self) -> None:
        if not isinstance(self.generator, str) or not self.generator:
            raise ConfigError(f"generator is {self.generator!r}: must be a name or a file")
        if self.sha256 is not None and not isinstance(self.sha256, str):
            raise ConfigError(f"sha256 is {self.sha256!r}: must be a digest")
        for name in ("first_seed", *_MOST):
            value = getattr(self, name)
            most = MAX_SEED if name == "first_seed" else _MOST[name]
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise ConfigError(f"{name} is {value!r}: must be a whole number in 0..{most}")
        if self.seeds < 2 or self.captures < 2:
            raise ConfigError("seeds and captures must be at least 2: else nothing is mated or non-mated")
        if self.first_seed + self.seeds > MAX_SEED + 1:
            raise ConfigError(f"first_seed is {self.first_seed}: {self.seeds} seeds pass the largest, {MAX_SEED}")
        if self.enrol >= self.captures or self.unenrolled >= self.seeds:
            raise ConfigError(
                "enrol and unenrolled must leave a capture that searches and an eye that is enrolled"
            )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> GeneratedSettings:
        """From a descriptor's options.

        Raises:
            ConfigError: an unknown or missing option, or a value out of range.
        """
        unknown = sorted(set(options) - {f.name for f in fields(cls)})
        if unknown or "generator" not in options:
            raise ConfigError(f"unknown option {unknown[0]!r}" if unknown else "no option 'generator'")
        values = dict(options)
        changes = values.pop("changes", {})
        if not isinstance(changes, Mapping) or set(changes) - {f.name for f in fields(Changes)}:
            raise ConfigError(f"changes is {changes!r}: may have {', '.join(f.name for f in fields(Changes))}")
        return cls(**values, changes=Changes(**changes))


class GeneratedPictures:
    """Captures of generated eyes by the names ``SEED/CAPTURE``.

    Eyes are made in float32 by one thread, in fixed blocks from the first seed on, so that an image does not
    depend on which others are read; those once made are kept (48 KiB each at 128 px).
    """

    def __init__(self, settings: GeneratedSettings) -> None:
        self.settings = settings
        self._eyes: dict[int, Pixels] = {}
        self.spectrum: str | None = None

    def missing(self, names: Sequence[str]) -> list[str]:
        """The names that are none of this protocol, in their order."""
        return [name for name in names if self._key(name) is None]

    def read(self, names: Sequence[str]) -> Iterator[Entry]:
        """One entry a name, in the order of ``names``.

        Raises:
            InputError: a name that is none of this protocol, or another generator than the protocol's.
        """
        lost = self.missing(names)
        if lost:
            raise InputError(
                f"{self.settings.generator}: {len(lost)} of {len(names)} images are not of this protocol, "
                f"the first is {lost[0]}"
            )
        return (self._entry(name) for name in names)

    def _entry(self, name: str) -> Entry:
        key = self._key(name)
        assert key is not None
        seed, number = key
        pixels = captured(self._eye(seed), seed, number, self.settings.changes)
        subject, spectrum = subject_of(self.settings, seed), self.spectrum
        where = f"{subject}, capture {number}"
        return SourceImage(
            pixels,
            where,
            subject=subject,
            spectrum=spectrum,
            sample=str(number),
            source_id=name,
            seed=seed,
            name=name,
        )

    def _key(self, name: str) -> tuple[int, int] | None:
        seed, _, number = name.partition("/")
        if not (seed.isascii() and seed.isdecimal() and number.isascii() and number.isdecimal()):
            return None
        key = int(seed), int(number)
        wanted = self.settings
        known = 0 <= key[0] - wanted.first_seed < wanted.seeds and key[1] < wanted.captures
        return key if known and name == f"{key[0]}/{key[1]}" else None

    @cached_property
    def _renderer(self) -> Renderer:
        loaded = open_generator(self.settings.generator)
        if self.settings.sha256 not in (None, loaded.sha256):
            raise InputError(
                f"{self.settings.generator}: its SHA-256 is {loaded.sha256}, "
                f"the protocol wants {self.settings.sha256}"
            )
        if loaded.config.c_dim:
            raise InputError(f"{self.settings.generator}: has classes; give an unconditional generator")
        self.spectrum = loaded.spectrum
        return Renderer(loaded.generator, plan_settings(loaded, precision="fp32"))

    def _eye(self, seed: int) -> Pixels:
        if seed not in self._eyes:
            wanted, size = self.settings, self._renderer.settings.block_size
            start = seed - (seed - wanted.first_seed) % size
            keys = [(s, None) for s in range(start, min(start + size, wanted.first_seed + wanted.seeds))]
            with torch_threads(self._renderer.settings.threads_per_worker):
                for (made, _), pixels in zip(keys, self._renderer.images(keys), strict=True):
                    self._eyes[made] = pixels if pixels.shape[-1] == 3 else np.repeat(pixels, 3, axis=-1)
        return self._eyes[seed]


def subject_of(settings: GeneratedSettings, seed: int) -> str:
    """The id of a generated eye; no person's, so that it is never one that a recognizer was trained on."""
    return f"{settings.generator}, seed {seed}"


def generated_fold(settings: GeneratedSettings, name: str = "1") -> Fold:
    """All captures compared with all; the first of the enrolled eyes are the gallery."""
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    eye = np.repeat(np.arange(settings.seeds, dtype=np.int64), settings.captures)
    number = np.tile(np.arange(settings.captures), settings.seeds)
    enrolled = (number < settings.enrol) & (eye < settings.seeds - settings.unenrolled)
    searching = Identification(np.flatnonzero(~enrolled), np.flatnonzero(enrolled)) if settings.enrol else None
    return Fold(
        name,
        images=tuple(f"{seed}/{capture}" for seed in seeds for capture in range(settings.captures)),
        identity=eye,
        subject=eye,
        subject_names=tuple(subject_of(settings, seed) for seed in seeds),
        comparisons=AllComparisons(),
        identification=searching,
    )
