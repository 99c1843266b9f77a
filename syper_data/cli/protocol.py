"""``syper-data protocol``: a group of commands."""

from __future__ import annotations

import click

from syper_data.cli.protocol_make import command as make


@click.group(short_help="Make protocols.")
def command() -> None:
    """Protocols: which images are compared with which."""


command.add_command(make)
