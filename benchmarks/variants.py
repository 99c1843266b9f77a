"""Plot quality against processor time for the training variants in ``variants.csv``.

    python benchmarks/variants.py [OUT.png]

The rows are measurements, each of one snapshot against the held-out tenth of the crops (``evaluate
--holdout 0.1``); docs/decisions/0010 says what the variants are.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent


def main() -> None:
    with (HERE / "variants.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        curves.setdefault(row["variant"], []).append(row)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2))
    for name, points in curves.items():
        hours = [float(p["cpu_hours"]) for p in points]
        kid = [float(p["kid"]) for p in points]
        error = [[k - float(p["kid_low"]) for k, p in zip(kid, points, strict=True)]]
        error.append([float(p["kid_high"]) - k for k, p in zip(kid, points, strict=True)])
        axes[0].errorbar(hours, kid, yerr=error, marker="o", capsize=3, label=name)
        axes[1].plot(hours, [float(p["recall"]) for p in points], marker="o", label=name)
    axes[0].set(yscale="log", ylabel="kid_efficientnet-lite1_240_bicubic (95 %)", xlabel="core hours of training")
    axes[0].axhline(0.01, color="grey", linestyle=":", label="aim")
    axes[1].set(ylabel="recall, k = 3, 654 a side (real halves: 0.79)", xlabel="core hours of training")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "variants.png"
    figure.savefig(out, dpi=110)
    print(out)


if __name__ == "__main__":
    main()
