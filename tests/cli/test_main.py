from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import syper_data


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "syper_data", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_help_groups_the_commands_by_step() -> None:
    out = run("--help").stdout
    assert out.index("Generators:") < out.index("convert") < out.index("Datasets:") < out.index("sample")
    assert out.index("verify") < out.index("Publishing:") < out.index("export-hf")


@pytest.mark.parametrize(
    "name",
    [
        "crop",
        "train-generator",
        "evaluate",
        "release",
        "convert",
        "embed",
        "convert-recognizer",
        "sample",
        "verify",
        "export-hf",
    ],
)
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"Usage: syper-data {name}" in done.stdout
    assert "Traceback" not in done.stderr


def test_sample_and_verify_work_from_the_shell(tiny: Path, tmp_path: Path) -> None:
    made = run("sample", "--n", "30", "--generator", str(tiny), "--out", "syper", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "30 images in syper: datasets.load_dataset('syper') opens them\n"
    assert "sampling: 30 of 30 images" in made.stderr
    again = run("sample", "--n", "30", "--generator", str(tiny), "--out", "syper", "--quiet", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    right = run("verify", "syper", "--generator", str(tiny), "--rows", "all", cwd=tmp_path)
    assert right.stdout == "syper: right. 1 shards, 30 images read, 30 made again, byte-identical\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "--n", "0"], "--n is 0: must be at least 1"),
        (["sample"], "say how many images: --n 50000"),
        (["sample", "--n", "5", "--psi", "nan"], "Error: --psi is nan: must be a finite number"),
        (["sample", "--n", "5", "--output-size", "0"], "Error: --output-size is 0: must be"),
        (["sample", "--n", "5", "--resize-filter", "box"], "--resize-filter belongs to --output-size"),
        (["evaluate", "syper-vis-128-v1", "--psi", "inf", "--real", "."], "Error: --psi is inf"),
        (["crop", ".", "eyes", "--detect-size", "100"], "Error: --detect-size is 100: must be a multiple of 32"),
        (["sample", "--seeds", "0-5,3"], "seed 3 is given twice"),
        (["sample", "--n", "5", "--seeds", "4"], "exclude each other"),
        (["sample", "--n", "5", "--label", "1"], "unconditional"),
        (["sample", "--n", "5", "--workers", "0"], "--workers is 0"),
        (["sample", "--from-manifest", "absent.json"], "absent.json: cannot be read"),
        (["sample", "--from-manifest", "m.json", "--psi", "0.5"], "--from-manifest and --psi exclude each other"),
        (["sample", "--n", "5", "--generator", "nothing.safetensors"], "neither a generator file nor a bundled"),
        (["crop", "nowhere", "eyes"], "nowhere: no such file or folder"),
        (["crop", ".", "eyes", "--fixed-eyes", "1"], "x1,y1,x2,y2"),
        (["crop", ".", "eyes", "--columns", "x"], "--columns is 'x'"),
        (["verify", "nowhere"], "nowhere: no such folder"),
        (["verify", ".", "--rows", "many"], "--rows is 'many'"),
        (["convert", "absent.pkl", "x.safetensors"], "absent.pkl"),
        (["evaluate", "nothing", "--real", "absent"], "neither a generator file nor a bundled"),
        (["evaluate", "syper-vis-128-v1", "--real", "absent"], "absent: no such file or folder"),
        (["evaluate", "syper-vis-128-v1"], "--real is missing"),
        (["release", "nowhere", "r"], "--evaluation and --unevaluated are both missing"),
        (["release", "nowhere", "r", "--unevaluated"], "nowhere: no such folder"),
        (
            ["train-generator", "absent.yaml", "--data", ".", "--out", "run"],
            "absent.yaml: cannot be read",
        ),
        (["verify"], "Missing argument 'DIRECTORY' (syper-data verify --help"),
        (["sample", "--n", "many"], "'many' is not a valid integer (syper-data sample --help"),
        (["sample", "--frobnicate"], "No such option"),
        (["smaple"], "No such command 'smaple'. Did you mean sample?"),
    ],
)
def test_the_users_mistake_is_one_line_and_exit_code_2(
    tiny: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    if arguments[0] == "sample" and "--generator" not in arguments:
        arguments = [*arguments, "--generator", str(tiny)]
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("group", [[], ["protocol"]])
def test_a_bare_command_shows_its_help_on_lines_of_its_own(tmp_path: Path, group: list[str]) -> None:
    done = run(*group, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == ""
    assert done.stdout.startswith("Usage: syper-data")
    assert done.stdout.count("\n") > 8


def test_debug_shows_the_traceback_and_keeps_the_exit_code(tmp_path: Path) -> None:
    plain, debug = (run("verify", "nowhere", *more, cwd=tmp_path) for more in ((), ("--debug",)))
    assert debug.stderr.startswith("Traceback")
    assert debug.stderr.endswith(plain.stderr)
    assert debug.returncode == plain.returncode == 2


def test_a_truncated_generator_file_is_one_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(tiny.read_bytes()[:-50])
    done = run("sample", "--n", "5", "--generator", "cut.safetensors", cwd=tmp_path)
    assert done.returncode == 2
    assert "cut.safetensors: not a readable safetensors file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_python_api_names_what_it_lacks() -> None:
    steps = {
        "crop",
        "sample",
        "generate",
        "verify",
        "convert",
        "evaluate",
        "release",
        "export_hf",
        "train_generator",
    }
    assert steps <= set(dir(syper_data))
    with pytest.raises(AttributeError, match="no attribute 'sing'"):
        _ = syper_data.sing
