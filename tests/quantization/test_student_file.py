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

from small_recognizers import SMALL, random_backbone, save_random_recognizer
from small_students import IRESNET, small_student, some_images
from syper_data.errors import InputError
from syper_data.quantization.bits import BitsConfig, LayerBits
from syper_data.quantization.rounding import weight_codes
from syper_data.quantization.student import Student
from syper_data.quantization.student_file import _digest, load_student, read_student, write_student
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.recognizer_file import identity_digest

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
    assert read.identities == frozenset(PEOPLE)
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
    with pytest.raises(InputError, match="the content is not what its digest says: the file is damaged"):
        read_student(tmp_path / "student.syq")


def rewritten(file: Path, path: Path, change: Any) -> Path:
    """The file with other content and a digest that fits."""
    with safe_open(file, "pt") as source:
        header = json.loads(source.metadata()["syper"])
        tensors: dict[str, Tensor] = {key: source.get_tensor(key) for key in source.keys()}  # noqa: SIM118
    change(header, tensors)
    header["sha256"] = _digest(header, tensors)
    save_file(tensors, path, {"syper": json.dumps(header)})
    return path


def _all_ones(header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    tensors["codes"][3000:3010] = 255


CHANGES: dict[str, tuple[Any, str]] = {
    "codes": (_all_ones, "codes: 15 is out of range, 4 bits go to 14"),
    "zero point": (lambda h, t: t["activation_zeros"].fill_(200), "activation_zeros: 200 is out of range"),
    "step": (lambda h, t: t["weight_steps"].zero_(), "weight_steps holds values that no student has"),
    "nan": (lambda h, t: t["biases"].fill_(float("nan")), "biases holds values that no student has"),
    "shape": (lambda h, t: t.update(slopes=t["slopes"][1:].clone()), "tensor slopes has shape"),
    "type": (lambda h, t: t.update(slopes=t["slopes"].float()), "slopes is missing or not float16"),
    "missing": (lambda h, t: t.pop("scales"), "scales is missing"),
    "architecture": (lambda h, t: h["backbone"].update(embedding_dim=512), "tensor codes has shape"),
    "unknown backbone": (lambda h, t: h["backbone"].update(kind="vgg"), "kind is 'vgg'"),
    "bits": (lambda h, t: h["bits"].update(weights=5), "the bits of the layers are not those"),
    "width": (lambda h, t: h["bits"].update(weights=9), "must be a whole number in 2..8"),
    "people": (lambda h, t: h.update(identities=7), "identities is"),
    "format": (lambda h, t: h.update(format=2), "format version 2, this toolkit reads 1"),
    "kind": (lambda h, t: h.update(kind="recognizer"), "a recognizer file, not a student file"),
    "spectrum": (lambda h, t: h.update(spectrum="uv"), "names no known spectrum"),
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
