"""``syper-data reproduce``: the group of the commands that run an experiment table."""

from __future__ import annotations

import click

from syper_data.cli.reproduce_quantization import command as quantization


@click.group(name="reproduce", short_help="Run the experiment tables.")
def command() -> None:
    """Experiment tables: what was measured of this toolkit, run again by one command."""


command.add_command(quantization)
