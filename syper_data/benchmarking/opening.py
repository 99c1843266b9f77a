"""The protocol that a benchmark runs, and whether the user's copy of its data is the one that it expects."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from syper_data.errors import InputError, UsageError
from syper_data.protocols.check import Finding, ProtocolCheck, open_checked
from syper_data.protocols.descriptor import find_descriptor
from syper_data.protocols.protocol import Protocol

NO_DATA = "generated"  # the reader of protocols whose images are made when they are read


@dataclass(frozen=True)
class Opened:
    """``differences``: in what the copy is not the expected one, without paths; None where nothing was expected
    of it, because the caller opened the protocol himself."""

    protocol: Protocol
    differences: tuple[str, ...] | None


def open_for_benchmark(
    protocol: str | Path | Protocol,
    *,
    root: str | Path | None = None,
    images: str | Path | None = None,
    folds: Sequence[str] | None = None,
    merged: bool = False,
    allow_other_copy: bool = False,
) -> Opened:
    """Read a protocol by its name, and look at the copy as ``protocol check`` does; or take an opened one.

    Raises:
        UsageError: options that don't fit, a fold that is not there.
        InputError: the copy is not the expected one, and that was not allowed, or nothing can be measured on it.
    """
    if isinstance(protocol, Protocol):
        if root is not None or images is not None or merged:
            raise UsageError("root, images and merged belong to a protocol's name; an opened one has its own")
        chosen = _chosen(protocol, folds)
        for text in (fold.one_kind() for fold in chosen.folds):
            if text is not None:
                raise InputError(f"{protocol.name}: {text}")
        return Opened(chosen, None)
    if root is None and find_descriptor(protocol).reader != NO_DATA:
        raise UsageError(f"--root: where is your copy of the data of {protocol}?")
    opened, check = open_checked(
        str(protocol), Path(root or "."), images=images, folds=folds or None, merged=merged
    )
    _require(check, allow_other_copy, _check_command(protocol, root, images))
    return Opened(opened, tuple(_said(fault) for fault in check.faults))


def _said(fault: Finding) -> str:
    return f"missing: {fault.text}" if fault.state == "missing" else fault.text


def _check_command(protocol: str | Path, root: str | Path | None, images: str | Path | None) -> str:
    words = ["syper-data", "protocol", "check", str(protocol)]
    for option, place in (("--root", root), ("--images", images)):
        words += [] if place is None else [option, str(place)]
    return shlex.join(words)


def _require(check: ProtocolCheck, allow_other_copy: bool, command: str) -> None:
    """Refuse a copy on which nothing can be measured, and one that is another, unless that is allowed."""
    hopeless = [fault for fault in check.faults if fault.hopeless]
    faults = hopeless or list(check.faults)
    if not faults or (allow_other_copy and not hopeless):
        return
    more = f" (and {len(check.faults) - 1} more)" if len(check.faults) > 1 else ""
    name = check.descriptor.name
    see = f"{command} lists all that is missing or wrong, and where to ask for it"
    said = f"{_said(faults[0])}{more}; {see}"
    if hopeless:
        raise InputError(f"{name}: this copy can't be measured: {said}")
    way = "--allow-other-copy measures on it as it is, and says so wherever the figures stand"
    raise InputError(f"{name}: this is not the copy that the protocol expects: {said}; {way}")


def _chosen(protocol: Protocol, folds: Sequence[str] | None) -> Protocol:
    if not folds:
        return protocol
    known = {fold.name: fold for fold in protocol.folds}
    strange = [name for name in folds if name not in known]
    if strange:
        raise UsageError(f"--folds {strange[0]}: the protocol {protocol.name} has {', '.join(known)}")
    return replace(protocol, folds=tuple(known[name] for name in dict.fromkeys(folds)))
