"""Refusing a file: the reason in one harmless line, and how much reading one may cost.

Text from a file reaches a message only through :func:`quoted` and :func:`shown`, so that it can't add
lines or terminal control sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from syper_data.errors import InputError

MAX_STEPS = 250_000  # a 1024 px network pickle with G, D and G_ema takes some 60 000
_SPARE_BYTES = 1 << 20


class RefusalError(InputError):
    """Why a pickle is refused, in one line; the caller adds the file's name."""


class RefusedNameError(RefusalError):
    """The pickle names something outside the vocabulary; ``module`` and ``name`` are the file's words."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"refused: it names {quoted(f'{module}.{name}')}, which no network pickle needs")
        self.module = module
        self.name = name


def refuse(reason: str) -> NoReturn:
    """Raise :class:`RefusalError`."""
    raise RefusalError(reason)


def quoted(text: str, limit: int = 60) -> str:
    """Text from a file for a message: quoted ASCII without control characters, shortened."""
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")


def shown(value: object) -> str:
    """Any value from a file for a message: scalars as they are, of others only the type."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int) and value.bit_length() > 63:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    return f"a {type(value).__name__}"


@dataclass(eq=False, slots=True)
class Budget:
    """What reading one file may still cost: steps (opcodes, copied elements) and copied bytes."""

    steps: int
    octets: int

    @classmethod
    def of(cls, size: int) -> Budget:
        """For a file of ``size`` bytes: no byte of an honest file is copied more than four times."""
        return cls(MAX_STEPS, 4 * size + _SPARE_BYTES)

    def step(self, count: int = 1) -> None:
        """Spend ``count`` steps; a :class:`RefusalError` when none are left."""
        self.steps -= count
        if self.steps < 0:
            refuse("refused: it takes more steps than any such file")

    def copy(self, count: int) -> None:
        """Spend ``count`` copied bytes; a :class:`RefusalError` when none are left."""
        self.octets -= count
        if self.octets < 0:
            refuse("it would unpack to far more than its own size")
