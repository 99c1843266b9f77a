"""Making protocols: who is trained on and tested, what is compared, what is counted."""

from __future__ import annotations

import io
import itertools
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_pictures import drawn_face
from labelled_images import SIDES, people, write_rows
from syper_data.cropping.crop import crop
from syper_data.errors import InputError, SyperError, UsageError
from syper_data.imaging.source import ImageSource, Unreadable
from syper_data.protocols.made import MadeProtocol
from syper_data.protocols.making import make_protocol
from syper_data.protocols.protocol import Fold
from syper_data.protocols.reading import open_protocol
from syper_data.protocols.splitting import prove
from syper_data.protocols.table import TESTED, TRAIN, VAL

Pair = tuple[str, str, bool]


def make(folder: Path, rows: Any, **options: Any) -> MadeProtocol:
    return make_protocol(write_rows(folder / "eyes.parquet", rows), out=folder / "made", **options)


def pairs(fold: Fold) -> list[Pair]:
    return [
        (fold.images[p], fold.images[r], bool(m))
        for probe, reference, mated in fold.comparisons.blocks(fold)
        for p, r, m in zip(probe, reference, mated, strict=True)
    ]


def brute_force(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, bool]]:
    """Every two images of equal side, as sorted names: mated where the subject is equal."""
    found: Counter[Pair] = Counter()
    for a, b in itertools.combinations(rows, 2):
        if a["side"] == b["side"]:
            first, second = sorted(f"{r['subject']}/{r['side']}/{r['sample']}" for r in (a, b))
            found[first, second, a["subject"] == b["subject"]] += 1
    return found


collections = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(SIDES)), min_size=12, max_size=40
)  # subject and side of each image


@settings(max_examples=20, deadline=None)
@given(collections, st.sampled_from(["open_world", "open_world_valopen"]), st.integers(1, 4), st.integers(0, 9))
def test_nobody_is_trained_on_and_tested_whatever_the_collection(
    eyes: list[tuple[int, str]], kind: str, folds: int, seed: int
) -> None:
    rows = [{"subject": f"s{s}", "side": side, "sample": i} for i, (s, side) in enumerate(eyes)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = make(Path(folder), rows, kind=kind, folds=folds, seed=seed)
        except UsageError as error:
            assert "give no" in str(error) or "would leave a fold empty" in str(error)
            return
    tested: Counter[str] = Counter()
    for fold in made.folds:
        people_in = {
            role: {made.table.subject[i] for i in made.table.rows(fold.name, *roles)}
            for role, roles in (("train", (TRAIN,)), ("val", (VAL,)), ("test", TESTED))
        }
        assert not people_in["test"] & (people_in["train"] | people_in["val"])
        assert set(fold.subject_names) == people_in["test"]
        assert fold.training == people_in["train"] | people_in["val"]
        if kind == "open_world_valopen":
            assert not people_in["train"] & people_in["val"]
        else:
            assert people_in["val"] <= people_in["train"]
        tested.update(people_in["test"])
        images = [made.table.name[i] for i in made.table.rows(fold.name, TRAIN, VAL, *TESTED)]
        assert len(set(images)) == len(images) == len(rows)
    assert set(tested.values()) == {1}
    if folds > 1:
        assert set(tested) == {row["subject"] for row in rows}


def test_eyes_that_crop_could_not_cut_stay_in_the_protocol(tmp_path: Path) -> None:
    rows = []
    for person in range(4):
        for sample in range(2):
            photo = io.BytesIO()
            drawn_face(20 if (person, sample) == (0, 1) else 120).save(photo, "PNG")  # one is too small
            rows.append({"image": {"bytes": photo.getvalue(), "path": None}, "subject": person, "sample": sample})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "photos.parquet")
    eyes = tmp_path / "eyes"
    fixed = "0.38,0.45,0.62,0.45"
    crops = crop(tmp_path / "photos.parquet", eyes, fixed_eyes=fixed, output_size=16, spectrum="vis", workers=1)
    assert crops.crops == 14
    made = make_protocol(eyes, out=tmp_path / "made", kind="open_world", folds=2)
    assert len(made.table) == 16
    assert (made.spectrum, made.key) == ("vis", ("subject", "side", "sample"))
    protocol = open_protocol(tmp_path / "made/protocol.yaml", eyes)
    names = [name for fold in protocol.folds for name in fold.images]
    lost = [
        name for name, x in zip(names, protocol.pictures.read(names), strict=True) if isinstance(x, Unreadable)
    ]
    assert sorted(lost) == ["0/image_left/1", "0/image_right/1"]


@settings(max_examples=15, deadline=None)
@given(collections, st.integers(2, 4))
def test_in_a_closed_world_everybody_tested_is_trained_on_with_other_images(
    eyes: list[tuple[int, str]], folds: int
) -> None:
    rows = [{"subject": f"s{s}", "side": side, "sample": i} for i, (s, side) in enumerate(eyes)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = make(Path(folder), rows, kind="closed_world", folds=folds)
        except UsageError as error:
            assert "give no" in str(error)
            return
    tested: Counter[str] = Counter()
    for fold in made.folds:
        trained = {made.table.identity[i] for i in made.table.rows(fold.name, TRAIN)}
        assert {made.table.identity[i] for i in made.table.rows(fold.name, *TESTED)} <= trained
        tested.update(fold.images)
    assert set(tested.values()) <= {1}
    alone = sum(n == 1 for n in Counter(eyes).values())
    assert len(tested) == len(rows) - alone
    assert sum(entry["images"] for entry in made.unused) == alone


@pytest.mark.parametrize("kind", ["open_world", "open_world_valopen", "closed_world"])
def test_comparisons_are_those_of_a_brute_force_enumeration(tmp_path: Path, kind: str) -> None:
    rows = [r for i, r in enumerate(people(9, 7)) if i % 8]
    made = make(tmp_path, rows, kind=kind)
    for fold in made.folds:
        tested = [r for r in rows if f"{r['subject']}/{r['side']}/{r['sample']}" in fold.images]
        expected = brute_force(tested)
        assert Counter((*sorted(p[:2]), p[2]) for p in pairs(fold)) == expected
        counts = made.counts[fold.name]
        assert counts["mated"] == sum(n for (_, _, same), n in expected.items() if same)
        assert counts["non_mated"] == sum(n for (_, _, same), n in expected.items() if not same)


def test_the_order_of_rows_changes_nothing_and_the_seed_does(tmp_path: Path) -> None:
    rows = people(12, 3)
    mixed = rows.copy()
    random.Random(5).shuffle(mixed)
    made = []
    for name, given_rows, seed in (("a", rows, 1), ("b", mixed, 1), ("c", rows, 2)):
        (tmp_path / name).mkdir()
        one = make(tmp_path / name, given_rows, seed=seed, mated=20, non_mated=30, unenrolled=0.3)
        made.append([fold.sha256() for fold in one.folds] + [str(dict(one.table.roles))])
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_protocol_is_the_same_on_every_machine(tmp_path: Path) -> None:
    made = make(tmp_path, people(9, 3), seed=7, mated=10, non_mated=40)
    assert made.folds[0].sha256() == "ef3303c773c81cddfb478b8c344af2f19ae92599b37d6a8b5a6db78baf66f8e9"
    assert made.folds[0].subject_names == ("003", "005", "009")


def test_a_stated_number_of_comparisons_is_drawn_each_once_and_labelled_right(tmp_path: Path) -> None:
    made = make(tmp_path, people(9, 4), folds=3, mated=25, non_mated=60)
    for fold in made.folds:
        drawn = pairs(fold)
        assert fold.counts() == (25, 60)
        assert len({frozenset(p[:2]) for p in drawn}) == 85
        for probe, reference, mated in drawn:
            a, b = probe.split("/"), reference.split("/")
            assert a[1] == b[1]
            assert mated == (a[0] == b[0])


def test_more_comparisons_than_there_are_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--mated is 500: fold 1 has 18 mated comparisons"):
        make(tmp_path, people(9, 3), mated=500)


def test_across_spectra_probes_are_visible_and_references_infrared_of_the_same_eye(tmp_path: Path) -> None:
    rows = [r for s in ("vis", "nir") for r in people(6, 2, spectrum=s)]
    made = make(tmp_path, rows, across="spectrum", folds=2)
    assert made.key == ("subject", "side", "spectrum", "sample")
    assert made.spectrum is None
    for fold in made.folds:
        seen = pairs(fold)
        assert all("/vis/" in p and "/nir/" in r for p, r, _ in seen)
        assert all(p.split("/")[1] == r.split("/")[1] for p, r, _ in seen)
        assert fold.counts() == (3 * 2 * 2 * 2, 3 * 2 * 2 * 2 * 2)
        assert fold.identification is not None
        assert all("/nir/" in fold.images[i] for i in fold.identification.gallery)
        assert all("/vis/" in fold.images[i] for i in fold.identification.probe)


def test_across_sides_left_meets_right_and_both_eyes_of_one_person_are_mated(tmp_path: Path) -> None:
    made = make(tmp_path, people(6, 2), across="side", folds=2, probe="image_right")
    for fold in made.folds:
        for probe, reference, mated in pairs(fold):
            assert ("image_right" in probe, "image_left" in reference) == (True, True)
            assert mated == (probe[:3] == reference[:3])
        assert fold.counts() == (3 * 4, 3 * 2 * 4)


def test_masked_images_are_compared_with_unmasked_ones_only(tmp_path: Path) -> None:
    rows = [r | {"mask": "yes" if r["sample"] == 1 else "no"} for r in people(6, 3)]
    made = make(tmp_path, rows, across="masked", columns={"masked": "mask"}, folds=2)
    for fold in made.folds:
        assert all(p.endswith("/1") and not r.endswith("/1") for p, r, _ in pairs(fold))
        assert fold.counts() == (3 * 2 * 2, 3 * 2 * 2 * 2)


def test_the_first_samples_are_enrolled_by_number_and_some_people_are_not(tmp_path: Path) -> None:
    made = make(tmp_path, people(10, 12), folds=2, enrol=2, unenrolled=0.4)
    for fold in made.folds:
        assert fold.identification is not None
        enrolled = {fold.images[i] for i in fold.identification.gallery}
        searching = {fold.images[i] for i in fold.identification.probe}
        assert not enrolled & searching
        assert enrolled | searching == set(fold.images)
        assert {name.split("/")[2] for name in enrolled} == {"1", "2"}
        assert len({name.split("/")[0] for name in enrolled}) == 3
        assert len({name.split("/")[0] for name in searching}) == 5


def test_without_enrolment_there_is_no_identification(tmp_path: Path) -> None:
    assert all(fold.identification is None for fold in make(tmp_path, people(6, 2), enrol=0).folds)


def test_a_folder_with_one_folder_a_person_needs_no_table(tmp_path: Path) -> None:
    for subject in "abcdef":
        for side in SIDES:
            (tmp_path / "eyes" / subject / side).mkdir(parents=True)
            for n in (1, 2):
                (tmp_path / "eyes" / subject / side / f"{n}.png").write_bytes(b"x")
    made = make_protocol(tmp_path / "eyes", out=tmp_path / "made")
    assert made.table.name[0] == "a/image_left/1"
    assert made.table.identity[2] == "a/image_right"
    assert made.counts["1"]["mated"] == 4


def test_what_could_not_be_used_is_counted_with_its_reason(tmp_path: Path) -> None:
    rows = [
        *people(6, 2),
        {"subject": None, "side": "image_left", "sample": 1},
        {"subject": "001", "side": None, "sample": 9},
        {"subject": "002", "side": "left", "sample": 9},
        {"subject": "007", "side": "image_left", "sample": 1},
    ]
    made = make(tmp_path, rows)
    assert {entry["reason"]: (entry["images"], entry["subjects"]) for entry in made.unused} == {
        "no subject is named": (1, 0),
        "no side is named": (1, 1),
        "side is 'left': must be image_left or image_right": (1, 1),
    }
    assert made.source["entries"] == len(rows)
    assert sum(counts["identities_without_mated"] for counts in made.counts.values()) == 1


def test_two_images_of_one_name_are_told_apart_by_their_place_or_counted(tmp_path: Path) -> None:
    rows = [*people(6, 2), people(1, 1)[0]]
    made = make(tmp_path, rows)
    assert made.key == ("source_id",)
    again = make_protocol(tmp_path / "eyes.parquet", out=tmp_path / "by-key", key=["subject", "side", "sample"])
    assert [(e["reason"], e["images"]) for e in again.unused] == [("another image has its name", 1)]


def test_a_table_that_is_damaged_is_counted_and_the_others_are_used(tmp_path: Path) -> None:
    (tmp_path / "eyes").mkdir()
    write_rows(tmp_path / "eyes" / "a.parquet", people(6, 2))
    (tmp_path / "eyes" / "b.parquet").write_bytes(b"PAR1 broken")
    made = make_protocol(tmp_path / "eyes", out=tmp_path / "made")
    assert [(e["reason"], e["first"]) for e in made.unused] == [("its table can't be read", "b.parquet")]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (people(2, 2), {}, r"--folds is 3: 3 parts of 2 subjects would leave a fold empty"),
        (people(6, 1), {}, r"fold 1: 4 tested images of 2 subjects give no mated comparison"),
        (people(3, 2), {}, r"fold 1: 4 tested images of 1 subjects give no non-mated comparison"),
        (people(6, 2), {"name": "../mine"}, r"--name is '../mine': must be of letters, digits"),
        (people(6, 2), {"kind": "open"}, r"--kind is 'open': must be closed_world, open_world"),
        (people(6, 2), {"folds": 0}, r"--folds is 0: must be a whole number of at least 1"),
        (people(6, 2), {"validation": 1.0}, r"--validation is 1: must be at least 0 and below 1"),
        (people(6, 2), {"validation": float("nan")}, r"--validation is nan: must be a number"),
        (people(6, 2), {"seed": -1}, r"--seed is -1: must be a whole number of at least 0"),
        (people(6, 2), {"probe": "vis"}, r"--probe belongs to --across"),
        (people(6, 2), {"across": "mask"}, r"--across is 'mask': must be spectrum, side, masked"),
        (people(6, 2), {"across": "side", "probe": "nir"}, r"--probe is 'nir': must be image_left or image_right"),
        (people(6, 2), {"across": "masked"}, r"no image can be used: 24 x nothing says whether it is masked"),
        (people(6, 2), {"across": "spectrum"}, r"24 x no spectrum is named, vis or nir"),
        (people(6, 2, masked="perhaps"), {}, r"eyes.parquet, row 0: masked is 'perhaps': must be true or false"),
        (people(6, 2), {"columns": {"subject": "person"}}, r"no column 'person'; it has"),
        ([{"side": "image_left"}], {}, r"eyes.parquet: no column 'subject' says who is on an image"),
        (people(6, 2), {"key": ["pose"]}, r"--key names 'pose'"),
        (people(6, 2), {"key": ["seed"]}, r"no image can be used: 24 x no seed to name it by"),
        (people(6, 2), {"unenrolled": 0.5, "enrol": 0}, r"--unenrolled belongs to --enrol"),
        (people(6, 2), {"spectrum": "thermal"}, r"--spectrum is 'thermal': must be vis or nir"),
        (people(6, 2), {"split": "x.yaml", "folds": 2}, r"--split and --folds exclude each other"),
    ],
)
def test_what_makes_no_protocol_is_refused_in_one_line(
    tmp_path: Path, rows: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((UsageError, InputError), match=message) as caught:
        make(tmp_path, rows, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_a_broken_image_stays_in_the_protocol(tmp_path: Path) -> None:
    made = make(tmp_path, people(6, 2))  # none of these images decodes
    assert len(made.table) == len(ImageSource.open(tmp_path / "eyes.parquet")) == 24


def test_the_proof_looks_at_the_roles_and_not_at_how_they_came_about(tmp_path: Path) -> None:
    table = make(tmp_path, people(6, 2)).table
    roles = list(table.roles["1"])
    roles[table.rows("1", *TESTED)[0]] = TRAIN
    with pytest.raises(SyperError, match=r"fold 1: subject '00\d' is tested and trained on in an open world"):
        prove(type(table)(**{**vars(table), "roles": {"1": tuple(roles)}}), "open_world")
