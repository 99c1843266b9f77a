"""How long lists of two million comparisons take to read, as a ratio to splitting their lines and nothing else."""

from __future__ import annotations

import tempfile
from itertools import combinations, islice
from pathlib import Path

from syper_data.protocols.reading import open_protocol
from timing import alternate, machine

COMPARISONS = 2_000_000
LAYOUT = "experimentalProtocol/open_world"


def write_lists(root: Path) -> None:
    """The same comparisons in UFPR's layout and as CSV: 50 people, 2,100 images."""
    images = [f"C{p}S{s}I{i}{e}.jpg" for p in range(50, 100) for s in range(3) for i in range(7) for e in "LR"]
    eyes = {image: image.partition("S")[0] + image[-5] for image in images}
    folder = root / LAYOUT
    (folder / "test_pairs/fold1").mkdir(parents=True)
    for part in ("train", "val"):
        (folder / f"{part}_fold1.txt").write_text("C1S1I1L.jpg 2\n")
    (folder / "test_fold1.txt").write_text("".join(f"{image} {eyes[image]}\n" for image in images))
    rows = [(a, b, int(eyes[a] == eyes[b])) for a, b in islice(combinations(images, 2), COMPARISONS)]
    (folder / "test_pairs/fold1/pairs.txt").write_text("".join(f"{a} {b} {m}\n" for a, b, m in rows))
    (root / "pairs.csv").write_text("probe,reference,mated\n" + "".join(f"{a},{b},{m}\n" for a, b, m in rows))


def main() -> None:
    """Print a line for each layout."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_lists(root)
        lines = root / LAYOUT / "test_pairs/fold1/pairs.txt"

        def split() -> None:
            with lines.open(encoding="utf-8") as file:
                for line in file:
                    line.split()

        seconds = alternate(
            {
                "lines": split,
                "UFPR's layout": lambda: open_protocol("ufpr-periocular-open", root, folds=["1"]),
                "CSV": lambda: open_protocol("pairs", root),
            },
            rounds=3,
        )
        for name, taken in seconds.items():
            print(f"{name}: {taken:.2f} s, {taken / seconds['lines']:.1f} x the lines alone")


if __name__ == "__main__":
    print(machine())
    main()
