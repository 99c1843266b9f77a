"""The packed file: its size, that it computes the same, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from small_protocols import drawn_fold, drawn_images
from small_recognizers import SMALL, random_backbone, save_random_recognizer
from small_students import IRESNET, small_student, some_images
from syper_data.benchmarking.contamination import contamination
from syper_data.dataset.tensor_file import read_tensor_file
from syper_data.errors import InputError
from syper_data.quantization.bits import BitsConfig, LayerBits
from syper_data.quantization.rounding import weight_codes
from syper_data.quantization.student import Student
from syper_data.quantization.student_file import (
    _content,
    _digest,
    _stored,
    load_student,
    read_student,
    write_student,
)
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import identity_digest, knows, short_digest

PEOPLE = [identity_digest(f"person-{i}") for i in range(3)]


def save(path: Path, student: Student, identities: list[str] | None = PEOPLE) -> Path:
    write_student(
        path,
        student,
        name="small",
        spectrum="nir",
        orientation="opposite",
        identities=identities,
        teacher_sha256="a" * 64,
        data_sha256="b" * 64,
        summary={"steps": 3},
    )
    return path


@pytest.fixture(scope="module")
def student() -> Student:
    return small_student(BitsConfig(4, 4, other=(LayerBits("conv_34.*", 6, 5),)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, student: Student) -> Path:
    return save(tmp_path_factory.mktemp("student") / "student.syq", student)


def test_it_computes_the_training_graphs_very_bits_from_the_same_codes(file: Path, student: Student) -> None:
    read = read_student(file)
    for (_, ours), (_, theirs) in zip(student.layers(), read.network.layers(), strict=True):
        assert ours.bits == theirs.bits
        codes = [weight_codes(part.weight, part.log_range, part.bits) for part in (ours, theirs)]
        assert torch.equal(*codes)
    for (_, mine), (_, yours) in zip(student.ranges(), read.network.ranges(), strict=True):
        assert (mine.bits, mine.step_and_zero()) == (yours.bits, yours.step_and_zero())
    with torch.no_grad():
        assert torch.equal(student(some_images(seed=5)), read.network(some_images(seed=5)))


@pytest.mark.parametrize(
    ("config", "bits"),
    [(SMALL, 4), (SMALL, 8), (IRESNET, 4)],
    ids=["mobilefacenet 4", "mobilefacenet 8", "iresnet18"],
)
def test_it_is_hardly_larger_than_its_parameters_at_their_bits(
    tmp_path: Path, config: BackboneConfig, bits: int
) -> None:
    packed = small_student(BitsConfig(bits, bits), config)
    path = save(tmp_path / "student.syq", packed)
    count = sum(p.numel() for p in random_backbone(config).parameters())
    assert path.stat().st_size <= 1.1 * count * bits / 8
    with torch.no_grad():
        assert torch.equal(packed(some_images(2)), read_student(path).network(some_images(2)))


def test_it_says_what_it_is_and_embeds_like_a_recognizer(file: Path, student: Student) -> None:
    read = read_student(file)
    assert (read.name, read.spectrum, read.orientation) == ("small", "nir", "opposite")
    assert (read.teacher_sha256, read.data_sha256, read.summary) == ("a" * 64, "b" * 64, {"steps": 3})
    assert read.identities == frozenset(map(short_digest, PEOPLE))
    assert read.identities_known
    embedder = load_student(file)
    crops = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    vectors = embedder.embed(crops, ["image_left", "image_right", None])
    assert vectors.shape == (3, 128)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(embedder.embed(crops[:1]), vectors[:1], atol=0)
    assert np.allclose(embedder.embed(crops[1:2, :, ::-1])[0], vectors[1], atol=0)
    assert (embedder.sha256, embedder.identities) == (read.sha256, read.identities)


def test_unknown_people_are_not_nobody(tmp_path: Path, student: Student) -> None:
    read = read_student(save(tmp_path / "s.syq", student, None))
    assert not read.identities_known
    assert read.identities == frozenset()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, file: Path, student: Student) -> None:
    assert save(tmp_path / "again.syq", student).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("part", [0, 7, 0.3, 0.9, -1], ids=str)
def test_a_truncated_file_is_refused(file: Path, tmp_path: Path, part: float) -> None:
    data = file.read_bytes()
    broken = tmp_path / "student.syq"
    broken.write_bytes(data[: int(part * len(data)) if 0 < part < 1 else int(part)])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        read_student(broken)


def test_one_wrong_bit_is_refused(file: Path, tmp_path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1000] ^= 4
    (tmp_path / "student.syq").write_bytes(data)
    with pytest.raises(InputError, match="the file is damaged; get it again"):
        read_student(tmp_path / "student.syq")


def rewritten(file: Path, path: Path, change: Any) -> Path:
    """The file with other content and a digest that fits."""
    source = read_tensor_file(file, "student file", None)
    header, tensors = dict(source.header), _content(source)
    change(header, tensors)
    header["sha256"] = _digest(header, tensors)
    kept = tensors if header["format"] == 1 else _stored(tensors)
    save_file({k: v.contiguous() for k, v in kept.items()}, path, {"syper": json.dumps(header)})
    return path


def _as_format_1(header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    header.update(format=1, identities=len(PEOPLE))
    raw = b"".join(bytes.fromhex(digest) for digest in sorted(PEOPLE))
    tensors["identities"] = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, 32)


def test_files_of_the_first_format_are_read_with_their_whole_digests(file: Path, tmp_path: Path) -> None:
    old, new = read_student(rewritten(file, tmp_path / "old.syq", _as_format_1)), read_student(file)
    assert old.identities == frozenset(PEOPLE)
    with torch.no_grad():
        assert torch.equal(old.network(some_images()), new.network(some_images()))
    for read in (old, new):
        assert all(knows(read.identities, f"person-{i}") for i in range(3))
        assert not any(knows(read.identities, f"person-{i}") for i in range(3, 300))


@pytest.mark.parametrize("change", [_as_format_1, lambda h, t: None], ids=["first format", "second format"])
def test_a_benchmark_finds_the_people_whom_a_student_knows(file: Path, tmp_path: Path, change: Any) -> None:
    read = read_student(rewritten(file, tmp_path / "s.syq", change))
    people = ["person-1", "person-7"]
    found = contamination(read, drawn_fold(drawn_images(people, 1), people))
    assert (found.trained_on, found.example, found.known) == (1, "person-1", True)


def test_many_known_people_do_not_break_the_promised_size(tmp_path: Path) -> None:
    packed, people = small_student(BitsConfig(4, 4)), [f"person-{i}" for i in range(6000)]
    path = save(tmp_path / "student.syq", packed, [identity_digest(name) for name in people])
    count = sum(p.numel() for p in random_backbone(SMALL).parameters())
    assert path.stat().st_size <= 1.1 * count * 4 / 8
    read = read_student(path)
    assert len(read.identities) == 6000
    assert all(knows(read.identities, name) for name in people[::50])
    assert not any(knows(read.identities, f"nobody-{i}") for i in range(300))


@pytest.mark.parametrize(
    "spoilt", [b"", b"\x03\x00\x03", bytes(1000), b"\xff" * 50], ids=["empty", "more", "zeros", "ones"]
)
def test_what_can_not_be_expanded_is_refused(file: Path, tmp_path: Path, spoilt: bytes) -> None:
    with safe_open(file, "pt") as source:
        metadata = source.metadata()
        tensors = {key: source.get_tensor(key) for key in source.keys()}  # noqa: SIM118
    tensors["biases"] = torch.tensor(list(spoilt), dtype=torch.uint8)
    save_file(tensors, tmp_path / "s.syq", metadata)
    with pytest.raises(InputError, match=r"s.syq: tensor biases: .*; get it again"):
        read_student(tmp_path / "s.syq")
    tensors["biases"] = torch.zeros(8)
    save_file(tensors, tmp_path / "s.syq", metadata)
    with pytest.raises(InputError, match=r"tensor biases is torch\.float32"):
        read_student(tmp_path / "s.syq")


def _all_ones(header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    tensors["codes"][3000:3010] = 255


def _floats_as_in_format_1(header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    _as_format_1(header, tensors)
    tensors["slopes"] = tensors["slopes"].float()


CHANGES: dict[str, tuple[Any, str]] = {
    "codes": (_all_ones, "codes: 15 is out of range, 4 bits go to 14"),
    "zero point": (lambda h, t: t["activation_zeros"].fill_(200), "activation_zeros: 200 is out of range"),
    "step": (lambda h, t: t["weight_steps"].zero_(), "weight_steps holds values that no student has"),
    "nan": (lambda h, t: t["biases"].fill_(float("nan")), "biases holds values that no student has"),
    "shape": (lambda h, t: t.update(slopes=t["slopes"][1:].clone()), "tensor slopes has shape"),
    "type": (_floats_as_in_format_1, "slopes is missing or not float16"),
    "missing": (lambda h, t: t.pop("scales"), "scales is missing"),
    "architecture": (lambda h, t: h["backbone"].update(embedding_dim=512), "tensor codes has shape"),
    "unknown backbone": (lambda h, t: h["backbone"].update(kind="vgg"), "kind is 'vgg'"),
    "bits": (lambda h, t: h["bits"].update(weights=5), "the bits of the layers are not those"),
    "width": (lambda h, t: h["bits"].update(weights=9), "must be a whole number in 2..8"),
    "people": (lambda h, t: h.update(identities=7), "identities is"),
    "format": (lambda h, t: h.update(format=3), "format version 3, this toolkit reads 1 and 2"),
    "whole digests": (lambda h, t: t.update(identities=torch.zeros(3, 32).byte()), "identities is [3, 32]"),
    "kind": (lambda h, t: h.update(kind="recognizer"), "a recognizer file, not a student file"),
    "spectrum": (lambda h, t: h.update(spectrum="uv"), "names no known spectrum"),
    "format of lists": (lambda h, t: h.update(format=[1]), r"format version [1], this toolkit reads 1 and 2"),
    "name of two lines": (lambda h, t: h.update(name="a\nb"), r"the header's name is 'a\nb', no recognizer's"),
    "no name": (lambda h, t: h.pop("name"), "the header's name is None"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_content_that_no_student_has_is_refused_even_if_its_digest_fits(
    file: Path, tmp_path: Path, how: str
) -> None:
    change, message = CHANGES[how]
    path = rewritten(file, tmp_path / "student.syq", change)
    with pytest.raises(InputError) as caught:
        read_student(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_recognizer_file_is_not_a_student(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a recognizer file, not a student file"):
        read_student(save_random_recognizer(tmp_path / "r.safetensors"))
    with pytest.raises(InputError, match="cannot be read"):
        read_student(tmp_path / "nothing.syq")
