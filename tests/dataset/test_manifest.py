from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syper_data.dataset.manifest import MAX_SEED, GeneratorIdentity, Manifest, Run
from syper_data.dataset.settings import SamplingSettings
from syper_data.errors import ConfigError, InputError

UNCONDITIONAL = GeneratorIdentity("g", "ab" * 32, 128, 256, 0, "vis")
CONDITIONAL = replace(UNCONDITIONAL, c_dim=3)


def plan(*runs: Run, identity: GeneratorIdentity = UNCONDITIONAL, rows: int = 200) -> Manifest:
    return Manifest("syper-data 0", identity, runs, SamplingSettings(), {"torch": "2"}, rows)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=6), st.data())
def test_keys_of_any_span_are_those_of_the_whole_list(parts: list[tuple[int, int]], data: st.DataObject) -> None:
    runs, at = [], 0
    for gap, length in parts:
        runs.append(Run(at + gap, at + gap + length))
        at += gap + length
    manifest = plan(*runs)
    everything = [(s, None) for r in runs for s in range(r.start, r.stop)]
    start = data.draw(st.integers(0, len(everything)))
    stop = data.draw(st.integers(start, len(everything)))
    assert len(manifest) == len(everything)
    assert manifest.keys(start, stop) == everything[start:stop]


def test_shards_cover_every_entry_once_and_the_last_is_smaller() -> None:
    manifest = plan(Run(0, 450))
    assert [(s.name, s.start, s.rows) for s in manifest.shards] == [
        ("train-00000-of-00003.parquet", 0, 200),
        ("train-00001-of-00003.parquet", 200, 200),
        ("train-00002-of-00003.parquet", 400, 50),
    ]


def test_a_manifest_reads_back_as_itself() -> None:
    manifest = plan(Run(5, 9, 1), Run(0, 4, 2), Run(5, 9, 0), identity=CONDITIONAL)
    assert Manifest.from_json(manifest.to_json(), "m") == manifest
    assert Manifest.from_json(manifest.to_json(), "m").to_json() == manifest.to_json()


def test_what_a_class_was_is_kept_where_it_is_known_and_old_manifests_are_as_they_were() -> None:
    named = plan(Run(0, 4, 2), identity=replace(CONDITIONAL, class_of="eye"))
    assert json.loads(named.to_json())["generator"]["class_of"] == "eye"
    assert Manifest.from_json(named.to_json(), "m") == named
    silent = json.loads(plan(Run(0, 4, 2), identity=CONDITIONAL).to_json())
    assert set(silent["generator"]) == {"name", "sha256", "resolution", "z_dim", "c_dim", "spectrum"}


@pytest.mark.parametrize(("c_dim", "class_of"), [(3, "face"), (3, ["eye"]), (0, "eye")])
def test_a_class_of_no_known_kind_is_refused(c_dim: int, class_of: object) -> None:
    content = json.loads(
        plan(Run(0, 4, 2 if c_dim else None), identity=replace(CONDITIONAL, c_dim=c_dim)).to_json()
    )
    content["generator"]["class_of"] = class_of
    with pytest.raises(InputError, match="m: generator class_of is"):
        Manifest.from_json(json.dumps(content).encode(), "m")


def test_equal_seeds_of_different_labels_are_different_keys() -> None:
    assert len(plan(Run(0, 4, 0), Run(0, 4, 1), identity=CONDITIONAL)) == 8


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ((Run(0, 10), Run(9, 12)), "seed 9 occurs twice"),
        ((Run(10, 12), Run(0, 11)), "seed 10 occurs twice"),
        ((Run(0, 1, 0),), "unconditional"),
        ((), "no image"),
    ],
)
def test_impossible_keys_are_refused(runs: tuple[Run, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan(*runs)


@pytest.mark.parametrize("label", [None, 3])
def test_a_conditional_generator_needs_a_label_of_its_own(label: int | None) -> None:
    with pytest.raises(ConfigError, match="3 classes"):
        plan(Run(0, 1, label), identity=CONDITIONAL)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (5, 2), (0, MAX_SEED + 2), (0.5, 2), (True, 2)])
def test_a_run_outside_the_seeds_is_refused(start: int, stop: int) -> None:
    with pytest.raises(ConfigError):
        Run(start, stop)


def test_shards_that_cut_a_block_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of block_size"):
        plan(Run(0, 10), rows=201)


def edited(**changes: object) -> bytes:
    content = json.loads(plan(Run(0, 300)).to_json())
    for path, value in changes.items():
        *outer, last = path.split("__")
        target = content
        for key in outer:
            target = target[key]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "schema"),
        (edited(schema="syper-manifest/9"), "schema"),
        (edited(runs=[]), "no image"),
        (edited(runs=None), "runs is missing"),
        (edited(runs=[{"start": 0, "stop": 5}]), "start, stop and label"),
        (edited(runs=[{"start": 0, "stop": 5, "label": "x"}]), "label is 'x'"),
        (edited(runs=[{"start": 0, "stop": 10**12, "label": None}]), "seeds must lie"),
        (edited(settings__psi=float("nan")), "psi is nan"),
        (edited(settings__psi="1"), "psi is '1'"),
        (edited(settings__block_size=0), "block_size is 0"),
        (edited(settings__image_format="exe"), "image_format"),
        (edited(settings__surprise=1), "'surprise' is unknown"),
        (edited(settings__psi=None), "'psi' is missing"),
        (edited(generator__sha256="../../etc/passwd"), "sha256"),
        (edited(generator__spectrum="xray"), "spectrum"),
        (edited(generator__name="a\nb"), "name"),
        (edited(shards=[{"name": "../../x.parquet", "start": 0, "rows": 300}]), "listed shards"),
        (edited(shard_rows=0), "shard_rows"),
    ],
)
def test_a_bad_manifest_is_refused_in_one_line(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Manifest.from_json(data, "m.json")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("m.json: ")
