"""The tables of the page: rows of words and figures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from syper_data.dataset.manifest import Manifest
from syper_data.filtering.identity import told_by_folders
from syper_data.filtering.settings import FilterSettings
from syper_data.gan.bundled import bundled_by_digest
from syper_data.rendering.numbers import count, number, percent
from syper_data.rendering.svg import Bound, histogram
from syper_data.reporting.audited import Audited

Row = tuple[str, str]
RUNS = 8  # of the plan's, named one by one


def overlap_rows(overlap: Mapping[str, Any]) -> Iterator[Row]:
    """Flagged, expected, excess, and what they were counted with."""
    if overlap["excess"] is not None:
        for label, key in (
            ("Flagged images", "flagged"),
            ("Expected by chance", "expected"),
            ("Excess (flagged less expected)", "excess"),
        ):
            e = overlap["excess"][key]
            yield label, f"{count(e['value'])} (95 % interval {_plain(e['low'])} to {_plain(e['high'])})"
    yield "False-positive identification rate asked for", percent(overlap["fpir"])
    for alarm in overlap["false_alarms"]:
        rate, how = (
            alarm["rate"],
            "who did not set the threshold" if alarm["held_out"] else "who also set the threshold",
        )
        yield (
            "False alarms on strangers",
            f"{share(rate)}; {count(rate['n'])} images of {count(rate['clusters'])} people {how}",
        )
    for role, label in (("reference", "Reference"), ("calibration", "Calibration (strangers)")):
        if overlap.get(role):
            yield label, _people(overlap[role])
    for network in overlap["networks"]:
        yield from _network_rows(network)


def _network_rows(network: Mapping[str, Any]) -> Iterator[Row]:
    yield "Network", f"{network['name']}, SHA-256 {network['sha256']}"
    people = "" if network["reference_people"] is None else f" of {count(network['reference_people'])} people"
    yield "· searched", f"{count(network['reference_images'])} reference images{people}"
    if network["calibration"] is not None:
        yield (
            "· strangers that set its threshold",
            f"{count(network['calibration_images'])} images of {count(network['calibration_people'])} people "
            f"({network['calibration']})",
        )
    if network["threshold"] is not None:
        yield "· threshold", f"cosine similarity {network['threshold']:.4f}"
    if network["pair_fmr"] is not None:
        yield (
            "· false match rate of one comparison at this threshold",
            f"{_rate(network['pair_fmr'], network['pairs'])} over {count(network['pairs'])} comparisons of "
            "different people"
            + (
                f"; {network['independent_pair_fmr']:.2g} would be equivalent were all comparisons independent"
                if network["independent_pair_fmr"] is not None
                else ""
            ),
        )


def trained_on_audited(audited: Audited) -> str:
    """Whether a network judged people that it was trained on."""
    if audited.settings.get("allow_seen_identities"):
        return (
            "Possibly: the audit was told to allow it (--allow-seen-identities), which makes it look better "
            "than it is for others."
        )
    overlap = audited.overlap or {}
    if any("trained on is not known" in str(note) for note in overlap.get("notes", ())):
        return "Not known: the file of a network does not say whom it was trained on."
    if overlap.get("reference", {}).get("people") is None:
        return "Not known: the reference does not name its people."
    return (
        "No: each person was judged by a network whose file does not list that person among its training people."
    )


def sensitivity_rows(overlap: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was planted, how much of it was found, and the false-alarm rate beside it."""
    alarms = ", ".join(percent(a["rate"]["value"]) for a in overlap["false_alarms"]) or "not known"
    rows = []
    second = overlap["second_samples"]
    if second is not None:
        for label, key in (
            ("another picture of the same eye, all others in the reference", "found"),
            ("another picture of the same eye, one other in the reference", "found_by_one"),
        ):
            rate = second[key]
            rows.append(
                {"kind": label, "found": share(rate), "named": "", "n": count(rate["n"]), "alarms": alarms}
            )
    for copy in overlap["copies"] or ():
        rows.append(
            {
                "kind": f"copy, {str(copy['kind']).replace('_', ' ')}: {copy['description']}",
                "found": share(copy["flagged"]),
                "named": percent(copy["named"]["value"]),
                "n": count(copy["flagged"]["n"]),
                "alarms": alarms,
            }
        )
    return rows


def duplicate_rows(overlap: Mapping[str, Any]) -> list[Row]:
    """Images that repeat each other, and identities where labels name them."""
    rows: list[Row] = []
    found, labels = overlap["duplicates"], overlap["labels"]
    if found is not None:
        like = found["like_another"]
        rows.append(("Images like another one of the set", share(like) + f" of {count(like['n'])}"))
        if found["expected_at_most"] is not None:
            rows.append(("At most by chance, were all of new people", percent(found["expected_at_most"])))
        rows.append(("Images that repeat an earlier one", count(found["duplicates"])))
        rows.append(("Threshold", f"cosine similarity {found['threshold']:.4f}"))
    if labels is not None:
        rows.append(("Labels (identities)", count(labels["labels"])))
        if labels["consistent"] is not None:
            rows.append(("Pairs of one label that pass as one eye", share(labels["consistent"])))
        rows.append(("Labels unlike every other label", share(labels["unique"])))
    return rows


def membership_rows(found: Mapping[str, Any]) -> list[Row]:
    """The membership inference in figures."""
    auc = found["auc"]
    rows = [
        (
            "Area under the curve (0.5: no better than guessing)",
            f"{number(auc['value'])} (95 % interval {number(auc['low'])} to {number(auc['high'])})",
        ),
        ("Training images", f"{count(found['train_images'])} of {count(found['train_people'])} people"),
        ("Held-out images", f"{count(found['held_out_images'])} of {count(found['held_out_people'])} people"),
    ]
    for point in found["at"]:
        text = share(point["tpr"]) if point["tpr"] is not None else f"not supported: {point['note']}"
        rows.append(
            (f"Training images recognised, {percent(point['fpr'])} of the held-out ones taken for such", text)
        )
    return rows


def similarity_chart(audited: Audited) -> Markup | None:
    """How near the images come to the nearest real one."""
    if audited.ledger is None or audited.overlap is None:
        return None
    thresholds = [n["threshold"] for n in audited.overlap["networks"]]
    one = thresholds[0] if len(thresholds) == 1 else None
    return histogram(
        audited.ledger.table["nearest_similarity"].to_numpy(),
        "cosine similarity to the nearest reference image",
        high=None if one is None else Bound(float(one), f"threshold {one:.3f}"),
    )


def made_rows(audited: Audited) -> Iterator[Row]:
    """How the images were made: generator, keys, settings, environment."""
    manifest = audited.dataset.manifest
    generator = manifest.generator
    yield "Toolkit", manifest.toolkit
    yield "Generator", f"{generator.name}, {generator.resolution} px, spectrum {generator.spectrum}"
    yield "Generator, SHA-256", generator.sha256
    for number_, plan in enumerate(audited.dataset.plans):
        yield "Seeds" if not number_ else f"Seeds of top-up {number_}", _seeds(plan.manifest)
    for name, value in manifest.settings.to_dict().items():
        yield name.replace("_", " ").capitalize(), _shown(value)
    yield "Environment", ", ".join(f"{k} {v}" for k, v in sorted(manifest.environment.items()))
    for drift in audited.completion.drift:
        yield "Accepted drift", _shown(drift)
    for name, digest in audited.digests.items():
        yield f"{name}, SHA-256", digest


def commands(audited: Audited) -> list[Row]:
    """The commands that make the images again, verify them, and repeat audit and page."""
    name, manifest = shlex.quote(audited.name), shlex.quote(audited.name + "/manifest.json")
    sha256 = audited.dataset.manifest.generator.sha256
    generator = which = ""
    if bundled_by_digest(sha256) is None:
        generator = " --generator FILE"
        which = f", where FILE is the generator with the SHA-256 {sha256}, which does not ship with the toolkit"
    found = [
        (f"make the images again{which}", f"syper-data sample --from-manifest {manifest} --out again{generator}"),
        ("verify every image", f"syper-data verify {name} --rows all{generator}"),
    ]
    if audited.ledger is not None and audited.settings:
        found.append(("repeat the audit", f"syper-data filter {name}{_options(audited.settings)}"))
    return [*found, ("make this page again", f"syper-data report {name}")]


def _options(settings: Mapping[str, Any]) -> str:
    """The options of ``filter``; of files only the names, since paths are those of another machine."""
    text, defaults = "", FilterSettings(quality_only=True).to_dict() | {"quality_only": False}
    for name, default in defaults.items():
        option, value = "--" + name.replace("_", "-"), settings.get(name, default)
        if value == default:
            continue
        values = [f"{k}={v}" for k, v in value.items()] if isinstance(value, dict) else value
        for one in values if isinstance(values, list) else [values]:
            if one is True:
                text += f" {option}"
            else:
                shown = (
                    Path(one).name
                    if name in ("reference", "calibration", "embedder", "quality_thresholds")
                    else one
                )
                text += f" {option} {shlex.quote(str(shown))}"
    return text


def _seeds(manifest: Manifest) -> str:
    runs = [
        f"{r.start} to {r.stop - 1}" + ("" if r.label is None else f" (label {r.label})")
        for r in manifest.runs[:RUNS]
    ]
    more = f", and {len(manifest.runs) - RUNS} more runs" if len(manifest.runs) > RUNS else ""
    return f"{', '.join(runs)}{more}: {count(len(manifest))} images"


def share(rate: Mapping[str, Any]) -> str:
    """A share with its interval."""
    return f"{percent(rate['value'])} ({percent(rate['low'])} to {percent(rate['high'])})"


def _people(described: Mapping[str, Any]) -> str:
    people = "people not named"
    if described["people"] is not None:
        people = f"{count(described['people'])} people{told_by_folders(described)}"
    return f"{count(described['images'])} images, {people}; digest of their pixels {described['sha256']}"


def _rate(value: float, pairs: int) -> str:
    return f"{value:.2g} (1 in {count(round(1 / value))})," if value else f"below {3 / pairs:.1g},"


def _plain(value: float) -> str:
    return "0" if value == 0 else ("-" if value < 0 else "") + count(abs(value))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_shown(v)}" for k, v in value.items())
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
