"""Seconds to import the package and to print the help, as whole processes."""

from __future__ import annotations

import subprocess
import sys

from timing import alternate, machine

if __name__ == "__main__":
    print(machine())
    commands = {
        "an empty Python": ["-c", "pass"],
        "import syper_data": ["-c", "import syper_data"],
        "syper-data --help": ["-m", "syper_data", "--help"],
    }
    runs = {
        name: lambda command=command: subprocess.run(
            [sys.executable, *command], check=True, stdout=subprocess.DEVNULL
        )
        for name, command in commands.items()
    }
    for name, seconds in alternate(runs, rounds=9).items():  # type: ignore[arg-type]
        print(f"{name}: {seconds:.3f} s")
