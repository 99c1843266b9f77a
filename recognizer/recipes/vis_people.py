"""The people whom the bundled recognizers for visible light learn: prints their ids, one a line.

    python recognizer/recipes/vis_people.py lfw_view2_pairs.txt GENERATED_CROPS LFW_CROPS > people.txt

All of GENERATED_CROPS, and of LFW whoever is not in folds 6 to 10 of View 2 (its ten folds share no person;
6 to 10 are for tests). Crops: anything that syper-data reads, with the column subject.
"""

from __future__ import annotations

import sys
from pathlib import Path

from syper_data.imaging.source import read_images

FOLDS = 10
FIRST_TEST_FOLD = 6


def test_people(pairs: str) -> set[str]:
    """Everyone named in folds 6 to 10 of LFW's View 2 ``pairs.txt``."""
    head, *lines = pairs.splitlines()
    folds, mated = (int(word) for word in head.split())
    if folds != FOLDS or len(lines) != FOLDS * 2 * mated:
        raise SystemExit(f"not the pairs of View 2: {folds} folds, {len(lines)} pairs")
    tested = lines[(FIRST_TEST_FOLD - 1) * 2 * mated :]
    return {word for line in tested for word in line.split("\t") if not word.isdigit()}


def people(source: str) -> set[str]:
    """Every subject of a source of crops."""
    return {image.subject for image in read_images(source) if image.subject is not None}


if __name__ == "__main__":
    listed, generated, lfw = sys.argv[1:]
    tested = test_people(Path(listed).read_text("utf-8"))
    print("\n".join(sorted(people(generated) | people(lfw) - tested)))
