"""The audit's proof that it would have seen a leak."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from simulated_people import People, audit_alone, embeddings, names
from syper_data.errors import UsageError
from syper_data.filtering.sensitivity import rows_to_plant

FAST: dict[str, Any] = {"repeats": 50, "fpir": 0.02}
SIDE = 16


def drawings(count: int, seed: int) -> Any:
    """uint8 [count, SIDE, SIDE, 3]: smooth random patterns, one a person."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3))
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2).astype(np.uint8)


def embed(images: list[Any]) -> Any:
    """A network that looks at the pattern alone: mean colours of 4 x 4 cells, centred and normalised."""
    cells = np.stack([i.astype(float).reshape(4, 4, 4, 4, 3).mean((1, 3)).ravel() for i in images])
    cells -= cells.mean(axis=1, keepdims=True)
    return (cells / np.linalg.norm(cells, axis=1, keepdims=True)).astype(np.float32)


def drawn_audit(**more: Any) -> Any:
    reference, calibration, new = drawings(60, 1), drawings(80, 2), drawings(30, 3)
    sets = [
        embeddings(embed(list(x)), subjects=names(kind, len(x)), tag=kind)
        for kind, x in (("r", reference), ("c", calibration), ("new", new))
    ]
    turned = embeddings(embed([i[:, ::-1] for i in reference]), subjects=names("r", len(reference)), tag="r")

    def images(rows: Sequence[int]) -> list[Any]:
        return [reference[row] for row in rows]

    given = {"embed": embed, "reference_images": images, "copies": 40, **FAST, **more}
    both = given.pop("both", True)
    if both:
        given |= {"reference_mirrored": turned}
    return audit_alone(sets[2], sets[0], calibration=sets[1], **given)


def test_planted_copies_of_every_kind_are_counted_beside_the_false_alarms() -> None:
    found = drawn_audit()
    assert found.copies is not None
    rates = {rate.kind: rate for rate in found.copies}
    assert list(rates) == [
        "unchanged", "recompressed", "mirrored", "shifted", "rescaled", "blurred", "relit", "colour_shifted",
        "recropped",
    ]  # fmt: skip
    for kind in ("unchanged", "recompressed", "mirrored", "blurred", "colour_shifted", "relit"):
        assert rates[kind].flagged.value > 0.9, kind
        assert rates[kind].named.value > 0.9, kind
    assert (rates["unchanged"].flagged.n, rates["unchanged"].flagged.clusters) == (40, 40)
    assert rates["unchanged"].median_similarity == pytest.approx(1, abs=1e-5)
    assert found.false_alarms[0].rate.value < 0.05
    assert any("Copies were tested, identity was not" in note for note in found.notes)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["copies"][1]["description"] == "JPEG of quality 40 to 80"


def test_a_kind_of_copy_that_is_missed_is_said_to_be_missed() -> None:
    found = drawn_audit(both=False)
    assert found.copies is not None
    mirrored = next(rate for rate in found.copies if rate.kind == "mirrored")
    assert mirrored.flagged.value < 0.2
    assert any(note.startswith("Of mirrored copies only") for note in found.notes)


def test_planting_is_seeded() -> None:
    first, again, other = drawn_audit(), drawn_audit(), drawn_audit(seed=1)
    assert first.copies == again.copies
    assert first.copies != other.copies


def test_images_that_are_not_those_of_the_embeddings_are_refused() -> None:
    others = drawings(60, 9)
    with pytest.raises(UsageError, match="reference images embedded again are at a median similarity of"):
        drawn_audit(reference_images=lambda rows: [others[row] for row in rows])


def test_without_images_or_network_nothing_is_planted_and_the_result_says_so() -> None:
    assert any("the reference's images must be given" in n for n in drawn_audit(reference_images=None).notes)
    found = drawn_audit(embed=None)
    assert found.copies is None
    assert any("embedding function must be given" in n for n in found.notes)
    assert any("Neither copies nor identity were tested" in n for n in found.notes)


def test_withheld_images_of_reference_eyes_are_found_as_counted_in_a_loop() -> None:
    who = People(0, noise=0.5)
    reference = who.images(names("r", 60), 4)
    found = audit_alone(who.images(["new"]), reference, calibration=who.images(names("c", 80), take=1), **FAST)
    second, threshold = found.second_samples, found.networks[0].threshold
    assert second is not None
    assert threshold is not None
    subjects = np.array(reference.table["subject"].to_pylist())
    similarity = reference.vectors @ reference.vectors.T
    hits, pairs = [], []
    for i in range(240):
        others = [j for j in range(240) if j != i and subjects[j] == subjects[i]]
        hits.append(max(similarity[i, j] for j in others) >= threshold)
        pairs += [similarity[i, j] >= threshold for j in others if j > i]
    assert second.found.value == pytest.approx(np.mean(hits))
    assert second.found_by_one.value == pytest.approx(np.mean(pairs))
    assert (second.eyes, second.found.n, second.found.clusters) == (60, 240, 60)
    assert second.found_by_one.value < second.found.value


def test_an_audit_that_would_miss_a_leak_says_so() -> None:
    who = People(0, noise=1.5)
    found = audit_alone(
        who.images(["new"]), who.images(names("r", 60), 2), calibration=who.images(names("c", 80), take=1), **FAST
    )
    assert found.second_samples is not None
    assert found.second_samples.found.value < 0.5
    assert any("would not mean that nothing leaked" in note for note in found.notes)


def test_a_reference_with_one_image_an_eye_cannot_prove_identity() -> None:
    who = People(0)
    found = audit_alone(
        who.images(["new"]), who.images(names("r", 60)), calibration=who.images(names("c", 80), take=1), **FAST
    )
    assert found.second_samples is None
    assert any("no second image of an eye" in note for note in found.notes)


def test_the_planted_rows_are_of_as_many_people_as_there_are() -> None:
    people = np.repeat(np.arange(10), 5)
    rows = rows_to_plant(people, 10, seed=0)
    assert sorted(people[rows]) == list(range(10))
    assert len(set(rows_to_plant(people, 25, 0))) == 25
    assert len(rows_to_plant(people, 99, 0)) == 50
    assert rows == rows_to_plant(people, 10, seed=0) != rows_to_plant(people, 10, seed=1)
