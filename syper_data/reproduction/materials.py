"""Teachers and images that a plan names, found among bundled ones and among what the user gives.

What a plan names and this installation or this call does not have is a reason, not an error: its runs are left
out and the table says why. What the user gives must be usable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syper_data.errors import InputError, UsageError
from syper_data.gan.bundled import find_generator, open_generator
from syper_data.gan.generator_file import GeneratorFile
from syper_data.quantization.images import open_feed
from syper_data.recognition.bundled import open_recognizer
from syper_data.recognition.recognizer_file import RecognizerFile
from syper_data.reproduction.plan import ExperimentPlan

Reference = str | Path


class MissingError(InputError):
    """A teacher or images are not there; the text is the reason why a run is left out."""


@dataclass(frozen=True)
class Images:
    """What a student learns from: a generator file, or stored images. ``sha256`` is that of the generator, or of
    the pixels as the teacher gets them; ``identities`` are the people whom they name."""

    path: Path
    generator: GeneratorFile | None
    sha256: str
    identities: frozenset[str] = frozenset()
    available: int | None = None

    @property
    def shown(self) -> str:
        """What a table calls them; no path."""
        return self.generator.name if self.generator is not None else f"{self.available} stored images"


class Materials:
    """Opens each teacher and each kind of images once.

    ``teachers`` are references, ``NAME=FILE`` or one without a name, for the plan's first teacher; ``generator``
    replaces the plan's first one, ``real`` stands for the images that the plan leaves open.

    Raises:
        UsageError: something is given that the plan has no place for.
    """

    def __init__(
        self,
        plan: ExperimentPlan,
        *,
        teachers: Sequence[Reference] | None = None,
        generator: Reference | None = None,
        real: Reference | None = None,
    ) -> None:
        self._plan = plan
        self._teachers = _by_name(teachers or (), plan.teachers)
        self._generators: dict[str, Reference] = dict(plan.generators)
        self._data: dict[str, Reference | None] = dict(plan.data)
        self._given_generator = None
        if generator is not None:
            if not self._generators:
                raise UsageError("--generator: this plan uses none")
            self._given_generator = next(iter(self._generators))
            self._generators[self._given_generator] = generator
        open_data = [name for name, path in plan.data.items() if path is None]
        if real is not None:
            if not open_data:
                raise UsageError("--real: this plan leaves no images open")
            self._data |= dict.fromkeys(open_data, real)
        self._opened: dict[str, RecognizerFile | MissingError] = {}
        self._images: dict[tuple[str, int], Images | MissingError] = {}

    def options(self) -> dict[str, str]:
        """What was given in place of the plan's, as a page may say it: names, no path."""
        found = {}
        if self._given_generator is not None:
            found["--generator"] = self._open_generator(self._given_generator).shown
        for name in self._teachers:
            found[f"--teacher {name}"] = self.teacher(name).name
        if any(self._plan.data[name] is None and path is not None for name, path in self._data.items()):
            found["--real"] = "CROPS"
        return found

    def teacher(self, name: str) -> RecognizerFile:
        """The teacher that the plan calls so.

        Raises:
            MissingError: the plan leaves it to the user, who gave none, or it is not bundled.
            InputError: the given file is unusable.
        """
        if name not in self._opened:
            self._opened[name] = self._open_teacher(name)
        found = self._opened[name]
        if isinstance(found, MissingError):
            raise found
        return found

    def images(self, name: str, size: int) -> Images:
        """The images that the plan calls so, for a teacher that sees ``size`` pixels.

        Raises:
            MissingError: as of :meth:`teacher`.
            InputError: the given generator or images are unusable.
        """
        if (name, size) not in self._images:
            self._images[name, size] = self._open_images(name, size)
        found = self._images[name, size]
        if isinstance(found, MissingError):
            raise found
        return found

    def _open_teacher(self, name: str) -> RecognizerFile | MissingError:
        if name in self._teachers:
            return open_recognizer(self._teachers[name])
        spectrum = self._plan.teachers[name]
        if spectrum is None:
            return MissingError(f"no teacher {name} was given: --teacher {name}=FILE")
        try:
            return open_recognizer(spectrum=spectrum)
        except InputError as error:
            return MissingError(str(error))

    def _open_images(self, name: str, size: int) -> Images | MissingError:
        if name in self._generators:
            try:
                return self._open_generator(name)
            except MissingError as error:
                return error
        path = self._data[name]
        if path is None:
            return MissingError("no real images were given: --real CROPS")
        nothing: dict[str, Any] = {"steps": 1, "batch": 1, "held_out": 1, "seed": 0, "seed_start": 0, "psi": 1.0}
        feed = open_feed(path, None, size, columns=None, **nothing)
        count = int(feed.summary["images"]) + int(feed.summary["held_out"])
        return Images(Path(path), None, feed.sha256, feed.identities, count)

    def _open_generator(self, name: str) -> Images:
        try:
            path = find_generator(self._generators[name])
        except InputError as error:
            if name == self._given_generator:
                raise
            raise MissingError(f"{error}; --generator takes another one") from error
        file = open_generator(path)
        return Images(path, file, file.sha256)


def _by_name(given: Sequence[Reference], names: Mapping[str, str | None]) -> dict[str, Reference]:
    """``NAME=FILE`` -> a file by name; without one of the plan's names it is the first teacher."""
    found: dict[str, Reference] = {}
    for reference in given:
        name, equals, file = str(reference).partition("=")
        name, file = (name, file) if equals and name in names else (next(iter(names)), str(reference))
        if not file:
            raise UsageError(f"--teacher {reference}: names no file")
        if name in found:
            raise UsageError(f"--teacher {name}: was given twice")
        found[name] = file
    return found
