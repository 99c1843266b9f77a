"""``syper-data convert``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Read a published StyleGAN2-ADA pickle without executing it.")
@click.argument("source", metavar="IN.pkl", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.safetensors", type=click.Path(path_type=Path))
@click.option("--spectrum", type=click.Choice(["vis", "nir"]), default="vis", show_default=True)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(source: Path, target: Path, spectrum: str, quiet: bool) -> None:
    """Turn the G_ema network of a published StyleGAN2-ADA pickle into a generator file.

    Nothing that the file names is imported, compiled or run; what is not a plain StyleGAN2-ADA
    network is refused.
    """
    from syper_data.gan.convert import convert
    from syper_data.gan.generator_file import load_generator

    convert(source, target, spectrum=spectrum)
    if not quiet:
        config = load_generator(target).config
        classes = f"{config.c_dim} classes" if config.c_dim else "unconditional"
        keys = "--per-label 250" if config.c_dim else "--n 1000"
        click.echo(f"{target}: {config.resolution} px, {classes}; syper-data sample --generator {target} {keys}")
