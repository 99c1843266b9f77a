"""Whether images show the kind of light that a recipe is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage

SPECTRA = ("vis", "nir")
_LIGHT = {"vis": "visible light", "nir": "near infrared"}


def foreign_spectrum(found: str | None) -> str | None:
    """Why this can't be the spectrum of an image; None where it can."""
    if found in (None, *SPECTRA):
        return None
    return (
        f"spectrum is {found!r}: must be vis or nir; if that column means something else, --columns spectrum= "
        "leaves it unread"
    )


class OneSpectrum:
    """Lets through images of the recipe's spectrum, and those that name none; of all sources of a training.

    ``settings`` are the lines of a recipe for each spectrum, for who has the recipe wrong.
    """

    def __init__(self, spectrum: str, settings: Mapping[str, str]) -> None:
        self.spectrum, self.settings = spectrum, settings
        self._met = False

    def checked(self, images: Iterable[SourceImage]) -> Iterator[SourceImage]:
        """The images, each looked at when it is asked for.

        Raises:
            InputError: an image of another spectrum, or one whose spectrum is neither vis nor nir.
        """
        for image in images:
            if image.spectrum is not None:
                self._check(image.spectrum, image.where)
            yield image

    def _check(self, found: str, where: str) -> None:
        wanted, foreign = self.spectrum, foreign_spectrum(found)
        if found == wanted:
            self._met = True
        elif foreign is not None:
            raise InputError(f"{where}: {foreign}")
        elif self._met:
            raise InputError(
                f"{where}: spectrum is {found}, images before it are {wanted}: a recipe is for one spectrum; give "
                f"the crops in {_LIGHT[wanted]} only"
            )
        else:
            raise InputError(
                f"{where}: spectrum is {found}, the recipe says {wanted}: set {self.settings[found]} in the "
                f"recipe, or give crops in {_LIGHT[wanted]}"
            )
