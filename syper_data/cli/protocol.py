"""``syper-data protocol``: the group of the commands about protocols."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from syper_data.cli.protocol_make import command as make

_PATH = click.Path(path_type=Path)


@click.group(name="protocol", short_help="List, check and make protocols.")
def command() -> None:
    """Protocols: which images are compared with which."""


@command.command(name="list", short_help="The protocols that ship.")
def list_command() -> None:
    """Print the name and title of every protocol that ships with the toolkit."""
    from syper_data.protocols.descriptor import Descriptor, shipped

    found = {name: Descriptor.read(path) for name, path in shipped().items()}
    width = max(map(len, found), default=0)
    for name, descriptor in found.items():
        click.echo(f"{name:<{width}}  {descriptor.title}")


@command.command(name="check", short_help="What is there of a protocol's data, and what is missing.")
@click.argument("name", metavar="NAME|FILE")
@click.option("--root", type=_PATH, metavar="DIR", help="Your copy of the data set.")
@click.option("--images", type=_PATH, metavar="DIR", help="Where the images lie, if not in --root.")
@click.option("--folds", multiple=True, metavar="FOLD", help="Check this fold only; may be repeated.")
def check_command(name: str, root: Path | None, images: Path | None, folds: tuple[str, ...]) -> None:
    """Check a copy of the data that the protocol NAME (or a descriptor FILE) needs.

    Prints what is there and what is missing or wrong, and where the data can be asked for. The exit code is 0
    where the copy is complete, and 2 where it is not.
    """
    from syper_data.protocols.check import check_protocol

    result = check_protocol(name, root, images=images, folds=folds or None)
    for line in result.lines():
        click.echo(line)
    if not result.complete:
        sys.exit(2)


command.add_command(make)
