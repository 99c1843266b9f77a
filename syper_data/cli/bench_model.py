"""``syper-data bench-model``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Measure a student's speed, size and memory against float32.")
@click.argument("student", type=click.Path(path_type=Path))
@click.option("--batch", type=int, default=8, show_default=True, help="Images at a time.")
@click.option("--threads", type=int, help="Of every contestant (default: one a core).")
@click.option("--rounds", type=int, default=15, show_default=True, help="Turns that each of them takes.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures there, as JSON.")
def command(student: Path, batch: int, threads: int | None, rounds: int, out: Path | None) -> None:
    """Measure STUDENT (a student.syq) in ONNX Runtime and OpenVINO against PyTorch in float32, in turns.

    Figures hold for this machine, while nothing else runs on it.
    """
    from syper_data.errors import install_command
    from syper_data.quantization.bench_model import bench_model

    found = bench_model(student, batch=batch, threads=threads, rounds=rounds, out=out)
    click.echo(
        f"{found['student']}: {found['parameters']:,} parameters, {found['multiply_accumulates']:,} "
        f"multiply-accumulates, {found['bytes']:,} bytes (at most {found['bytes_promised']:,}), "
        f"ONNX {found['onnx_bytes']:,} bytes"
    )
    click.echo(f"batch {found['batch']}, {found['threads']} threads")
    for name, row in found["runtimes"].items():
        click.echo(
            f"{name:14} {row['images_per_second']:8.1f} images/s ({row['times_float32']:.2f}x), one image "
            f"{row['latency_ms']:.2f} ms, {row['peak_memory_bytes'] / 2**20:.0f} MiB"
            + (f", cosine to the student {row['cosine_to_student']:.5f}" if "cosine_to_student" in row else "")
        )
    for name in found["missing"]:
        click.echo(f"{name:14} not installed: {install_command('quantize')}")
