"""Templates in the manner of IJB: sets of images, media, 1:1 and 1:N."""

from __future__ import annotations

from pathlib import Path

import pytest

from published_layouts import write_images, write_lines
from syper_data.errors import InputError
from syper_data.imaging.source import SourceImage
from syper_data.protocols.protocol import ListedComparisons
from syper_data.protocols.reading import open_protocol

TEMPLATES = [
    "template,image,subject,media",
    "t2,b/2.png,Bo,7", "t1,a/2.png,Anna,1", "t1,a/1.png,Anna,1", "t1,a/3.png,Anna,2", "t2,b/1.png,Bo,8",
    "t10,a/1.png,Anna,1",
]  # fmt: skip
COMPARISONS = ["probe,reference", "t1,t10", "t1,t2"]


def copy(root: Path, templates: list[str] = TEMPLATES, comparisons: list[str] = COMPARISONS) -> Path:
    write_lines(root / "templates.csv", templates)
    write_lines(root / "comparisons.csv", comparisons)
    write_images(root / "images", ["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png"])
    return root


def test_templates_hold_their_images_and_media(tmp_path: Path) -> None:
    protocol = open_protocol("templates", copy(tmp_path))
    (fold,) = protocol.folds
    assert fold.images == ("a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png")
    assert fold.templates == 3  # t1, t10, t2
    assert fold.members is not None and fold.starts is not None and fold.media is not None
    members = [fold.members[a:b].tolist() for a, b in zip(fold.starts, fold.starts[1:], strict=False)]
    assert members == [[0, 1, 2], [0], [3, 4]]
    media = [fold.media[a:b].tolist() for a, b in zip(fold.starts, fold.starts[1:], strict=False)]
    assert [len(set(m)) for m in media] == [2, 1, 2]
    assert media[0][0] == media[0][1] != media[0][2]
    assert [fold.subject_names[s] for s in fold.subject] == ["Anna", "Anna", "Bo"]
    assert isinstance(fold.comparisons, ListedComparisons)
    assert fold.comparisons.mated.tolist() == [True, False]
    assert fold.identification is None
    assert fold.named
    assert all(isinstance(entry, SourceImage) for entry in protocol.pictures.read(fold.images))


def test_gallery_and_probes_make_a_search(tmp_path: Path) -> None:
    root = copy(tmp_path)
    write_lines(root / "gallery.csv", ["template", "t1", "t2"])
    write_lines(root / "probes.csv", ["template", "t10"])
    protocol = open_protocol("templates", root)
    search = protocol.folds[0].identification
    assert search is not None
    assert (search.probe.tolist(), search.gallery.tolist()) == ([1], [0, 2])
    assert {"gallery.csv", "probes.csv"} <= set(protocol.source_files)


def test_a_template_does_not_search_for_itself(tmp_path: Path) -> None:
    root = copy(tmp_path)
    write_lines(root / "gallery.csv", ["template", "t1", "t2"])
    write_lines(root / "probes.csv", ["template", "t10", "t2"])
    with pytest.raises(
        InputError, match=r"probes\.csv: template t2 is in the gallery, too, and would find itself"
    ):
        open_protocol("templates", root)


def test_lists_without_names_in_the_layout_of_insightface(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "meta/ijbc_face_tid_mid.txt", ["1.jpg 1 69544", "2.jpg 1 3720", "3.jpg 5 1", "4.jpg 9 2"]
    )
    write_lines(tmp_path / "meta/ijbc_template_pair_label.txt", ["1 5 1", "1 9 0"], end="\r\n")
    write_images(tmp_path / "loose_crop", ["1.jpg", "2.jpg", "3.jpg", "4.jpg"])
    protocol = open_protocol("ijb-c", tmp_path)
    (fold,) = protocol.folds
    assert fold.templates == 3
    assert fold.identity.tolist() == [0, 0, 1]
    assert fold.counts() == (1, 1)
    assert len(list(protocol.pictures.read(fold.images))) == 4
    assert not fold.named
    assert any("the lists name nobody" in note for note in protocol.notes)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("t1,a/1.png,Anna,1", "line 8: a/1.png is in template t1 already"),
        ("t1,a/4.png,Bo,1", "line 8: template t1 is another person's in another row"),
        ("t3,../4.png,Bo,1", "line 8: '../4.png' leaves the folder"),
        ("t3,,Bo,1", "line 8: an empty cell"),
        ("t3,a/4.png,Bo", "not a readable list"),
    ],
)
def test_a_wrong_row_of_the_templates_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_protocol("templates", copy(tmp_path, [*TEMPLATES, row]))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("t1,t4", "line 4: no template 't4'"),
        ("t1,t1", "line 4: t1 is compared with itself"),
        ("t2,t1", "line 4: the same two images as in line 3"),
    ],
)
def test_a_wrong_comparison_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_protocol("templates", copy(tmp_path, comparisons=[*COMPARISONS, row]))


def test_labels_must_fit_the_subjects_and_be_there_without_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3: the wrong label: the templates' subjects say otherwise"):
        open_protocol("templates", copy(tmp_path, comparisons=["probe,reference,mated", "t1,t10,1", "t1,t2,1"]))
    nameless = [",".join(line.split(",")[:2]) for line in TEMPLATES]
    with pytest.raises(InputError, match="neither subjects of templates nor labels"):
        open_protocol("templates", copy(tmp_path, nameless))
    with pytest.raises(InputError, match="line 4: the wrong label: non-mated, but mated comparisons join them"):
        rows = ["probe,reference,mated", "t1,t10,1", "t1,t2,1", "t10,t2,0"]
        open_protocol("templates", copy(tmp_path, nameless, rows))


def test_an_unknown_setting_of_a_list_is_refused(tmp_path: Path) -> None:
    own = copy(tmp_path) / "own.yaml"
    own.write_text(
        "name: own\ntitle: x\ndataset: x\nreader: templates\nfolds: [all]\noptions: {templates: {colour: red}}\n"
    )
    with pytest.raises(InputError, match=r"own\.yaml: options\.templates may have file, columns, header"):
        open_protocol(own, tmp_path)
