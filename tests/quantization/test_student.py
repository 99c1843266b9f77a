"""The rounded graph of a network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from small_recognizers import SMALL, random_backbone
from small_students import IRESNET, small_student, some_images
from syper_data.errors import ConfigError, InputError
from syper_data.quantization.bits import BitsConfig, LayerBits
from syper_data.quantization.calibration import calibrate
from syper_data.quantization.layers import Layer
from syper_data.quantization.student import Student
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.folding import fold_batch_norms


@pytest.mark.parametrize("config", [SMALL, IRESNET], ids=["mobilefacenet", "iresnet18"])
def test_without_rounding_it_is_the_teacher(config: BackboneConfig) -> None:
    backbone = random_backbone(config)
    student = Student(backbone, BitsConfig(4, 4), rounded=False)
    images = some_images(2)
    with torch.no_grad():
        wanted = fold_batch_norms(backbone)(images)
        assert torch.allclose(student(images), wanted, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("config", [SMALL, IRESNET], ids=["mobilefacenet", "iresnet18"])
def test_eight_bits_after_calibration_are_close_and_fewer_are_farther(config: BackboneConfig) -> None:
    images, backbone = some_images(8, seed=1), random_backbone(config)
    with torch.no_grad():
        wanted = backbone(images)
        near = [
            float(F.cosine_similarity(small_student(BitsConfig(b, b), config)(images), wanted).mean())
            for b in (8, 4, 2)
        ]
    assert near[0] > 0.98
    assert near[0] > near[1] > near[2]


def test_layers_and_skip_paths_are_rounded_where_the_settings_say() -> None:
    bits = BitsConfig(4, 3, residual=6, other=(LayerBits("conv_3.*.conv_dw.*", 7), LayerBits("conv_5*", None, 5)))
    student = small_student(bits)
    widths = {name: layer.bits for name, layer in student.layers()}
    ranges = {name: part.bits for name, part in student.ranges()}
    assert widths["conv1.conv"] == 8
    assert widths["conv2_dw.conv"] == widths["output_layer.linear"] == 4
    assert widths["conv_3.model.0.conv_dw.conv"] == 7
    assert ranges["output_layer.flatten:input"] == 8
    assert ranges["conv1.prelu:input"] == 3
    assert (ranges["sum1:stream"], ranges["sum1:input"]) == (6, 3)
    assert (ranges["conv_45.project.conv:stream"], ranges["conv_45.project.conv:input"]) == (6, 5)
    assert not any(name.startswith("image") for name in ranges)


def test_skip_paths_of_as_few_bits_are_rounded_once() -> None:
    names = [name for name, _ in small_student(BitsConfig(4, 4, residual=None)).ranges()]
    assert "sum1:stream" in names
    assert "sum1:input" not in names


def test_every_number_gets_a_gradient() -> None:
    student = small_student(BitsConfig(4, 4), IRESNET)
    student(some_images(2)).square().sum().backward()
    missing = [name for name, p in student.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert all(".zero" in name for name in missing)  # a range that nothing passes does not shift
    assert all(bool(torch.isfinite(p.grad).all()) for p in student.parameters() if p.grad is not None)


def test_bits_can_be_lowered_on_the_way() -> None:
    student = small_student(BitsConfig(4, 4))
    student.set_bits(BitsConfig(8, 8))
    before = {name: part.log_range.item() for name, part in student.ranges()}
    with torch.no_grad():
        many = student(some_images())
        student.set_bits(BitsConfig(4, 4))
        few = student(some_images())
    assert before == {name: part.log_range.item() for name, part in student.ranges()}
    assert {layer.bits for _, layer in student.layers()} == {4, 8}
    assert not torch.equal(many, few)


def test_a_layer_fits_its_range_to_the_smallest_error_and_survives_a_row_of_zeros() -> None:
    conv = torch.nn.Conv2d(8, 3, 3, bias=False)
    with torch.no_grad():
        conv.weight[1] = 0
        conv.weight[2, 0, 0, 0] = 9.0  # one far value
    layer = Layer(conv)
    layer.bits = 3
    layer.fit_range()
    assert torch.isfinite(layer.log_range).all()
    assert layer.log_range[0] < conv.weight[0].abs().max().log2() + 1e-6
    assert torch.isfinite(layer(torch.randn(1, 8, 4, 4))).all()


def test_a_pattern_that_matches_no_layer_is_one_error() -> None:
    what = r"no layer is called conv_9\*; they are in conv1, conv2_dw, .*; the first and the last are conv1"
    with pytest.raises(ConfigError, match=what):
        Student(random_backbone(), BitsConfig(other=(LayerBits("conv_9*", 8, 8),)))


@pytest.mark.parametrize("width", [1, 9, 4.0, True, None, "8"])
def test_a_width_out_of_range_is_one_error(width: object) -> None:
    with pytest.raises(ConfigError, match=r"bits.weights is .*: must be a whole number in 2..8"):
        BitsConfig(weights=width)  # type: ignore[arg-type]


def test_activations_without_any_range_are_refused_by_name() -> None:
    backbone = random_backbone()
    with torch.no_grad():
        first = backbone.get_submodule("conv1")
        for part in first.parameters():
            part.zero_()
    with pytest.raises(
        InputError, match=r"the activations conv1.prelu:input range from 0 to 0 on 4 images: no levels"
    ):
        calibrate(Student(backbone, BitsConfig()), [some_images()])


def test_no_images_to_calibrate_with_is_one_error() -> None:
    with pytest.raises(InputError, match="there are no images"):
        calibrate(Student(random_backbone(), BitsConfig()), [])
