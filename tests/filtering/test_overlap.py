"""The audit on simulated people: what leaks is found, who is new is flagged as often as was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulated_people import People, audit_alone, embeddings, names
from syper_data.errors import InputError, UsageError
from syper_data.filtering import overlap
from syper_data.filtering.auditor import SearchSettings
from syper_data.recognition.recognizer_file import identity_digest

FAST = {"repeats": 200}


def people(seed: int = 0, reference: int = 120, images: int = 2) -> tuple[People, Any, Any]:
    who = People(seed)
    return who, who.images(names("r", reference), images), who.images(names("c", 120), 2, take=1)


def test_images_of_reference_people_are_flagged_and_new_people_are_not() -> None:
    who, reference, calibration = people()
    leaked, fresh = who.images(names("r", 30), take=2), who.images(names("new", 170), take=3)
    synthetic = embeddings(np.concatenate([leaked.vectors, fresh.vectors]))
    found = audit_alone(synthetic, reference, calibration=calibration, **FAST)
    assert found.flagged is not None
    assert found.flagged[:30].mean() > 0.9
    assert found.flagged[30:].mean() < 0.05
    assert [reference.table["subject"][int(r)].as_py() for r in found.nearest[:30, 0]].count("r3") == 1
    assert found.excess is not None
    count = int(found.flagged.sum())
    assert (found.excess.n, found.excess.flagged.value) == (200, count)
    assert found.excess.expected.value == pytest.approx(2)
    assert found.excess.excess.value == pytest.approx(count - 2)
    assert 10 < found.excess.excess.low < count - 2 < found.excess.excess.high < 50
    assert found.centre is not None
    assert (found.centre[:30] > 0.6).all()
    assert found.nearest.shape == found.similarity.shape == (200, 5)
    assert (np.diff(found.similarity, axis=1) <= 0).all()


@pytest.mark.parametrize("labelled", [False, True])
def test_over_many_audits_new_people_are_flagged_at_the_rate_that_was_asked(labelled: bool) -> None:
    """A calibration set; or a labelled reference alone, whose people are left out in turn."""
    rates, covered = [], 0
    for seed in range(60):
        who = People(seed, dim=10)
        reference = who.images(names("r", 80))
        fresh = embeddings(who.images(names("new", 100), take=3).vectors)
        calibration = None if labelled else who.images(names("c", 80), take=1)
        found = audit_alone(fresh, reference, calibration=calibration, fpir=0.05, **FAST)
        assert found.flagged is not None
        assert found.excess is not None
        rates.append(found.flagged.mean())
        covered += found.excess.excess.low <= 0 <= found.excess.excess.high
    error = np.std(rates) / np.sqrt(60)
    assert 0.02 < np.mean(rates) <= 0.05 + 3 * error
    assert covered >= 54


def test_one_leaked_identity_widens_the_interval_more_than_as_many_leaked_people() -> None:
    who, reference, calibration = people()
    many = embeddings(who.images(names("r", 60), take=2).vectors)
    one = embeddings(who.images(["r0"], 60, take=2).vectors)
    widths = []
    for synthetic in (many, one):
        found = audit_alone(synthetic, reference, calibration=calibration, **FAST).excess
        assert found is not None
        assert found.flagged.value > 50
        widths.append(found.flagged.high - found.flagged.low)
    assert widths[1] > 1.5 * widths[0]


def test_without_labels_and_without_calibration_there_is_no_threshold_and_the_result_says_so() -> None:
    who, reference, calibration = people()
    unlabelled = embeddings(reference.vectors)
    fresh = who.images(names("new", 20), take=3)
    found = audit_alone(fresh, unlabelled, **FAST)
    assert found.flagged is None
    assert found.excess is None
    assert found.false_alarms == ()
    assert found.networks[0].threshold is None
    assert "No threshold" in found.notes[0]
    assert found.similarity[0, 0] > 0
    json.dumps(found.to_dict(), allow_nan=False)
    with_calibration = audit_alone(fresh, unlabelled, calibration=calibration, **FAST)
    assert with_calibration.flagged is not None
    assert with_calibration.centre is None


def test_the_record_is_json_and_prints_the_pairwise_rate_beside_the_fpir() -> None:
    who, reference, calibration = people()
    found = audit_alone(who.images(names("new", 50), take=3), reference, calibration=calibration, **FAST)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    network = record["networks"][0]
    assert (network["reference_images"], network["calibration_people"], network["people_needed"]) == (240, 120, 99)
    assert network["pairs"] == 240 * 240
    similarity = calibration.vectors @ reference.vectors.T
    assert network["pair_fmr"] == pytest.approx((similarity >= network["threshold"]).mean(), abs=2e-5)
    assert network["independent_pair_fmr"] == pytest.approx(0.01 / 240, rel=0.01)
    assert record["images"] == 50
    assert record["second_samples"]["eyes"] == 120
    assert record["false_alarms"][0]["held_out"] is False  # 60 people can't set a threshold at 1 %


def test_false_alarms_are_measured_on_people_who_did_not_set_the_threshold() -> None:
    who = People(0, dim=10)
    found = audit_alone(
        who.images(names("new", 20), take=3), who.images(names("r", 60)), fpir=0.05,
        calibration=who.images(names("c", 300), 2, take=1), **FAST,
    )  # fmt: skip
    (alarms,) = found.false_alarms
    assert alarms.held_out
    assert alarms.rate.clusters == 300
    assert alarms.rate.low <= 0.05 <= alarms.rate.high


def test_results_do_not_depend_on_blocks_threads_or_whether_the_sets_are_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, reference, calibration = people()
    synthetic = who.images(names("new", 90), take=3)
    first = audit_alone(synthetic, reference, calibration=calibration, **FAST)
    paths = {}
    for name, part in (("synthetic", synthetic), ("reference", reference), ("calibration", calibration)):
        paths[name] = tmp_path / f"{name}.parquet"
        part.write(paths[name])
    monkeypatch.setattr(
        overlap, "SearchSettings", lambda k, threads: SearchSettings(k, threads, query_rows=40, reference_rows=70)
    )
    other = audit_alone(
        paths["synthetic"], paths["reference"], calibration=paths["calibration"], threads=2, **FAST
    )
    assert (other.nearest == first.nearest).all()
    assert (other.similarity == first.similarity).all()
    assert (other.centre == first.centre).all()
    assert other.to_dict() == first.to_dict()


def test_a_mirrored_leak_is_found_where_both_orientations_are_searched() -> None:
    """A mirrored image has the vector of another direction: here, all values in reverse."""
    who, reference, calibration = people()

    def turned(given: Any) -> Any:
        return type(given)(given.vectors[:, ::-1].copy(), given.table, given.embedder_sha256, given.embedder_name)

    leak = turned(who.images(names("r", 40), take=2))
    upright = audit_alone(leak, reference, calibration=calibration, **FAST)
    both = audit_alone(
        leak, reference, calibration=calibration, reference_mirrored=turned(reference), **FAST,
    )  # fmt: skip
    left_out = audit_alone(leak, reference, fpir=0.02, reference_mirrored=turned(reference), **FAST)
    assert upright.flagged is not None
    assert both.flagged is not None
    assert upright.flagged.mean() < 0.1
    assert both.flagged.mean() > 0.9
    assert both.mirrored.mean() > 0.9
    assert both.networks[0].threshold >= upright.networks[0].threshold
    assert any("one orientation" in note for note in upright.notes)
    assert left_out.flagged is not None
    assert left_out.flagged.mean() > 0.9
    assert left_out.networks[0].both_orientations
    with pytest.raises(InputError, match="reference mirrored"):
        audit_alone(leak, reference, reference_mirrored=turned(calibration), **FAST)


def test_an_empty_reference_is_refused(tmp_path: Path) -> None:
    who, reference, calibration = people()
    with pytest.raises(InputError, match="the reference set is empty"):
        audit_alone(reference, reference.select([]), calibration=calibration)
    reference.select([]).write(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="the reference set is empty"):
        audit_alone(reference, tmp_path / "none.parquet", calibration=calibration)
    with pytest.raises(InputError, match="the synthetic set is empty"):
        audit_alone(who.images(["a"]).select([]), reference)


def test_embeddings_of_another_network_are_refused() -> None:
    who, reference, calibration = people()
    other = embeddings(who.images(names("new", 5)).vectors, network="b" * 64, name="another")
    with pytest.raises(InputError, match="different recognizers"):
        audit_alone(other, reference, calibration=calibration)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    who, reference, calibration = people()
    broken = who.images(names("new", 5))
    broken.vectors[3, 1] = np.nan  # after the check of Embeddings, as in a memory map of another program
    with pytest.raises(InputError, match=r"synthetic embeddings, row 3: the embedding is not finite"):
        audit_alone(broken, reference, calibration=calibration)


def test_too_few_people_for_the_fpir_are_refused_with_the_number_needed() -> None:
    who, reference, _ = people()
    few = who.images(names("c", 50), 4, take=1)
    with pytest.raises(UsageError, match=r"calibration holds 50 people.*needs 99; .*--fpir 0.0197"):
        audit_alone(who.images(["x"]), reference, calibration=few)
    with pytest.raises(UsageError, match=r"reference holds 1 people.*needs 199"):
        audit_alone(who.images(["x"]), who.images(["r0"], 5))
    with pytest.raises(UsageError, match=r"reference holds 120 people.*needs 199"):
        audit_alone(who.images(["x"]), reference)


def test_people_the_network_was_trained_on_are_refused_unless_told() -> None:
    who, reference, calibration = people()
    fresh = who.images(names("new", 5), take=3)
    seen = frozenset({identity_digest("c7")})
    with pytest.raises(InputError, match=r"^1 of the calibration subjects \(such as c7\) were in the training"):
        audit_alone(fresh, reference, calibration=calibration, identities=seen)
    seen = frozenset(identity_digest(n) for n in names("r", 3))
    with pytest.raises(InputError, match=r"^3 of the reference subjects"):
        audit_alone(fresh, reference, calibration=calibration, identities=seen)
    found = audit_alone(
        fresh, reference, calibration=calibration, identities=seen, allow_seen_identities=True, **FAST
    )
    assert any("people that it was trained on" in note for note in found.notes)
    unknown = audit_alone(fresh, reference, calibration=calibration, **FAST)
    assert any("is not known" in note for note in unknown.notes)
    told = audit_alone(fresh, reference, calibration=calibration, identities=frozenset(), **FAST)
    assert not any("trained" in note for note in told.notes)


def test_calibration_people_or_images_of_the_reference_are_refused() -> None:
    who, reference, calibration = people()
    with pytest.raises(InputError, match=r"120 calibration subjects are in the reference \(such as r0\)"):
        audit_alone(calibration, reference, calibration=who.images(names("r", 120), take=1))
    renamed = embeddings(reference.vectors, subjects=names("other", len(reference)), tag="0-0")
    with pytest.raises(InputError, match=r"240 calibration images are in the reference, pixel for pixel \(row 0"):
        audit_alone(calibration, reference, calibration=renamed)
    with pytest.raises(InputError, match=r"calibration row 0 \(x/0\) has no subject"):
        audit_alone(calibration, reference, calibration=embeddings(calibration.vectors))


@pytest.mark.parametrize(
    "option", [{"fpir": 0.0}, {"fpir": 1.0}, {"neighbours": 0}, {"copies": 0}, {"duplicate_similarity": 2.0}]
)
def test_options_out_of_range_are_refused(option: dict[str, Any]) -> None:
    _, reference, calibration = people()
    with pytest.raises(UsageError, match=next(iter(option))):
        audit_alone(reference, reference, calibration=calibration, **option)
