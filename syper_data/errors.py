"""The toolkit's errors: one small hierarchy, each message a single line a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SyperError(Exception):
    """Anything the toolkit refuses or fails at; the message says what, where and what to do.

    ``exit_code`` is what the command line ends with: 1 for a failure, 2 for the user's mistake.
    """

    exit_code = 1


class UsageError(SyperError):
    """The request itself is wrong: an option's value, a combination of options, a missing file."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration or recipe value is out of its range."""


class InputError(UsageError):
    """An input file or folder is unreadable, truncated, hostile or not of the expected format."""


class DriftError(UsageError):
    """Settings or environment differ from those a dataset was begun with."""


class LockedError(UsageError):
    """Another process is writing into the folder."""


class VerificationError(SyperError):
    """A dataset is not what its manifest and completion record say."""


class DivergedError(SyperError):
    """A loss or a gradient of a training is no longer finite; nothing was changed by it."""


class OutputError(SyperError):
    """Something could not be written: a full disk, a read-only folder."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed; the message holds the command that installs it."""


def install_command(*extras: str) -> str:
    """How the README installs the toolkit, in a clone of its repository, with these extras."""
    return f"pip install -c constraints.txt '.[{','.join(extras)}]'"


@contextmanager
def naming_options(*names: str) -> Iterator[None]:
    """Say a setting's error in the words of the command: ``psi is nan`` becomes ``--psi is nan``."""
    try:
        yield
    except ConfigError as error:
        name, _, rest = str(error).partition(" ")
        if name not in names:
            raise
        raise ConfigError(f"--{name.replace('_', '-')} {rest}") from None
