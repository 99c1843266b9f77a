"""The command line and the Python API have the same names and defaults."""

from __future__ import annotations

import inspect
from importlib import import_module

import click
import pytest

import syper_data

API_ONLY = {"report", "judge"}
CLI_ONLY = {"quiet"}


def defaults_of(command: click.Command) -> dict[str, object]:
    context = click.Context(command)
    options = [p for p in command.params if isinstance(p, click.Option)]
    unset = [p.name for p in options if p.to_info_dict()["default"] is None]
    return {str(p.name): None if p.name in unset else p.get_default(context) for p in options}


COMMANDS = (
    "bench_model", "benchmark", "convert", "convert_recognizer", "crop", "distill", "embed", "evaluate",
    "export_hf", "export_onnx", "filter", "leaderboard", "occlude", "quantize", "release", "report",
    "reproduce_quantization", "rescore", "sample", "top_up", "verify",
)  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_the_functions_parameters(name: str) -> None:
    command: click.Command = import_module(f"syper_data.cli.{name}").command
    options = {k: v for k, v in defaults_of(command).items() if k not in CLI_ONLY}
    parameters = {
        k: None if p.default is p.empty else p.default
        for k, p in inspect.signature(getattr(syper_data, name)).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY and k not in API_ONLY
    }
    assert set(options) == set(parameters)
    for key, default in parameters.items():
        assert str(options[key]) == str(default), key


def test_generate_takes_samples_names_and_defaults() -> None:
    sample = inspect.signature(syper_data.sample).parameters
    for name, parameter in inspect.signature(syper_data.generate).parameters.items():
        if name != "seeds":
            assert parameter.default == sample[name].default, name
