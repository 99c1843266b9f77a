"""Rules of one network and of two, and the counts they give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulated_people import People, embeddings, names
from syper_data.errors import InputError, UsageError
from syper_data.filtering.auditor import Auditor
from syper_data.filtering.decision import Rule, excess, false_alarms
from syper_data.filtering.overlap import audit_overlap, split_reference
from syper_data.filtering.threshold import DISJOINT, Calibration
from syper_data.imaging.holdout import is_held_out
from syper_data.recognition.recognizer_file import identity_digest

FAST = {"repeats": 100}


def digests(people: list[str]) -> frozenset[str]:
    return frozenset(identity_digest(p) for p in people)


def rule(values: Any, threshold: float, fpir: float = 0.1) -> Rule:
    values = np.asarray(values, float)
    return Rule((0,), (0.0,), (1.0,), fpir, Calibration(values, np.arange(len(values)), DISJOINT), threshold)


def two_networks(
    count: int, seed: int, calibrated: int, images: int = 2, dim: int = 12
) -> tuple[list[Auditor], Any, list[str]]:
    """Two networks (two views of people that know nothing of each other) trained on half of the people each;
    a third of the people was seen by none. Returns auditors for given synthetic images, and the people."""
    who = [People(seed, dim=dim), People(seed + 1000, noise=0.5, dim=dim + 4)]
    everyone = names("r", count)
    third = count // 3
    seen = [digests(everyone[:third]), digests(everyone[third : 2 * third])]

    def auditors(people: list[str], take: int) -> list[Auditor]:
        found = []
        for i, network in enumerate("ab"):

            def renamed(given: Any, subjects: Any, tag: str, network: str = network) -> Any:
                return embeddings(given.vectors, subjects=subjects, tag=tag, network=network * 64, name=network)

            reference = who[i].images(everyone, images)
            calibration = who[i].images(names("c", calibrated), 2, take=1) if calibrated else None
            found.append(
                Auditor(
                    renamed(who[i].images(people, take=take), None, "synthetic"),
                    renamed(reference, reference.table["subject"].to_pylist(), "reference"),
                    None
                    if calibration is None
                    else renamed(calibration, calibration.table["subject"].to_pylist(), "calibration"),
                    identities=seen[i],
                )
            )
        return found

    return auditors, everyone, seen  # type: ignore[return-value]


def test_a_person_is_audited_by_a_network_that_was_not_trained_on_that_person() -> None:
    people = names("p", 60)
    seen = [digests(people[:20]), digests(people[20:40])]
    owner = split_reference([*people, *people], seen)
    assert owner[:20].tolist() == [1] * 20
    assert owner[20:40].tolist() == [0] * 20
    assert 3 < owner[40:60].sum() < 17  # by the hash of the id
    assert (owner[:60] == owner[60:]).all()
    assert split_reference(people, [digests(people)]).tolist() == [0] * 60
    with pytest.raises(InputError, match=r"reference row 1: every auditor was trained on subject b"):
        split_reference(["a", "b"], [digests(["b"]), digests(["b"])])
    assert split_reference(["b"], [digests(["b"]), digests(["b"])], allow_seen=True).tolist() in ([0], [1])
    with pytest.raises(InputError, match="reference row 1 has no subject"):
        split_reference(["a", None], seen)


@pytest.mark.parametrize("calibrated", [0, 60])
def test_two_networks_together_flag_new_people_at_the_rate_that_was_asked(calibrated: int) -> None:
    """Each its share of the rate (people left out in turn), and one joint threshold (60 people)."""
    rates = []
    for seed in range(40):
        auditors, _, _ = two_networks(60 if calibrated else 150, seed, calibrated, images=1)
        fpir = 0.05 if calibrated else 0.1
        found = audit_overlap(auditors(names("new", 60), 5), fpir=fpir, **FAST)
        assert found.flagged is not None
        assert len(found.networks) == 2
        assert len(found.false_alarms) == (1 if calibrated else 2)
        rates.append(found.flagged.mean() / fpir)
    error = np.std(rates) / np.sqrt(40)
    assert 0.3 < np.mean(rates) <= 1 + 3 * error


def test_two_networks_find_leaks_of_both_parts_and_share_the_rate_by_images() -> None:
    auditors, everyone, _ = two_networks(90, 3, 120, dim=32)
    found = audit_overlap(auditors(everyone, 7), fpir=0.02, **FAST)
    assert found.flagged is not None
    assert found.flagged.mean() > 0.7
    own = found.nearest[:, 0] // 2 == np.arange(90)
    assert own.mean() > 0.7
    assert (found.network[own][:15] == 1).all()  # people that network 0 was trained on
    assert sum(n.reference_images for n in found.networks) == 180
    assert found.excess is not None
    assert found.excess.expected.value == pytest.approx(0.02 * 90)
    split = audit_overlap(two_networks(120, 3, 0)[0](everyone, 7), fpir=0.2, **FAST)
    assert sum(n.fpir or 0 for n in split.networks) == pytest.approx(0.2)
    assert [n.fpir for n in split.networks] == pytest.approx(
        [0.2 * n.reference_images / 240 for n in split.networks]
    )


def test_each_part_needs_its_people_where_they_are_left_out_in_turn() -> None:
    auditors, everyone, _ = two_networks(90, 0, 0)
    with pytest.raises(UsageError, match=r"47 of whom a judges, .* --fpir 0.05 .* --fpir 0.0952, a"):
        audit_overlap(auditors(everyone, 1), fpir=0.05)
    assert audit_overlap(auditors(everyone, 1), fpir=0.0952, **FAST).flagged is not None


def test_networks_must_have_looked_at_the_same_images() -> None:
    first = two_networks(60, 0, 40)[0]
    a, b = first(names("new", 5), 1)[0], first(names("new", 6), 1)[1]
    with pytest.raises(InputError, match="the synthetic set has 5 images, the synthetic set 6"):
        audit_overlap([a, b], fpir=0.1)
    c = two_networks(60, 0, 0)[0](names("new", 5), 1)[1]
    with pytest.raises(UsageError, match="either every auditor has a calibration set or none"):
        audit_overlap([a, c], fpir=0.1)
    with pytest.raises(UsageError, match="at least one network"):
        audit_overlap([])


def test_the_interval_of_the_flagged_is_poissons_where_all_resemble_different_people() -> None:
    flagged, people = np.arange(1000) < 10, np.arange(1000)
    found = excess(flagged, people, [rule(np.zeros(500), 1.0)], 20000, 0)
    assert (found.flagged.low, found.flagged.high) == (pytest.approx(4.80, abs=0.1), pytest.approx(18.39, abs=0.3))
    none = excess(np.zeros(1000, bool), people, [rule(np.zeros(500), 1.0)], 20000, 0)
    assert (none.flagged.low, none.flagged.high) == (0, pytest.approx(3.69, abs=0.15))


def test_the_interval_is_seeded_and_holds_its_values() -> None:
    rng = np.random.default_rng(0)
    flagged, people = rng.random(300) < 0.1, rng.integers(0, 20, 300)
    given = [rule(rng.random(200), 0.9)]
    found = excess(flagged, people, given, 300, 1)
    assert found == excess(flagged, people, given, 300, 1)
    assert found != excess(flagged, people, given, 300, 2)
    for part in (found.flagged, found.expected, found.excess):
        assert part.low <= part.value <= part.high


def test_false_alarms_say_whether_the_people_set_the_threshold_themselves() -> None:
    values = np.random.default_rng(0).random(400)
    held_out = false_alarms(rule(values, 0.9))
    assert held_out.held_out
    assert held_out.rate.low <= 0.1 <= held_out.rate.high
    few = false_alarms(rule(values[:12], float(np.sort(values[:12])[-1])))
    assert not few.held_out
    assert few.rate.value == pytest.approx(1 / 12)


def test_people_held_out_by_the_rule_are_shared_out_among_the_auditors() -> None:
    """Both rules look at a digest of the id; with the same bits of it all held-out people went to one auditor."""
    held_out = [name for name in names("p", 4000) if is_held_out(name, 0.1)]
    for people in (held_out, names("p", 400)):
        owner = split_reference(people, [frozenset(), frozenset()])
        assert 0.4 < owner.mean() < 0.6
