"""The embedder: equal to the plain network, and a vector depends on its image alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from small_recognizers import random_backbone, save_random_recognizer
from syper_data.errors import InputError, SyperError
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.embedder import BLOCK, Embedder, load_embedder
from syper_data.recognition.folding import fold_batch_norms
from syper_data.recognition.recognizer_file import identity_digest, read_recognizer


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_recognizer(
        tmp_path_factory.mktemp("r") / "r.safetensors", identities=[identity_digest("a")]
    )


@pytest.fixture(scope="module")
def embedder(path: Path) -> Embedder:
    return load_embedder(path)


def crops(n: int, size: int = 112, seed: int = 0) -> np.ndarray:
    """Smooth random images."""
    small = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(s).resize((size, size))) for s in small])


@pytest.mark.parametrize("head", ["flatten", "pooling"])
@pytest.mark.parametrize("kind", ["mobilefacenet", "iresnet18"])
def test_the_folded_network_is_the_plain_one(kind: str, head: str) -> None:
    network = random_backbone(BackboneConfig(kind, 112, 128, head))
    folded = fold_batch_norms(network)
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(3)) * 2 - 1
    expected = network(x)
    assert (folded(x) - expected).abs().max() < 2e-5 * expected.abs().max()
    values = network.penultimate(x)
    assert (folded.penultimate(x) - values).abs().max() < 2e-5 * values.abs().max()
    left = {n for n, m in folded.named_modules() if isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d)}
    before_padding = {f"layer{stage}.{unit}.bn1" for stage in (1, 2, 3, 4) for unit in (0, 1)}
    assert left == (set() if kind == "mobilefacenet" else before_padding | {"bn2"})
    assert all(torch.equal(a, b) for a, b in zip(network(x), expected, strict=True)), "the original is unchanged"


def test_vectors_are_those_of_the_plain_network_normalised(path: Path, embedder: Embedder) -> None:
    pixels = crops(3)
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    expected = torch.nn.functional.normalize(read_recognizer(path).backbone(x)).numpy()
    found = embedder.embed(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_it_says_who_it_is(path: Path, embedder: Embedder) -> None:
    file = read_recognizer(path)
    assert (embedder.name, embedder.sha256, embedder.dim) == ("random", file.sha256, 128)
    assert (embedder.input_size, embedder.spectrum) == (112, "vis")
    assert embedder.identities == {identity_digest("a")}
    assert embedder.identities_known


def test_a_vector_depends_on_its_image_alone_to_the_last_bit(embedder: Embedder) -> None:
    pixels = crops(BLOCK + 3)
    together = embedder.embed(pixels)
    assert embedder.embed(pixels[:1]).tobytes() == together[:1].tobytes()
    for first in (1, 5, BLOCK - 1, BLOCK + 2):
        turned = embedder.embed(np.roll(pixels, first, axis=0))
        assert np.roll(turned, -first, axis=0).tobytes() == together.tobytes()
    others = crops(BLOCK + 3, seed=9)
    others[4] = pixels[4]
    assert embedder.embed(others)[4].tobytes() == together[4].tobytes()


def test_images_of_other_sizes_are_resized_with_antialiasing(embedder: Embedder) -> None:
    large = np.random.default_rng(0).integers(
        0, 256, (448, 448, 3), dtype=np.uint8
    )  # noise: aliasing would keep it
    averaged = np.asarray(Image.fromarray(large).resize((112, 112), Image.Resampling.LANCZOS))
    assert averaged.std() < 0.5 * large.std()
    mixed = embedder.embed([large, averaged, crops(1, 30)[0]])
    assert mixed[0].tobytes() == mixed[1].tobytes()
    assert np.isfinite(mixed).all()


def test_right_crops_are_mirrored_and_unknown_sides_are_not(embedder: Embedder) -> None:
    crop = crops(1)[0]
    mirrored = np.ascontiguousarray(crop[:, ::-1])
    found = embedder.embed([crop, crop, mirrored, crop], ["image_left", None, "image_right", "image_right"])
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    assert abs(found[3] - found[0]).max() > 1e-3


def test_a_recognizer_of_the_opposite_orientation_sees_mirrored_crops(tmp_path: Path, embedder: Embedder) -> None:
    other = load_embedder(save_random_recognizer(tmp_path / "o.safetensors", orientation="opposite"))
    crop = crops(1)[0]
    assert other.embed([crop]).tobytes() == embedder.embed([crop[:, ::-1]]).tobytes()
    assert other.embed([crop], ["image_right"]).tobytes() == embedder.embed([crop]).tobytes()


def test_no_image_gives_no_vector(embedder: Embedder) -> None:
    assert embedder.embed(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, 128)
    assert embedder.embed([]).shape == (0, 128)


@pytest.mark.parametrize(
    ("image", "side", "text"),
    [
        (np.zeros((10, 20, 3), np.uint8), None, "image 1: 20x10 pixels, a crop is square"),
        (np.zeros((0, 0, 3), np.uint8), None, "0x0 pixels"),
        (np.zeros((10, 10), np.uint8), None, r"uint8 \[10, 10\], a crop is uint8 \[h, w, 3\]"),
        (np.zeros((10, 10, 3), np.float32), None, "float32"),
        ("eye.png", None, "str, a crop is uint8"),
        (np.zeros((10, 10, 3), np.uint8), "left", "side is 'left': must be image_left or image_right"),
    ],
)
def test_what_is_no_crop_is_named(embedder: Embedder, image: np.ndarray, side: str | None, text: str) -> None:
    with pytest.raises(InputError, match=text):
        embedder.embed([crops(1)[0], image], [None, side])


def test_other_numbers_of_sides_and_images_are_refused(embedder: Embedder) -> None:
    with pytest.raises(InputError, match="2 images and 1 sides"):
        embedder.embed(crops(2), [None])


@pytest.mark.parametrize("value", [0.0, 3e38])
def test_vectors_that_are_zero_or_not_finite_are_refused(embedder: Embedder, value: float) -> None:
    broken = Embedder(embedder._file)
    with torch.no_grad():
        broken.network.get_parameter("output_layer.linear.weight").fill_(value)
        broken.network.get_parameter("output_layer.linear.bias").zero_()
    with pytest.raises(SyperError, match="image 0: the recognizer random gives no finite vector other than zero"):
        broken.embed(crops(1))
