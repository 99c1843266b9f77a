"""The card says what the manifest says, and nothing in a manifest can make it say something else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from small_dataset import make_dataset
from syper_data.dataset.directory import DatasetDirectory
from syper_data.dataset.manifest import Run
from syper_data.dataset.shards import SCHEMA, file_sha256
from syper_data.gan.bundled import find_generator
from syper_data.publishing.card import (
    Publication,
    front_matter,
    render_card,
    size_category,
)
from syper_data.publishing.croissant import render_croissant
from syper_data.rendering.templates import code_span, plain_text

HOSTILE = "x`` <script>alert(1)</script> [click](javascript:x) | *b* \\ ---"


def publication(dataset: DatasetDirectory, **terms: Any) -> Publication:
    completion = dataset.completion()
    assert completion is not None
    return Publication(dataset.manifest, dataset.manifest_sha256, completion, **{"num_bytes": 1000, **terms})


def card(dataset: DatasetDirectory, **terms: Any) -> str:
    return render_card(publication(dataset, **terms), "contact-sheet.png", min(40, len(dataset.manifest)))


def split(text: str) -> tuple[dict[str, Any], str]:
    """Metadata and body, cut where the Hub cuts them: at the second line of three dashes."""
    empty, metadata, body = text.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(metadata), body


def kinds(body: str) -> set[str]:
    """The kinds of Markdown elements in a text, with GitHub's extensions and raw HTML switched on."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body)
    return {inner.type for token in tokens for inner in (token, *(token.children or ()))}


@pytest.mark.parametrize(
    ("n", "category"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (9_999, "1K<n<10K"),
        (10_000, "10K<n<100K"),
        (50_000, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (1_000_000, "1M<n<10M"),
        (1_000_000_000, "1B<n<10B"),
    ],
)
def test_the_size_category_is_the_hubs(n: int, category: str) -> None:
    assert size_category(n) == category


def test_the_metadata_survives_the_card(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    metadata, _ = split(card(dataset))
    assert metadata == front_matter(publication(dataset))
    assert metadata["license"] == "other"
    assert metadata["annotations_creators"] == ["machine-generated"]
    assert {"synthetic", "periocular", "biometrics", "StyleGAN2", "visible-spectrum"} == set(metadata["tags"])
    completion = dataset.completion()
    assert completion is not None
    info = metadata["dataset_info"]
    assert info["download_size"] == sum(s.bytes for s in completion.shards)
    assert info["splits"] == [{"name": "train", "num_bytes": 1000, "num_examples": 20}]


def test_the_features_in_the_card_are_those_of_the_shards(tmp_path: Path) -> None:
    from datasets import Features

    metadata, _ = split(card(make_dataset(tmp_path / "d", 1)))
    assert metadata["dataset_info"]["features"] == Features.from_arrow_schema(SCHEMA)._to_yaml_list()


def test_the_body_tells_how_the_images_were_made(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 20)
    _, body = split(card(dataset))
    for fact in (
        "![Contact sheet: 20 of the images, spread evenly over the dataset](contact-sheet.png)",
        "20 synthetic visible-spectrum images",
        "`tiny-v1`, SHA-256 of its file `" + "ab" * 32,
        "Seeds 0 to 19",
        "psi `1.0`",
        "noise `const`, computed in `fp32`",
        "Range `clamp`, rounding `nearest_half_up`, resize filter `none`",
        '"compress_level": 1',
        "- `torch`: `2.0`",
        dataset.manifest_sha256,
        "Install the toolkit, `syper-data 0.1.0`, in a clone of its repository at that version",
        "syper-data verify path/to/this/folder\n",
        "syper-data sample --from-manifest path/to/this/folder/manifest.json --out syper-again",
        "differ by 2 levels",
        "No identity audit has been run on this dataset",
        "There are no identity labels",
        "are no evidence of a recognizer's performance",
        "The generator's weights carry terms of their own",
        "Kolf, Jan Niklas and Elliesen, Jurek",
    ):
        assert fact in body


def test_what_holds_for_some_datasets_only_is_said_of_those_only(tmp_path: Path) -> None:
    plain = card(make_dataset(tmp_path / "plain", 3))
    labels = card(make_dataset(tmp_path / "labels", runs=[Run(5, 12, 0), Run(5, 6, 2)], c_dim=3))
    grey = card(
        make_dataset(tmp_path / "grey", 3, image_format="jpeg", colour_mode="L", spectrum="nir"),
        license="cc-by-4.0",
        repo_id="me/eyes",
    )
    for text, there in (
        ("null: the generator has no classes", [plain, grey]),
        ("0 to 2; whether its classes stand for people is in the generator's card |", [labels]),
        ("Whether they stand for people, and so which images would show the same eye, is in the", [labels]),
        ("There are no identity labels", [plain, grey]),
        ("- Label 0: seeds 5 to 11\n- Label 2: seed 5\n", [labels]),
        ("they decode to exactly the pixels", [plain, labels]),
        ("stored with loss", [grey]),
        ("near-infrared images", [grey]),
        ("32 x 32 pixels, grey, JPEG", [grey]),
        ("No licence was named", [plain, labels]),
        ("Named by the publisher: `cc-by-4.0`", [grey]),
        ('load_dataset("me/eyes", split="train")', [grey]),
        ("hf download me/eyes --repo-type dataset --local-dir syper\nsyper-data verify syper\n", [grey]),
        ('load_dataset("path/to/this/folder", split="train")', [plain, labels]),
        ("stretched to its own minimum and maximum", []),
        ("made in another environment", []),
    ):
        assert [c for c in (plain, labels, grey) if text in c] == there, text


@pytest.mark.parametrize(("class_of", "whom"), [("subject", "one person"), ("eye", "one eye of a person")])
def test_labels_learned_from_people_are_said_to_be_so(class_of: str, whom: str, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", runs=[Run(0, 3, 0), Run(0, 3, 1)], c_dim=2, class_of=class_of)
    text = card(dataset)
    learned = f"each label is a class learned from {whom} of the training data"
    assert f"| `label` | int32 | class given to the generator, 0 to 1; {learned} |" in text
    assert f"- E{learned[1:]}. Where it shows real people" in text
    assert "no identity labels" not in text
    record = json.loads(render_croissant(publication(dataset), 1, "2026-01-31"))
    (field,) = (f for f in record["recordSet"][0]["field"] if f["name"] == "label")
    assert field["description"] == f"Class given to the generator, 0 to 1; {learned}."


def test_parts_made_elsewhere_are_told(tmp_path: Path) -> None:
    drift = ({"environment": {}, "differences": ["torch is 3 here, 2 in the manifest", HOSTILE]},)
    text = card(make_dataset(tmp_path / "d", 3, drift=drift))
    assert "Part of the images was made in another environment" in text
    assert "- `torch is 3 here, 2 in the manifest`\n" in text
    assert "html_inline" not in kinds(split(text)[1])


def test_a_dataset_of_many_ranges_keeps_a_short_card(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", runs=[Run(10 * i, 10 * i + 1) for i in range(30)])
    text = card(dataset)
    assert "- Seed 190\n- and 10 more ranges of seeds" in text
    assert "Seed 200" not in text


def test_texts_of_a_hostile_manifest_mark_nothing_up(tmp_path: Path) -> None:
    honest = split(card(make_dataset(tmp_path / "honest", 3)))
    dataset = make_dataset(
        tmp_path / "hostile",
        3,
        generator_name=HOSTILE,
        toolkit="`" * 7 + " ![x](http://127.0.0.1/x.png)",
        environment={
            "torch": f"1\n---\nlicense: mit\n\n## Fake\n{HOSTILE}",
            f"\n# Top\n{HOSTILE}": "\u202e{{ 7 * 7 }}",
        },
    )
    metadata, body = split(card(dataset))
    metadata["dataset_info"], honest[0]["dataset_info"] = {}, {}
    assert metadata == honest[0]
    assert kinds(body) == kinds(honest[1])
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert headings == [line for line in honest[1].splitlines() if line.startswith("#")]
    assert "{{ 7 * 7 }}" in body
    assert "\u202e" not in body


def test_a_title_is_text_whatever_it_holds(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", 3)
    title = 'Eyes: "a" <b>bold</b> [x](y) `c` #1 & é {{ x }}'
    metadata, body = split(card(dataset, pretty_name=title))
    assert metadata["pretty_name"] == title
    heading = MarkdownIt("commonmark").parse(body)[1].children
    assert heading is not None
    assert {token.type for token in heading} <= {"text", "text_special"}
    assert "".join(token.content for token in heading) == title


@settings(deadline=None)
@given(st.text(max_size=80))
def test_a_code_span_holds_any_text_and_nothing_else(text: str) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).parse(f"- {code_span(text)}")
    children = next(token.children for token in tokens if token.type == "inline")
    assert children is not None
    assert [token.type for token in children] == ["code_inline"]
    shown = "".join(c if c.isprintable() else " " for c in text).strip()
    assert children[0].content.strip() == shown


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_plain_text_reads_as_it_was_written(text: str) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).parse(f"# {plain_text(text)}")
    assert [token.type for token in tokens] == ["heading_open", "inline", "heading_close"]
    assert "".join(token.content for token in tokens[1].children or ()) == text


def test_the_faults_of_a_bundled_generator_go_with_its_images(tmp_path: Path) -> None:
    plain = card(make_dataset(tmp_path / "plain", 3))
    assert "## Known faults of the generator" not in plain
    assert "Canonical orientation" not in plain

    path = find_generator("syper-vis-128-v1")
    dataset = make_dataset(tmp_path / "d", 3, generator_name=path.parent.name)
    identity = replace(dataset.manifest.generator, sha256=file_sha256(path))
    told = replace(publication(dataset), manifest=replace(dataset.manifest, generator=identity))
    text = render_card(told, "contact-sheet.png", 3)
    faults = (path.parent / "CARD.md").read_text().split("## Known faults\n")[1].strip()
    assert faults in text
    assert "Canonical orientation: the nose lies at the right edge" in text
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings.index("## Known faults of the generator") == headings.index("## Licence") - 1
