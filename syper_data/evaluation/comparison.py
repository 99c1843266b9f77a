"""One comparison of generated and real images: every figure and picture, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import syper_data
from syper_data.dataset.shards import file_sha256
from syper_data.errors import UsageError
from syper_data.evaluation import memorisation
from syper_data.evaluation.figures import INTERVALS, Measures, compare, floor
from syper_data.evaluation.images import ImageSet
from syper_data.evaluation.judge import Judge, cached_vectors, read_features
from syper_data.evaluation.pictures import Picture, distance_plot, neighbour_sheets, sample_sheet
from syper_data.gan.generator_file import GeneratorFile
from syper_data.metrics.distances import Features

SCHEMA = "syper-evaluation/1"
MOST_IMAGES = 5000  # of either side, unless more are asked for

Report = Callable[[str, int, int], None]


class Comparison:
    """Real images and, where known, training images, as the judge sees them."""

    def __init__(
        self,
        judge: Judge,
        measures: Measures,
        cache: Path,
        real: ImageSet,
        train: ImageSet | None,
        report: Report | None = None,
    ) -> None:
        self.judge, self.measures, self.report = judge, measures, report
        self.real, self.train = real, train
        self._all_real = cached_vectors(judge, real.pixels, real.sha256, cache, report, "real")
        self._train = None
        if train is not None:
            self._train = cached_vectors(judge, train.pixels, train.sha256, cache, report, "training")
        rows = np.random.default_rng(measures.seed).permutation(len(real))[:MOST_IMAGES]
        self._rows = np.sort(rows)

    def figures(self, samples: ImageSet) -> dict[str, Any]:
        """The figures of these samples against the real images, of which at most 5,000 are taken."""
        return self._compare(self._vectors(samples))

    def whole(self, samples: ImageSet, loaded: GeneratorFile | None) -> tuple[dict[str, Any], list[Picture]]:
        """The content of ``evaluation.json``, without a sweep, and the pictures."""
        features = self._vectors(samples)
        name = str((samples.record["generator"] or {}).get("name") or samples.record["source"])
        pictures = [sample_sheet(samples.pixels, f"Generated images of {name}")]
        copied, more = self._memorisation(samples, features)
        if copied and loaded is not None and held_nothing_out(self.real, loaded):
            copied["verdict"] = "Can't be told: the generator was trained on the held-out images, too."
        chosen = f"{len(self._rows)} of {len(self.real)}, numpy default_rng({self.measures.seed})"
        record = self.real.record
        subjects = [self.real.subjects[i] for i in self._rows]
        content = {
            **frame(self.judge.describe(), self.measures),
            "name": name,
            "generated": samples.record,
            "real": record if len(self._rows) == len(self.real) else {**record, "chosen": chosen},
            "train": None if self.train is None else self.train.record,
            "notes": notes(self.real, self.train, loaded, self.judge.describe().get("network")),
            "figures": self._compare(features),
            "floor": floor(self._all_real[self._rows], features, subjects, self.measures, self.judge.name),
            "memorisation": copied,
            "psi_sweep": None,
        }
        return content, pictures + more

    def _vectors(self, samples: ImageSet) -> Features:
        return self.judge.vectors(samples.pixels, self.report, "generated")

    def _compare(self, features: Features) -> dict[str, Any]:
        return compare(self._all_real[self._rows], features, self.measures, self.judge.name)

    def _memorisation(self, samples: ImageSet, features: Features) -> tuple[dict[str, Any] | None, list[Picture]]:
        if self.train is None or self._train is None:
            return None, []
        small = [memorisation.thumbnails(part.pixels) for part in (samples, self.train, self.real)]
        sets = {
            self.judge.name: (features, self._train, self._all_real),
            f"pixels at {memorisation.PIXEL_SIDE} px": (small[0], small[1], small[2]),
        }
        found = {name: memorisation.measure(*three, seed=self.measures.seed) for name, three in sets.items()}
        spaces = {name: figures for name, (figures, _) in found.items()}
        hoods = {name: neighbourhood for name, (_, neighbourhood) in found.items()}
        sheets = neighbour_sheets(samples.pixels, self.train.pixels, hoods, "training images")
        return {"verdict": memorisation.verdict(spaces), "spaces": spaces}, [distance_plot(hoods), *sheets]


def held_nothing_out(real: ImageSet, loaded: GeneratorFile) -> bool:
    """Whether the real images are one side of a split whose both sides the generator was trained on."""
    whole = real.record["source_sha256"] if real.record["holdout_side"] else None
    return whole is not None and whole == loaded.summary.get("data_sha256")


def notes(
    real: ImageSet, train: ImageSet | None, loaded: GeneratorFile | None, network: str | None = None
) -> list[str]:
    """What a reader must know about the relation of real images, training images and judge."""
    digest = None if loaded is None else loaded.summary.get("data_sha256")
    found = []
    if network is not None and loaded is not None and network in str(loaded.summary.get("adversary", "")):
        found.append(f"The adversary used the judge's own network, {network}: the figures flatter this generator.")
    if digest is None:
        found.append("Which images this generator was trained on is not recorded in its file.")
    elif digest == real.sha256:
        found.append(
            "The real images are the very images the generator was trained on: the figures say how well it fits "
            "them, not how well it generalises."
        )
    elif loaded is not None and held_nothing_out(real, loaded):
        found.append(
            "The generator was trained on the whole of this source: its held-out part was not held out from this "
            "generator, so nothing here shows how well it generalises, and memorisation can't be told."
        )
    elif train is not None and digest == train.sha256:
        found.append("Checked by digest: the training images are exactly those the generator was trained on.")
    elif train is not None:
        found.append(
            "The training images are not, by digest, those that the generator's file names; the memorisation "
            "figures hold only as far as both overlap."
        )
    else:
        found.append(
            "The real images are not, by digest, the set the generator was trained on; whether it saw some of "
            "them is not known."
        )
    if train is None:
        found.append("Memorisation was not measured: give the training crops with --train.")
        return found
    shared = len((set(real.subjects) & set(train.subjects)) - {None})
    if shared:
        found.append(f"{shared} subjects are among the real and the training images: no clean control.")
    elif None in real.subjects or None in train.subjects:
        found.append("Subjects are not known, so real and training images may show the same ones.")
    return found


def compare_features(real: Path, generated: Path, name: str, measures: Measures) -> dict[str, Any]:
    """The content of ``evaluation.json`` for two files of features made elsewhere."""
    if not name or not all(c.isalnum() or c in "-_." for c in name):
        raise UsageError(f"--features-name is {name!r}: must be letters, digits, dots, dashes and underscores")
    sets = {path: read_features(path) for path in (real, generated)}
    for path, features in sets.items():
        measures.require(len(features), str(path))
    a, b = sets[real], sets[generated]
    first, second = (
        {"source": path.name, "images": len(features), "sha256": file_sha256(path)}
        for path, features in ((real, a), (generated, b))
    )
    return {
        **frame({"name": name, "features": f"{a.shape[1]}, read from files"}, measures),
        "name": generated.name,
        "generated": {"kind": "features", "generator": None, **second},
        "real": first,
        "train": None,
        "notes": ["The features were made elsewhere; how, their maker knows."],
        "figures": compare(a, b, measures, name),
        "floor": floor(a, b, [None] * len(a), measures, name),
        "memorisation": None,
        "psi_sweep": None,
    }


def frame(judge: dict[str, Any], measures: Measures) -> dict[str, Any]:
    """What every evaluation says: schema, toolkit, judge, measures, intervals."""
    return {
        "schema": SCHEMA,
        "toolkit": f"syper-data {syper_data.__version__}",
        "feature_net": judge,
        "measures": {name: getattr(measures, name) for name in measures.__dataclass_fields__},
        "intervals": INTERVALS,
    }
