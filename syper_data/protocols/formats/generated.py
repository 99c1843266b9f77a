"""Protocols over the images of a bundled generator: nobody's data are needed."""

from __future__ import annotations

from syper_data.protocols.reading import Reading, Request


def read(request: Request) -> Reading:
    """The one fold that the options describe."""
    from syper_data.protocols.generated import GeneratedPictures, GeneratedSettings, generated_fold

    settings = GeneratedSettings.from_options(request.descriptor.options)
    pictures = GeneratedPictures(settings)
    pictures.spectrum = request.descriptor.spectrum
    return Reading((generated_fold(settings, request.folds[0]),), pictures)
