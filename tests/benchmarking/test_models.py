"""Whatever turns crops into vectors is found by one word, and what is wrong with it is one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from drawn_crops import drawn_eye, write_crops
from small_recognizers import random_backbone, save_random_recognizer
from small_students import small_student
from syper_data.benchmarking.model import BLOCK, unit_vectors
from syper_data.benchmarking.models import FunctionModel, load_model, load_models, register_loader
from syper_data.errors import InputError, MissingExtraError, SyperError, UsageError
from syper_data.quantization.student_file import load_student, write_student
from syper_data.recognition.embedder import load_embedder
from syper_data.recognition.embeddings import embed
from syper_data.recognition.recognizer_file import identity_digest

SIDES = ["image_left", "image_right", None]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module; its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "my_models.py").write_text("import numpy as np\n" + text)
        return "my_models"

    yield write
    sys.modules.pop("my_models", None)


def eyes(n: int, side: int = 20) -> list[np.ndarray]:
    return [drawn_eye(i, side).copy() for i in range(n)]


def test_a_recognizer_file_gives_the_vectors_of_its_embedder(tmp_path: Path) -> None:
    path = save_random_recognizer(tmp_path / "r.safetensors", identities=("0" * 64,))
    model, images = load_model(path), eyes(3)
    assert np.array_equal(model.embed(images, SIDES), load_embedder(path).embed(images, SIDES))
    assert (model.name, model.spectrum, model.identities_known) == ("random", "vis", True)
    assert model.identities == {"0" * 64}


def test_a_student_file_gives_the_vectors_of_its_packed_network(tmp_path: Path) -> None:
    path = tmp_path / "small.syq"
    write_student(
        path, small_student(), name="small", spectrum="nir", orientation="canonical", identities=["0" * 64],
        teacher_sha256="a" * 64, data_sha256="b" * 64, summary={},
    )  # fmt: skip
    model, images = load_model(path), eyes(3)
    assert np.array_equal(model.embed(images, SIDES), load_student(path).embed(images, SIDES))
    assert (model.name, model.spectrum, model.identities_known) == ("small", "nir", True)
    assert model.identities == {"0" * 12}


def test_what_is_nothing_is_named_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither a recognizer file nor|bundles no recognizers"):
        load_model(tmp_path / "nothing")


def test_a_function_sees_canonical_crops_of_one_size_and_its_vectors_become_unit(
    module: Callable[[str], str],
) -> None:
    name = module(
        "seen = []\n"
        "def mean(x):\n"
        "    seen.append((x.dtype.name, x.shape))\n"
        "    return 3.0 * np.stack([x[:, :, :4].mean((1, 2, 3)), x[:, :, -4:].mean((1, 2, 3))], 1)\n"
    )
    model = load_model(f"{name}:mean")
    images = [*eyes(2), drawn_eye(5, 24)]
    images[0][:, :4] = 0
    found = model.embed([images[0], images[0], images[2]], ["image_left", "image_right", None])
    assert sys.modules[name].seen == [("uint8", (2, 20, 20, 3)), ("uint8", (1, 24, 24, 3))]
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.array_equal(found[0], found[1, ::-1])
    assert not model.identities_known


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return np.full((len(x), 4), np.nan)", "the vector of image 0 of 2 holds values that are not finite"),
        ("return np.zeros((len(x), 4))", "the vector of image 0 of 2 is zero"),
        ("return np.ones((len(x), 4, 4))", r"gives float64 \[2, 4, 4\] for 2 images: must be float \[2, d\]"),
        ("return np.ones((1, 4))", r"must be float \[2, d\]"),
        ("return np.ones((len(x), 4), int)", "must be float"),
        ("return None", "must be float"),
        ("raise ValueError('one\\ntwo')", "raised ValueError: one$"),
    ],
)
def test_a_function_that_gives_no_vectors_is_one_error(
    body: str, words: str, module: Callable[[str], str]
) -> None:
    name = module(f"def wrong(x):\n    {body}\n")
    with pytest.raises(SyperError, match=words) as caught:
        load_model(f"{name}:wrong").embed(eyes(2))
    assert str(caught.value).startswith("my_models:wrong")
    assert "\n" not in str(caught.value)


def test_vectors_of_changing_length_are_refused(module: Callable[[str], str]) -> None:
    name = module("def wrong(x):\n    return np.ones((len(x), x.shape[1]))\n")
    with pytest.raises(SyperError, match="different lengths"):
        load_model(f"{name}:wrong").embed([drawn_eye(0, 16), drawn_eye(0, 20)])


def test_a_function_that_is_not_there_is_the_users_mistake(module: Callable[[str], str]) -> None:
    name = module("there = 3\n")
    for reference, words in (
        ("no_such_module_at_all:f", "can't be imported: ModuleNotFoundError"),
        (f"{name}:absent", "has no function absent"),
        (f"{name}:there", "has no function there"),
    ):
        with pytest.raises(UsageError, match=words):
            load_model(reference)


def test_an_integer_dtype_or_an_infinite_vector_is_not_scaled() -> None:
    with pytest.raises(SyperError, match="not finite"):
        unit_vectors(np.full((1, 3), np.inf), 1, "m")
    with pytest.raises(SyperError, match="must be float"):
        unit_vectors(np.ones((1, 3), np.int32), 1, "m")


def test_a_registered_loader_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from syper_data.benchmarking import models

    monkeypatch.setattr(models, "_LOADERS", list(models._LOADERS))
    mine = FunctionModel("mine", lambda x: x.mean((1, 2)))
    register_loader(lambda reference: mine if reference == "packed.bin" else None)
    assert load_model("packed.bin") is mine


def test_models_get_names_of_their_own_and_none_counts_twice(tmp_path: Path) -> None:
    a, b = (save_random_recognizer(tmp_path / f"{s}.safetensors", seed=s) for s in (0, 1))
    found = load_models([a, b])
    assert len(found) == 2
    assert all(label.startswith("random (") for label in found)
    with pytest.raises(UsageError, match="was given twice"):
        load_models([a, a])
    with pytest.raises(UsageError, match="no model was given"):
        load_models([])


def test_embeddings_are_found_by_pixels_then_by_name(tmp_path: Path) -> None:
    from syper_data.imaging.source import SourceImage

    recognizer = save_random_recognizer(tmp_path / "r.safetensors", identities=None)
    images = eyes(4)
    made = embed(
        write_crops(tmp_path / "eyes.parquet", images), embedder=recognizer, out=tmp_path / "e.parquet", workers=1
    )
    model = load_model(tmp_path / "e.parquet")
    assert np.array_equal(model.embed(images), made.vectors)
    name = made.table["source_id"].to_pylist()[2]
    other = SourceImage(drawn_eye(77), "x", source_id=name)
    assert np.array_equal(model.find("anything", other, "00" * 32), made.vectors[2])  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"e\.parquet: holds no embedding of someone/left"):
        model.find("someone/left", SourceImage(drawn_eye(77), "x"), "00" * 32)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="holds no embedding of image 0"):
        model.embed([drawn_eye(77)])
    assert not model.identities_known


def test_a_file_of_embeddings_says_whom_its_recognizer_knows(tmp_path: Path) -> None:
    for identities in (None, [identity_digest("anna")]):
        recognizer = save_random_recognizer(tmp_path / "r.safetensors", spectrum="nir", identities=identities)
        crops = write_crops(tmp_path / "eyes.parquet", eyes(2))
        embed(crops, embedder=recognizer, out=tmp_path / "e.parquet", workers=1)
        model = load_model(tmp_path / "e.parquet")
        assert (model.identities, model.identities_known) == (frozenset(identities or ()), identities is not None)
        assert model.spectrum == "nir"


def test_an_embedding_found_by_name_is_of_the_same_eye_and_mirrored_as_it(tmp_path: Path) -> None:
    from syper_data.imaging.source import SourceImage

    recognizer = save_random_recognizer(tmp_path / "r.safetensors")
    made = embed(
        write_crops(tmp_path / "eyes.parquet", eyes(2)), embedder=recognizer, out=tmp_path / "e.parquet", workers=1
    )
    names = made.table["source_id"].to_pylist()

    def saved(sides: list[str | None]) -> Any:
        table = made.table.set_column(made.table.column_names.index("side"), "side", pa.array(sides, pa.string()))
        replace(made, table=table).write(tmp_path / "e.parquet")
        return load_model(tmp_path / "e.parquet")

    def wanted(side: str | None) -> SourceImage:
        return SourceImage(drawn_eye(77), "x", side=side, source_id=names[0])

    one_eye = saved(["image_left", None])
    assert np.array_equal(one_eye.find("n", wanted("image_left"), "00" * 32), made.vectors[0])
    assert np.array_equal(one_eye.find("n", wanted(None), "00" * 32), made.vectors[0])
    with pytest.raises(InputError, match="holds no embedding of n"):
        one_eye.find("n", wanted("image_right"), "00" * 32)
    no_side = saved([None, None])
    assert np.array_equal(no_side.find("n", wanted("image_left"), "00" * 32), made.vectors[0])
    with pytest.raises(InputError, match="was embedded without a side, and so not mirrored"):
        no_side.find("n", wanted("image_right"), "00" * 32)


def test_a_file_that_holds_no_embeddings_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file of embeddings"):
        load_model(write_crops(tmp_path / "eyes.parquet", eyes(2)))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        load_model(tmp_path / "cut.parquet")


def onnx_file(
    path: Path,
    orientation: str | None = None,
    batch: object = "n",
    channels: int = 3,
    identities: str = "[]",
    pixels: bool = False,
) -> Path:
    """A graph that averages the left and right halves of 8 px images and of their top: [n, 6]."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[8, 4], strides=[8, 4]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [
            helper.make_tensor_value_info(
                "x", TensorProto.UINT8 if pixels else TensorProto.FLOAT, [batch, channels, 8, 8]
            )
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2 * channels])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if orientation is not None:
        about = {"name": "halves-v1", "orientation": orientation, "spectrum": "nir", "identities": identities}
        helper.set_model_props(model, about)
    onnx.save(model, path)
    return path


def test_an_onnx_file_sees_what_our_recognizers_see(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = load_model(onnx_file(tmp_path / "halves.onnx"))
    images = [drawn_eye(i, 8) for i in range(BLOCK + 3)]
    x = (np.stack(images).astype(np.float64) - 127.5) / 127.5
    wanted = np.stack([x[:, :, :4].mean((1, 2)), x[:, :, 4:].mean((1, 2))], 2).reshape(len(x), -1)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.abs(model.embed(images) - wanted).max() < 1e-6
    mirrored = model.embed(images, ["image_right"] * len(images))
    assert np.abs(mirrored.reshape(-1, 3, 2)[:, :, ::-1] - wanted.reshape(-1, 3, 2)).max() < 1e-6
    assert (model.name, model.identities_known, model.spectrum) == ("halves", False, None)


def test_an_onnx_file_may_take_the_pixels_themselves(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = load_model(onnx_file(tmp_path / "halves.onnx", pixels=True))
    images = [drawn_eye(i, 8) for i in range(3)]
    x = np.stack(images).astype(np.float64)
    wanted = np.stack([x[:, :, :4].mean((1, 2)), x[:, :, 4:].mean((1, 2))], 2).reshape(len(x), -1)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.abs(model.embed(images) - wanted).max() < 1e-6


def test_metadata_without_an_orientation_are_not_taken_for_ours(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = load_model(onnx_file(tmp_path / "theirs.onnx", "sideways", identities="{"))
    assert (model.name, model.identities_known, model.spectrum) == ("theirs", False, None)
    assert not model.says_orientation  # type: ignore[attr-defined]


def test_a_fixed_batch_and_recorded_orientation_are_obeyed(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    images = [drawn_eye(i, 8) for i in range(5)]
    plain = load_model(onnx_file(tmp_path / "a.onnx")).embed(images, ["image_right"] * 5)
    turned = load_model(onnx_file(tmp_path / "b.onnx", "opposite", batch=2))
    assert np.array_equal(turned.embed(images), plain)
    assert (turned.name, turned.identities_known, turned.spectrum) == ("halves-v1", True, "nir")


def test_an_onnx_file_that_can_not_be_used_is_one_error(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    (tmp_path / "damaged.onnx").write_bytes(b"no graph")
    for path, words in (
        (tmp_path / "damaged.onnx", "onnxruntime can't load it"),
        (tmp_path / "absent.onnx", "cannot be read"),
        (onnx_file(tmp_path / "grey.onnx", channels=1), r"must be float32 or uint8 \[n, 3, s, s\]"),
        (onnx_file(tmp_path / "odd.onnx", "opposite", identities='["x"]'), "identities that are no digests"),
        (onnx_file(tmp_path / "odder.onnx", "opposite", identities="["), "identities that are no digests"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            load_model(path)
        assert "\n" not in str(caught.value)


def test_without_onnxruntime_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '\.\[quantize\]'"):
        load_model(tmp_path / "any.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_recognizer_gives_the_recognizers_vectors(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = save_random_recognizer(tmp_path / "r.safetensors")
    with torch.no_grad():
        torch.onnx.export(
            random_backbone(), (torch.zeros(16, 3, 112, 112),), str(tmp_path / "r.onnx"), dynamo=False,
            input_names=["x"], dynamic_axes={"x": {0: "n"}},
        )  # fmt: skip
    images = eyes(3, 64)
    ours, theirs = (load_model(p).embed(images, SIDES) for p in (path, tmp_path / "r.onnx"))
    assert (ours * theirs).sum(1).min() > 0.9999
