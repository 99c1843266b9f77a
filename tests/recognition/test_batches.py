"""Batches: balanced, seeded, and the same whatever was asked before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from small_recognizer_training import RECIPE, load
from syper_data.recognition.batches import Batches, LabelledLessons
from syper_data.recognition.recipe import SamplingConfig

LABELS = np.array([0] * 2 + [1] * 9 + [2] * 1 + [3] * 3 + [4] * 5)[np.random.default_rng(0).permutation(20)]
BALANCED = SamplingConfig(identities=3, images=2)


def test_a_batch_holds_so_many_classes_with_so_many_images_of_each() -> None:
    batches = Batches(BALANCED, LABELS, 7)
    for step in range(20):
        rows = batches.rows(step)
        labels = LABELS[rows].reshape(3, 2)
        assert (labels[:, 0] == labels[:, 1]).all()
        for pair in np.array(rows).reshape(3, 2):
            assert pair[0] != pair[1] or LABELS[pair[0]] == 2  # the class with one image shows it twice


def test_every_class_is_shown_equally_often_and_every_image_of_it() -> None:
    batches = Batches(BALANCED, LABELS, 7)
    shown = Counter(row for step in range(5 * 9) for row in batches.rows(step))  # 27 turns of each class
    per_class = Counter({label: sum(n for row, n in shown.items() if LABELS[row] == label) for label in range(5)})
    assert set(per_class.values()) == {54}
    for label in range(5):
        counts = [shown[row] for row in np.flatnonzero(label == LABELS)]
        assert min(counts) > 0
        assert len(counts) % 2 or max(counts) - min(counts) <= 2


def test_shuffled_shows_every_image_once_an_epoch() -> None:
    batches = Batches(SamplingConfig("shuffled", identities=2, images=2), LABELS, 7)
    epochs = [[row for step in range(5 * e, 5 * e + 5) for row in batches.rows(step)] for e in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 2
    assert epochs[0] != epochs[1]


def test_a_step_depends_on_the_seed_and_on_nothing_that_was_asked_before() -> None:
    for config in (BALANCED, SamplingConfig("shuffled", identities=3, images=2)):
        one, other = Batches(config, LABELS, 7), Batches(config, LABELS, 7)
        walked = [one.rows(step) for step in range(12)]
        assert [other.rows(step) for step in (11, 3, 0)] == [walked[11], walked[3], walked[0]]
        assert Batches(config, LABELS, 8).rows(0) != walked[0]


def test_copies_are_one_image_of_a_class_and_the_stated_share_of_the_classes() -> None:
    labels = np.repeat(np.arange(20), 6)
    batches = Batches(SamplingConfig(identities=10, images=2, copies=0.3), labels, 7)
    pairs = np.array([batches.rows(step) for step in range(60)]).reshape(-1, 2)
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()
    assert 0.24 < (pairs[:, 0] == pairs[:, 1]).mean() < 0.36
    everyone = Batches(SamplingConfig(identities=10, images=2, copies=1.0), labels, 7)
    shown = [row for step in range(60) for row in everyone.rows(step)[::2]]
    assert set(shown) >= set(range(0, 120, 6)) and len(set(shown)) > 40


def test_mirrored_classes_stand_beside_the_others() -> None:
    eyes = load().training
    plain = LabelledLessons(eyes, RECIPE)
    lessons = LabelledLessons(eyes, replace(RECIPE, mirrored_classes=True))
    assert (plain.classes, lessons.classes) == (eyes.classes, 2 * eyes.classes)
    assert lessons.count == plain.count == len(eyes)
    turned = 0
    for step in range(12):
        for image, label in zip(
            lessons.images(step, range(6)), lessons.labels(step, range(6)).tolist(), strict=True
        ):
            if label >= eyes.classes:
                image, turned = image[:, ::-1], turned + 1
            own = np.flatnonzero(eyes.labels == label % eyes.classes)
            assert any(np.array_equal(image, eyes.pixels[i]) for i in own)
    assert 20 < turned < 52
