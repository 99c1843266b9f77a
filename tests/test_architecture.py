"""The direction of imports, and what imports what at start-up."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from small_generators import REPOSITORY

PACKAGE = REPOSITORY / "syper_data"
ORDER = (
    "errors", "artifacts", "imaging", "dataset", "rendering", "metrics", "execution", "cropping", "gan",
    "sampling", "evaluation", "recognition", "filtering", "protocols", "quantization", "benchmarking",
    "reproduction", "publishing", "reporting", "cli",
)  # fmt: skip
ROOT = {"__init__", "__main__"}  # the façade names everything; it imports lazily


def rooms() -> set[str]:
    return {
        p.stem for p in PACKAGE.iterdir() if (p.is_dir() and (p / "__init__.py").exists()) or p.suffix == ".py"
    } - ROOT


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("syper_data")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module and node.module.startswith("syper_data"):
                found |= (
                    {node.module} if node.module != "syper_data" else {f"syper_data.{a.name}" for a in node.names}
                )
    return {name.split(".")[1] for name in found if "." in name}


def test_every_room_is_in_the_plan() -> None:
    assert rooms() <= set(ORDER)


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_only_those_before_it(room: str) -> None:
    path = PACKAGE / room
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    allowed = {room, *ORDER[: ORDER.index(room)]}
    for file in files:
        wrong = imported(file) - allowed - {"__version__"}
        assert not wrong, f"{file.relative_to(REPOSITORY)} imports {sorted(wrong)}"
        if room in ("errors", "artifacts"):
            assert not imported(file)


def test_no_module_imports_itself_by_a_detour() -> None:
    """Also not where it is used, or for types alone: what two modules share has a file of its own."""
    names = {
        ".".join(p.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): p
        for p in PACKAGE.rglob("*.py")
    }
    needs: dict[str, set[str]] = {}
    for name, path in names.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= parts & set(names) or {node.module}
        needs[name] = found & set(names) - {name, "syper_data"}  # the facade names everything, lazily
    assert set(TopologicalSorter(needs).static_order()) == set(names)  # a circle is a CycleError that names it


def test_no_module_is_longer_than_400_lines() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


def test_importing_the_package_and_its_help_load_nothing_heavy() -> None:
    code = (
        "import sys, syper_data\n"
        "from syper_data.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'numpy', 'pyarrow', 'datasets', 'PIL', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_code_below_the_command_line_reads_no_environment_variable() -> None:
    """Handing the environment on to a child (``**os.environ``) or setting it in one is fine."""
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "cli"):
            continue
        text = path.read_text("utf-8")
        uses = text.count("os.environ") - text.count("**os.environ") - text.count("os.environ.update(")
        assert "getenv" not in text, path
        assert uses == 0, path
