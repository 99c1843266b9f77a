"""``syper-data sample``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make a synthetic dataset from seeds.")
@click.option("--n", type=int, help="How many images: seeds from --seed-start on.")
@click.option("--seeds", metavar="LIST", help="Seeds and ranges such as 0-99,250,1000-1999 (excludes --n).")
@click.option("--seed-start", type=int, default=0, show_default=True, help="First seed of --n and --per-label.")
@click.option("--out", type=click.Path(path_type=Path), default="syper", show_default=True, help="Dataset folder.")
@click.option("--generator", metavar="NAME|FILE", help="A bundled generator or a generator file.")
@click.option("--label", type=int, help="Class of all images (conditional generators).")
@click.option("--per-label", type=int, metavar="K", help="K consecutive seeds for every class.")
@click.option("--psi", type=float, default=1.0, show_default=True, help="Truncation; 1 is none.")
@click.option("--noise-mode", type=click.Choice(["const", "random", "none"]), default="const", show_default=True)
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True)
@click.option("--image-format", type=click.Choice(["png", "jpeg", "webp"]), default="png", show_default=True)
@click.option("--output-size", type=int, metavar="PX", help="Side of the images (default: the generator's).")
@click.option(
    "--resize-filter",
    type=click.Choice(["nearest", "box", "bilinear", "bicubic", "lanczos"]),
    help="For --output-size (default: lanczos); antialiased except nearest.",
)
@click.option("--preset", type=click.Choice(["syper-paper"]), help="A published procedure; see below.")
@click.option(
    "--from-manifest",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Remake the dataset of a manifest; excludes every option that the manifest decides.",
)
@click.option("--workers", type=int, help="Processes of one thread each (default: one a core).")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--accept-drift", is_flag=True, help="Continue on another kind of machine, and record it.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def command(ctx: click.Context, /, quiet: bool, **options: object) -> None:
    """Make a synthetic dataset from seeds.

    The same key (seed, label) gives the same image. The same command again makes exactly what is
    missing, whatever interrupted the first.

    --preset syper-paper is the published SyPer procedure: 99,836 seeds, psi 1, constant noise,
    224 px by nearest neighbour, each image stretched to its own minimum and maximum. The published
    code slices its last batch from the end and so writes 99,840 files, four of them twice; this
    preset makes every image once.
    """
    from syper_data.cli.progress import ProgressLine
    from syper_data.errors import UsageError
    from syper_data.sampling.making import Progress
    from syper_data.sampling.sample import sample

    preset, manifest = options["preset"], options["from_manifest"]
    for chosen, allowed, name in (
        (manifest, {"out", "generator", "workers", "accept_drift", "from_manifest"}, "--from-manifest"),
    ):
        given = [k for k in options if ctx.get_parameter_source(k) == click.core.ParameterSource.COMMANDLINE]
        wrong = sorted(k for k in given if k not in allowed)
        if chosen is not None and wrong:
            raise UsageError(
                f"{name} and --{wrong[0].replace('_', '-')} exclude each other: the manifest decides it"
            )
    if preset == "syper-paper" and not quiet:
        click.echo(
            "syper-paper: 224 px, each image stretched to its own extremes, 99,836 seeds unless others are given; "
            "the published code's duplicated last batch is left out",
            err=True,
        )
    with ProgressLine("sampling", "images", quiet) as line:

        def show(progress: Progress) -> None:
            line.update(progress.done, progress.total)

        dataset = sample(report=show, **options)  # type: ignore[arg-type]
    if not quiet:
        count, path = len(dataset), dataset.path
        click.echo(f"{count} images in {path}: datasets.load_dataset({str(path)!r}) opens them")
