"""Membership inference against a generator that remembers, and one that does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulated_people import People, embeddings, names
from syper_data.errors import InputError, UsageError
from syper_data.filtering.auditor import Auditor
from syper_data.filtering.membership import membership
from syper_data.imaging.subjects import half_of
from syper_data.recognition.recognizer_file import identity_digest


def test_a_generator_that_repeats_its_training_crops_is_told_and_one_that_does_not_is_not() -> None:
    who = People(0)
    train, held_out = who.images(names("t", 400), 2), who.images(names("h", 400), 2, take=1)
    rng = np.random.default_rng(0)
    remembered = train.vectors[rng.integers(0, 800, 300)] + 0.02 * rng.normal(size=(300, 24))
    fresh = who.images(names("new", 300), take=2)
    leaking = membership([Auditor(embeddings(remembered), train, held_out)], repeats=100)
    clean = membership([Auditor(fresh, train, held_out)], repeats=100)
    assert leaking.auc.low > 0.6
    assert leaking.at[0].tpr is not None
    assert leaking.at[0].tpr.low > 0.1
    assert "can be inferred" in leaking.verdict
    assert clean.auc.low <= 0.5 <= clean.auc.high
    assert "No membership signal" in clean.verdict
    assert (clean.train_people, clean.held_out_people, clean.synthetic_images) == (400, 400, 300)
    json.dumps(clean.to_dict(), allow_nan=False)


def test_a_rate_that_the_held_out_people_cannot_support_is_not_given(tmp_path: Path) -> None:
    who = People(0)
    train, held_out = who.images(names("t", 50), 4), who.images(names("h", 310), take=1)
    held_out.write(tmp_path / "held.parquet")
    found = membership(
        [Auditor(who.images(names("new", 40), take=2), train, tmp_path / "held.parquet")], repeats=20
    )
    assert found.at[0].tpr is not None
    assert found.at[0].support == "rule of 3"
    assert found.at[1].tpr is None
    assert "310 independent held-out people can't support a false-positive rate of 0.1 %" in found.at[1].note


def test_the_interval_resamples_people_not_crops() -> None:
    who = People(0)
    fresh = who.images(names("new", 100), take=2)
    one, held = who.images(names("t", 40)), who.images(names("h", 40), take=1)
    widths = []
    for copies in (1, 8):
        rows = np.repeat(np.arange(40), copies)
        train = embeddings(one.vectors[rows], subjects=[f"t{i}" for i in rows], tag="t")
        rest = embeddings(held.vectors[rows], subjects=[f"h{i}" for i in rows], tag="h")
        found = membership([Auditor(fresh, train, rest)], repeats=100, fprs=())
        widths.append(found.auc.high - found.auc.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_people_or_images_in_both_sets_are_refused() -> None:
    who = People(0)
    train = who.images(names("t", 20))
    with pytest.raises(InputError, match="20 calibration subjects are in the reference"):
        membership([Auditor(train, train, train)])
    renamed = embeddings(train.vectors, subjects=names("h", 20), tag="0-0")
    with pytest.raises(InputError, match="20 calibration images are in the reference, pixel for pixel"):
        membership([Auditor(train, train, renamed)])
    with pytest.raises(InputError, match="different recognizers"):
        membership([Auditor(embeddings(train.vectors, network="b" * 64), train, who.images(names("h", 5)))])
    with pytest.raises(UsageError, match="crops held out"):
        membership([Auditor(train, train)])


def test_with_two_networks_each_person_is_scored_by_the_one_that_does_not_know_them() -> None:
    """A network shows those it was trained on as nearer to everything; none of that may look like membership."""
    who, groups = People(0), (names("t", 200), names("h", 200))
    fresh = who.images(names("new", 200), take=2)
    honest = [who.images(group, 2) for group in groups]
    auditors = []
    for network in (0, 1):
        known = {name for name in groups[0] if half_of(name) == network}
        rows = [subject in known for subject in honest[0].table["subject"].to_pylist()]
        drawn = honest[0].vectors.copy()
        drawn[rows] = fresh.vectors[np.arange(sum(rows)) % len(fresh)]
        table = honest[0].table
        train = embeddings(drawn, subjects=table["subject"].to_pylist(), tag="t", network="ab"[network] * 64)
        rest = embeddings(
            honest[1].vectors, subjects=honest[1].table["subject"].to_pylist(), tag="h", network="ab"[network] * 64
        )
        made = embeddings(fresh.vectors, tag="s", network="ab"[network] * 64)
        auditors.append(Auditor(made, train, rest, identities=frozenset(map(identity_digest, known))))
    both = membership(auditors, repeats=100)
    one = membership(auditors[:1], repeats=100)
    assert both.auc.low <= 0.5 <= both.auc.high
    assert one.auc.low > 0.6
    assert len(both.embedders) == 2
