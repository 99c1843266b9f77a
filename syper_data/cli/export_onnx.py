"""``syper-data export-onnx``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write a student file as ONNX, for integer runtimes.")
@click.argument("student", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def command(student: Path, out: Path) -> None:
    """Write STUDENT (a student.syq) to OUT as an ONNX graph in QDQ form: 8-bit weights a row, 8-bit activations.

    Fewer bits lie in the same 8-bit containers. The input is the image itself, uint8 [n, 3, s, s] in the
    recognizer's orientation; the output is float32 [n, d] of length 1.
    """
    from syper_data.quantization.onnx_export import export_onnx

    path = export_onnx(student, out)
    click.echo(f"{path}: {path.stat().st_size:,} bytes")
