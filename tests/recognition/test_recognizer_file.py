"""Recognizer files: what is written comes back, what is wrong is one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from small_generators import save_small_generator
from small_recognizers import SMALL, random_backbone, save_random_recognizer
from syper_data.errors import ConfigError, InputError
from syper_data.gan.generator_file import load_generator
from syper_data.recognition.backbones import build_backbone
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import (
    identity_digest,
    knows,
    read_recognizer,
    short_digest,
    write_recognizer,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recognizers") / "whole.safetensors"
    return save_random_recognizer(path, identities=[identity_digest("S2002"), identity_digest("S2001")])


def rewritten(path: Path, whole: Path, header: dict[str, Any] | str, **tensors: torch.Tensor | None) -> Path:
    """A copy with parts of the header, or tensors, changed (None removes one)."""
    with safe_open(whole, "pt") as file:
        old = json.loads(file.metadata()["syper"])
        kept = {k: file.get_tensor(k) for k in file.keys()} | tensors  # noqa: SIM118
    text = header if isinstance(header, str) else json.dumps({**old, **header})
    save_file({k: t for k, t in kept.items() if t is not None}, path, {"syper": text})
    return path


def test_what_is_written_comes_back(whole: Path) -> None:
    found = read_recognizer(whole)
    assert (found.name, found.spectrum, found.orientation) == ("random", "vis", "canonical")
    assert found.config == SMALL
    assert found.sha256 == hashlib.sha256(whole.read_bytes()).hexdigest()
    assert found.identities == {hashlib.sha256(b"S2001").hexdigest(), hashlib.sha256(b"S2002").hexdigest()}
    assert found.identities_known
    assert found.summary == {"made_for": "tests"}
    x = torch.rand(2, 3, 112, 112)
    assert torch.equal(found.backbone(x), random_backbone()(x))
    assert not found.backbone.training
    assert not any(p.requires_grad for p in found.backbone.parameters())


def test_the_same_content_gives_the_same_bytes_in_whatever_order_identities_come(tmp_path: Path) -> None:
    digests = [identity_digest(str(i)) for i in range(5)]
    a = save_random_recognizer(tmp_path / "a", identities=digests)
    b = save_random_recognizer(tmp_path / "b", identities=[*reversed(digests), digests[0]])
    assert a.read_bytes() == b.read_bytes()


def test_unknown_training_identities_are_not_no_identities(tmp_path: Path) -> None:
    found = read_recognizer(save_random_recognizer(tmp_path / "r", identities=None))
    assert found.identities == frozenset()
    assert not found.identities_known


@pytest.mark.parametrize("subject", ["007", "7", "0007", "7.0"])
def test_a_person_is_known_by_whatever_digits_a_table_kept(subject: str) -> None:
    seen = frozenset(map(identity_digest, ("001", "007")))
    assert knows(seen, subject)
    assert knows(frozenset([identity_digest("7")]), subject)
    assert knows(frozenset(map(short_digest, seen)), subject)
    assert not knows(seen, "8")
    assert not knows(seen, f"S{subject}")


def test_a_mobilefacenet_of_512_values_stays_under_6_mb(tmp_path: Path) -> None:
    config = BackboneConfig("mobilefacenet", 112, 512)
    digests = [identity_digest(str(i)) for i in range(4000)]
    assert save_random_recognizer(tmp_path / "r", config, identities=digests).stat().st_size < 6_000_000


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("{", "the header is not JSON"),
        ("[]", "no recognizer file"),
        ({"format": 2}, "format version 2, this toolkit reads 1"),
        ({"kind": "quantizer"}, "no recognizer file"),
        ({"backbone": None}, "describes no backbone"),
        ({"backbone": {"kind": "vgg"}}, "kind is 'vgg'"),
        ({"name": "../x"}, "name is '../x'"),
        ({"spectrum": "uv"}, "spectrum is 'uv': must be vis, nir or null"),
        ({"orientation": None}, "orientation is None: must be canonical or opposite"),
        ({"identities": ["S2001"]}, "must be SHA-256 digests in hexadecimal, one is 'S2001'"),
        ({"identities": "S2001"}, "must be SHA-256 digests"),
        ({"summary": []}, "summary is no mapping"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, whole: Path, header: Any, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_recognizer(rewritten(tmp_path / "bad.safetensors", whole, header))
    assert "\n" not in str(caught.value)
    assert "bad.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"conv1.prelu.weight": None}, "tensor conv1.prelu.weight is missing"),
        ({"fc.weight": torch.zeros(2)}, "tensor fc.weight does not belong"),
        ({"output_layer.bn.bias": torch.zeros(512)}, r"has shape \[512\], the architecture wants \[128\]"),
        ({"output_layer.bn.bias": torch.full((128,), torch.nan)}, "holds values that are not finite"),
        ({"output_layer.bn.bias": torch.zeros(128).half()}, "float16, a recognizer file holds float32"),
    ],
)
def test_a_wrong_tensor_is_named(
    tmp_path: Path, whole: Path, tensors: dict[str, torch.Tensor | None], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        read_recognizer(rewritten(tmp_path / "bad.safetensors", whole, {}, **tensors))


def test_damaged_missing_and_foreign_files_are_one_line(tmp_path: Path, whole: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-1000])
    torch.save({}, tmp_path / "weights.pth")
    cases = {
        cut: "not a readable safetensors file",
        tmp_path / "absent": "cannot be read",
        tmp_path / "weights.pth": "a pickle, not a recognizer file; run: syper-data convert-recognizer",
        save_small_generator(tmp_path / "generator.safetensors"): "a generator file, not a recognizer file",
    }
    for path, text in cases.items():
        with pytest.raises(InputError, match=text) as caught:
            read_recognizer(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="describes no architecture"):
        load_generator(whole)


def test_nothing_is_written_that_could_not_be_read(tmp_path: Path) -> None:
    given: dict[str, Any] = {"name": "n", "spectrum": None, "identities": (), "summary": {}}
    network = random_backbone()
    for change in ({"name": "a b"}, {"orientation": "left"}, {"identities": ["Ann"]}):
        with pytest.raises(ConfigError):
            write_recognizer(tmp_path / "r", network, SMALL, **{**given, **change})
    with pytest.raises(InputError, match="the architecture wants"):
        write_recognizer(tmp_path / "r", network, BackboneConfig("mobilefacenet"), **given)
    broken = build_backbone(SMALL)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.inf)
    with pytest.raises(InputError, match="not finite"):
        write_recognizer(tmp_path / "r", broken, SMALL, **given)
    assert not list(tmp_path.iterdir())
