"""``syper-data``: the commands, grouped by step of the pipeline, loaded when they are called."""

from __future__ import annotations

import sys
import traceback
from difflib import get_close_matches
from importlib import import_module

import click

import syper_data
from syper_data.errors import SyperError

# step of the pipeline -> command -> what it does, so that --help imports no command
_STEPS: dict[str, dict[str, str]] = {
    "Photos": {
        "crop": "Cut aligned periocular crops out of face photos.",
    },
    "Generators": {
        "train-generator": "Train a generator on periocular crops.",
        "evaluate": "Measure a generator, or a dataset, against real crops.",
        "release": "Make a release of a training run: weights, records, card.",
        "convert": "Read a published StyleGAN2-ADA pickle without executing it.",
    },
    "Recognizers": {
        "train-recognizer": "Train a recognizer on labelled crops.",
        "evaluate-recognizer": "Measure a recognizer's error rates on people new to it.",
        "embed": "Turn images into a file of embeddings.",
        "convert-recognizer": "Read a published recognizer's checkpoint without executing it.",
    },
    "Protocols": {
        "occlude": "Draw glasses, hair, lids, masks over images, to test recognizers.",
        "protocol": "List, check and make protocols: which images are compared with which.",
        "benchmark": "Measure recognizers on a protocol, with intervals.",
        "rescore": "Compute a benchmark's figures again from its scores.",
        "leaderboard": "Keep the figures of benchmarks, and the page that shows them.",
    },
    "Small recognizers": {
        "distill": "Train a recognizer with a teacher, or on synthetic identities.",
        "quantize": "Make a recognizer of 2 to 8 bits, with images without labels.",
        "export-onnx": "Write a student file as ONNX, for integer runtimes.",
        "bench-model": "Measure a student's speed, size and memory against float32.",
        "reproduce": "Run the experiment table of low-bit recognizers.",
    },
    "Datasets": {
        "sample": "Make a synthetic dataset from seeds.",
        "verify": "Check a dataset, and make some of its images again.",
        "filter": "Audit a dataset: image quality, identity overlap, a ledger.",
        "top-up": "Make further seeds until enough images are kept.",
        "report": "Write the page that a privacy officer signs or refuses.",
    },
    "Publishing": {
        "export-hf": "Write a dataset for the Hugging Face Hub, and push it.",
    },
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in _STEPS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module("syper_data.cli." + cmd_name.replace("-", "_"))
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for step, commands in _STEPS.items():
            with formatter.section(step):
                formatter.write_dl(list(commands.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(syper_data.__version__, prog_name="syper-data")
def cli() -> None:
    """Make, audit, publish and use synthetic periocular (eye-region) image data.

    Every error is one line; add --debug to any command for the traceback.
    """


def main() -> None:
    """Run the command line; exit code 2 for the user's mistake, 1 for a failure, 130 for Ctrl-C."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        cli.main([a for a in arguments if a != "--debug"], prog_name="syper-data", standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as bare:
        click.echo(bare.format_message())
        sys.exit(bare.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        message, code = _explain(error)
        click.echo(f"Error: {message}", err=True)
        sys.exit(code)


def _explain(error: BaseException) -> tuple[str, int]:
    """One line for what ended a command, and its exit code."""
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return "interrupted; the same command continues where it stopped", 130
    if isinstance(error, SyperError):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f" ({error.ctx.command_path} --help lists what there is)"
        return " ".join(error.format_message().split()).rstrip(".") + hint, error.exit_code
    first = (str(error).splitlines() or [""])[0]
    return f"unexpected {type(error).__name__}: {first} (--debug shows the traceback)", 1
