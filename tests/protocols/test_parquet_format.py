"""The folder that a protocol is written to: read back as it was made, damaged in every way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from labelled_images import people, write_rows
from syper_data.errors import InputError, OutputError, UsageError
from syper_data.protocols.made import MadeProtocol
from syper_data.protocols.making import make_protocol
from syper_data.protocols.parquet_format import read_descriptor, read_parquet_protocol, read_table


def make(folder: Path, **options: Any) -> MadeProtocol:
    rows = people(6, 3, spectrum="vis")
    return make_protocol(write_rows(folder / "eyes.parquet", rows), out=folder / "made", **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"csv": True},
        {"mated": 5, "non_mated": 7},
        {"mated": 5, "csv": True},
        {"across": "side"},
        {"across": "side", "non_mated": 9, "enrol": 2, "unenrolled": 0.5},
        {"kind": "closed_world", "folds": 2, "enrol": 0},
        {"kind": "open_world_valopen", "folds": 1},
    ],
)
def test_what_was_made_is_what_is_read_back(tmp_path: Path, options: dict[str, Any]) -> None:
    if options.get("kind") == "closed_world":
        rows = people(6, 8)
        made = make_protocol(write_rows(tmp_path / "eyes.parquet", rows), out=tmp_path / "made", **options)
    else:
        made = make(tmp_path, **options)
    for place in (tmp_path / "made", tmp_path / "made" / "protocol.yaml"):
        folds = read_parquet_protocol(place)
        assert [f.sha256() for f in folds] == [f.sha256() for f in made.folds]
        for read, written in zip(folds, made.folds, strict=True):
            assert (read.name, read.training, read.subject_names) == (
                written.name,
                written.training,
                written.subject_names,
            )
            assert read.counts() == written.counts()
            for a, b in ((read.identification, written.identification),):
                assert (a is None) == (b is None)
                if a is not None and b is not None:
                    assert (a.probe.tolist(), a.gallery.tolist()) == (b.probe.tolist(), b.gallery.tolist())
    assert read_table(tmp_path / "made") == made.table


def test_one_fold_can_be_read_alone_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert [f.name for f in read_parquet_protocol(tmp_path / "made", None, ["2"])] == ["2"]
    with pytest.raises(InputError, match=r"no fold '4'; it has 1, 2, 3"):
        read_parquet_protocol(tmp_path / "made", folds=["4"])
    assert made.counts["1"]["test_subjects"] == 2


def test_the_datasets_library_reads_images_and_pairs(tmp_path: Path) -> None:
    import datasets

    make(tmp_path, mated=4, non_mated=6)
    files = {"images": str(tmp_path / "made" / "images.parquet")}
    images = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "c"))["images"]
    assert images.num_rows == 36
    assert images[0]["name"] == "001/image_left/1"
    assert set(images["fold1"]) == {"train", "val", "gallery", "probe"}
    files = {"pairs": str(tmp_path / "made" / "pairs-fold1.parquet")}
    pairs = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "c"))["pairs"]
    assert sorted(pairs["mated"]) == [False] * 6 + [True] * 4
    assert set(pairs["probe"]) <= set(images["name"])


def test_the_descriptor_says_how_it_was_made_and_names_no_folder(tmp_path: Path) -> None:
    made = make(tmp_path, kind="open_world_valopen", seed=3, mated=4, key=["subject", "side", "sample"])
    text = (tmp_path / "made" / "protocol.yaml").read_text("utf-8")
    assert str(tmp_path) not in text
    descriptor = read_descriptor(tmp_path / "made")
    assert descriptor["made"]["command"] == (
        "syper-data protocol make eyes.parquet --out made --kind open_world_valopen --seed 3 --mated 4 "
        "--key subject --key side --key sample"
    )
    assert descriptor["made"]["source"]["entries"] == 36
    assert descriptor["options"]["subject_disjoint"] is True
    assert descriptor["made"]["counts"]["1"]["mated"] == descriptor["expects"]["folds"]["1"][0] == 4
    assert descriptor["spectrum"] == made.spectrum == "vis"


def test_a_fold_has_the_digest_that_results_name_and_protocols_with_older_digests_are_read(tmp_path: Path) -> None:
    made = make(tmp_path)
    digests = read_descriptor(tmp_path / "made")["options"]["fold_sha256"]
    assert digests == {fold.name: fold.sha256() for fold in made.folds}
    path = tmp_path / "made" / "protocol.yaml"
    path.write_text(path.read_text("utf-8").replace("fold_sha256:", "digests:"))
    assert [fold.sha256() for fold in read_parquet_protocol(path)] == list(digests.values())
    path.write_text(path.read_text("utf-8").replace("  digests:", "  fold_sha256: none\n  digests:"))
    with pytest.raises(InputError, match=r"options\.fold_sha256 is of the wrong form"):
        read_parquet_protocol(path)


def test_the_same_command_again_changes_nothing_and_another_is_refused(tmp_path: Path) -> None:
    make(tmp_path, seed=1)
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "made").iterdir()}
    make(tmp_path, seed=1)
    assert before == {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "made").iterdir()}
    with pytest.raises(OutputError, match=r"made: holds another protocol, and is not changed"):
        make(tmp_path, seed=2)


def test_a_folder_with_other_files_is_left_alone_and_an_empty_one_is_used(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"made: holds other files; name a folder that is empty or new"):
        make(tmp_path)
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["thesis.txt"]
    (tmp_path / "made" / "thesis.txt").unlink()
    make(tmp_path)
    assert (tmp_path / "made" / "protocol.yaml").is_file()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        make_protocol(tmp_path / "eyes.parquet", out=tmp_path / "file")


def test_a_protocol_that_fails_while_it_is_written_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "eyes.parquet", people(6, 3))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("syper_data.protocols.writing.pq.write_table", full)
    with pytest.raises(OutputError, match="made: cannot be written: No space left on device"):
        make_protocol(source, out=tmp_path / "made")
    assert [p.name for p in tmp_path.iterdir()] == ["eyes.parquet"]


def change_table(name: str, change: Callable[[dict[str, list[Any]]], None]) -> Callable[[Path], None]:
    """Rewrite a Parquet file and put its new digest into the descriptor."""

    def damage(folder: Path) -> None:
        values = pq.read_table(folder / name).to_pydict()
        change(values)
        pq.write_table(pa.table(values), folder / name)
        settle(folder, name)

    return damage


def settle(folder: Path, name: str) -> None:
    descriptor = yaml.safe_load((folder / "protocol.yaml").read_text())
    descriptor["options"]["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "protocol.yaml").write_text(yaml.safe_dump(descriptor))


def descriptor_with(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        descriptor = yaml.safe_load((folder / "protocol.yaml").read_text())
        for path, value in changes.items():
            *parents, last = path.split("__")
            at = descriptor
            for parent in parents:
                at = at[parent]
            at[last] = value
        (folder / "protocol.yaml").write_text(yaml.safe_dump(descriptor))

    return damage


def put(column: str, row: int, value: Any) -> Callable[[dict[str, list[Any]]], None]:
    return lambda values: values[column].__setitem__(row, value)


def csv_with(change: Callable[[str], str]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "pairs-fold1.csv"
        path.write_bytes(change(path.read_text()).encode())
        settle(folder, path.name)

    return damage


def renamed(old: str, new: str) -> Callable[[dict[str, list[Any]]], None]:
    return lambda values: values.__setitem__(new, values.pop(old))


IMAGE, PAIRS = "images.parquet", "pairs-fold1.parquet"


def whole_role(role: str) -> Callable[[dict[str, list[Any]]], None]:
    return lambda values: values.__setitem__("fold1", [role] * len(values["fold1"]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "protocol.yaml").unlink(), "protocol.yaml: cannot be read"),
        (lambda f: (f / "protocol.yaml").write_text("{a: [1"), "protocol.yaml: not a YAML file"),
        (lambda f: (f / "protocol.yaml").write_bytes(b"\xff\xfe"), "protocol.yaml: not a YAML file"),
        (lambda f: (f / "protocol.yaml").write_text("!!python/object/apply:os.system [x]"), "not a YAML file"),
        (descriptor_with(options__schema="syper-protocol/9"), r"schema is 'syper-protocol/9': this toolkit reads"),
        (
            descriptor_with(options__files={"../secret.txt": "0" * 64}),
            "files names '../secret.txt': must be a file",
        ),
        (descriptor_with(options__files={"/etc/passwd": "0" * 64}), "files names '/etc/passwd': must be a file"),
        (descriptor_with(options__files=None), "options.files is missing or of the wrong form"),
        (descriptor_with(options__images="../images.parquet"), "must be a path below the descriptor's folder"),
        (descriptor_with(options__images="/etc/images.parquet"), "must be a path below the descriptor's folder"),
        (descriptor_with(options=[1]), r"schema is None: this toolkit reads"),
        (descriptor_with(folds={"1": 2}), "folds must be names of letters"),
        (descriptor_with(folds=["../1"]), "folds must be names of letters"),
        (descriptor_with(options__lists="xml"), "lists is 'xml': must be parquet, csv or null"),
        (descriptor_with(options__lists=None), "comparisons are listed, but lists names no format"),
        (descriptor_with(options__comparisons={"all": 1}), "comparisons must have same_side"),
        (descriptor_with(options__comparisons__across="age"), "comparisons: across is 'age'"),
        (
            descriptor_with(options__fold_sha256__1="0" * 64),
            "fold 1 has another digest than its images and comparisons",
        ),
        (descriptor_with(options__files={}), "files names no images.parquet"),
        (lambda f: (f / IMAGE).unlink(), "images.parquet: is missing"),
        (lambda f: (f / PAIRS).unlink(), "pairs-fold1.parquet: is missing"),
        (lambda f: (f / PAIRS).write_bytes(b"PAR1"), r"pairs-fold1.parquet: was changed since"),
        (lambda f: ((f / IMAGE).write_bytes(b"PAR1 no"), settle(f, IMAGE)), "not a readable Parquet file"),
        (change_table(IMAGE, renamed("identity", "eye")), "images.parquet: no column 'identity'"),
        (change_table(IMAGE, put("name", 3, None)), "images.parquet, row 3: name is empty"),
        (change_table(IMAGE, put("name", 3, "001/image_left/1")), "image '001/image_left/1' is listed twice"),
        (change_table(IMAGE, put("fold1", 0, "tested")), "fold1 is 'tested': must be one of train, val"),
        (change_table(IMAGE, whole_role("train")), r"pair 0: '\d+/.*' is no tested image of fold 1"),
        (change_table(IMAGE, lambda v: v.update(name=list(range(36)))), "column 'name' holds int64, not text"),
        (
            change_table(IMAGE, put("subject", 0, "006")),
            "is tested and trained on in an open world|another digest",
        ),
        (change_table(PAIRS, put("probe", 2, "x/y/1")), "pair 2: 'x/y/1' is no tested image of fold 1"),
        (change_table(PAIRS, put("reference", 2, None)), "pair 2: None is no tested image"),
        (change_table(PAIRS, lambda v: v["probe"].__setitem__(1, v["reference"][1])), "pair 1: an image is comp"),
        (
            change_table(PAIRS, lambda v: [c.append(c[0]) for c in v.values()]),
            r"pair 11: the same two images are compared already",
        ),
        (change_table(PAIRS, lambda v: v.update(mated=[not m for m in v["mated"]])), "pair 0: is labelled"),
        (change_table(PAIRS, lambda v: v.pop("mated")), "must have one column 'mated'"),
        (change_table(PAIRS, lambda v: [c.pop() for c in v.values()]), "another digest"),
    ],
)
def test_every_damage_is_one_clear_error(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    make(tmp_path, mated=4, non_mated=7)
    damage(tmp_path / "made")
    with pytest.raises(InputError, match=message) as caught:
        read_parquet_protocol(tmp_path / "made")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("true", "1").replace("false", "0"),
        lambda text: text + "\n\n",
    ],
)
def test_a_csv_list_may_have_windows_ends_no_last_newline_a_mark_and_0_and_1(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    made = make(tmp_path, mated=4, non_mated=7, csv=True)
    csv_with(change)(tmp_path / "made")
    assert read_parquet_protocol(tmp_path / "made", folds=["1"])[0].sha256() == made.folds[0].sha256()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("true", "2", 1), "pair [0-9]+: mated is '2': must be true, false, 1 or 0"),
        (lambda text: text.replace(",false", "", 1), "pairs-fold1.csv: not a readable CSV file"),
        (lambda text: text.replace("probe", "a", 1), "must have one column 'probe'; it has a, reference, mated"),
        (lambda text: "", "not a readable CSV file"),
        (lambda text: text.replace("/", "/../", 1), "is no tested image of fold 1"),
    ],
)
def test_a_wrong_csv_list_is_one_clear_error(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    make(tmp_path, mated=4, non_mated=7, csv=True)
    csv_with(change)(tmp_path / "made")
    with pytest.raises(InputError, match=message) as caught:
        read_parquet_protocol(tmp_path / "made")
    assert "\n" not in str(caught.value)


def test_names_with_commas_quotes_and_letters_beyond_ascii_survive_a_csv_list(tmp_path: Path) -> None:
    rows = [row | {"subject": f'Ä "{row["subject"]}", x'} for row in people(6, 3)]
    made = make_protocol(write_rows(tmp_path / "eyes.parquet", rows), out=tmp_path / "made", csv=True)
    assert read_parquet_protocol(tmp_path / "made")[0].sha256() == made.folds[0].sha256()


def test_a_fold_that_trains_on_the_people_it_tests_is_refused_though_all_digests_are_right(tmp_path: Path) -> None:
    make(tmp_path)

    def cheat(values: dict[str, list[Any]]) -> None:
        at = next(i for i, role in enumerate(values["fold1"]) if role == "probe")
        values["fold1"][at] = "train"

    change_table(IMAGE, cheat)(tmp_path / "made")
    with pytest.raises(InputError, match=r"fold 1: subject '\d+' is tested and trained on in an open world"):
        read_parquet_protocol(tmp_path / "made")


def test_too_many_comparisons_across_a_column_are_refused_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syper_data.protocols.table.MOST_LISTED", 10)
    with pytest.raises(UsageError, match=r"fold 1: more than 10 comparisons; state how many with --mated"):
        make(tmp_path, across="side")
    make(tmp_path, across="side", mated=3, non_mated=4)
