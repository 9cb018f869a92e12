"""Categories follow what was measured, and what is measured is what it is called."""

from dataclasses import replace

import numpy as np
import pytest
from rdserve.data import load
from rdserve.study.categories import (
    Category,
    by_fidelity,
    by_place,
    categorise,
    categorise_with_support,
    grouped,
)
from rdserve.study.classifier import Classifier, train
from rdserve.study.fidelity import Fidelity, FidelitySamples, measure_fidelity
from rdserve.study.published import FRONTIER, SWEEP, TRADITIONAL
from studied import BLIND, run_at

RNG = np.random.default_rng(0)
IMAGES = load("digits", split="test").images


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    found = train(load("digits", split="train"), load("digits", split="test"))
    assert found is not None
    return found


def copies(k: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.repeat(IMAGES[:, None], k, axis=1)


def others(k: int) -> np.ndarray:  # type: ignore[type-arg]
    """Images of the data that have nothing to do with the inputs."""
    return np.stack([IMAGES[RNG.permutation(len(IMAGES))] for _ in range(k)], axis=1)


def test_the_classifier_is_as_good_as_documented(classifier: Classifier) -> None:
    assert classifier.accuracy == pytest.approx(0.9625)
    assert (classifier.n_trained, classifier.tested_on, classifier.n_tested) == (1197, "test", 400)
    assert classifier(copies(2)[:5]).shape == (5, 2)


def test_without_labels_there_is_none() -> None:
    digits = load("digits", split="train")
    assert train(replace(digits, labels=None), digits) is None
    assert train(digits, replace(digits, labels=None)) is None


def test_a_copy_keeps_everything(classifier: Classifier) -> None:
    found = measure_fidelity(IMAGES, copies(3), copies(3), classifier=classifier).fidelity()
    assert (found.agreement, found.kept, found.error, found.same_z, found.fresh_z) == (1, 1, 0, 0, 0)


def test_other_images_keep_nothing(classifier: Classifier) -> None:
    found = measure_fidelity(IMAGES, copies(3), others(3), classifier=classifier).fidelity()
    assert found.kept == pytest.approx(0, abs=0.05)
    assert found.agreement == pytest.approx(0.1, abs=0.05)
    assert found.error == pytest.approx(1, abs=0.03)
    assert found.same_z == 0
    assert found.fresh_z == pytest.approx(1, abs=0.03)


def test_another_image_of_the_class_keeps_the_class_alone(classifier: Classifier) -> None:
    labels = classifier(IMAGES)
    alike = np.stack([IMAGES[RNG.choice(np.flatnonzero(labels == label), 3)] for label in labels])
    found = measure_fidelity(IMAGES, alike, alike, classifier=classifier).fidelity()
    assert found.kept == 1
    assert 0.5 < found.fresh_z < 0.9
    assert by_fidelity(6.2, found.kept, found.error, found.fresh_z) is Category.SEMANTIC


@pytest.mark.parametrize(
    ("rate", "kept", "error", "resampled", "category"),
    [
        (156, 1.0, 0.03, 0.04, Category.AUTOENCODER),
        (120, 0.97, 0.06, 0.1, Category.SYNTACTIC),
        (25, 0.9, 0.25, 0.3, Category.SYNTACTIC),
        (6, 0.85, 0.6, 0.7, Category.SEMANTIC),
        (10.5, 0.3, 0.9, 0.9, Category.MISMATCH),
        (0.0, 0.0, 1.0, 1.0, Category.AUTODECODER),
        (2.8, 0.4, 0.7, 0.8, Category.AUTODECODER),
    ],
)
def test_the_rule(rate: float, kept: float, error: float, resampled: float, category: Category) -> None:
    assert by_fidelity(rate, kept, error, resampled) is category


def test_by_place_the_papers_runs_are_what_the_paper_calls_them() -> None:
    found = {one: by_place(one.rate_nats, one.distortion_nats) for one in (*TRADITIONAL, *SWEEP, *FRONTIER)}
    assert all((found[one] is Category.AUTODECODER) == (one.family[1] == "+") for one in TRADITIONAL)
    assert [found[one] for one in SWEEP] == [
        Category.AUTODECODER,
        Category.SEMANTIC,
        Category.SYNTACTIC,
        Category.AUTOENCODER,
    ]


def test_without_labels_by_place_and_it_says_so() -> None:
    run = run_at(("-+v", 1.0, 6.2, 74.1))
    blind = measure_fidelity(IMAGES, copies(2), others(2)).fidelity()
    assert blind.kept is None
    assert (categorise(run, blind).category, categorise(run, blind).by) == (
        Category.SEMANTIC,
        "R and D alone",
    )
    seen = Fidelity(10, 0, agreement=0.1, chance=0.1, error=1.0, same_z=1.0, fresh_z=1.0)
    assert (categorise(run, seen).category, categorise(run, seen).by) == (Category.MISMATCH, "measured")


def samples(*error: float) -> FidelitySamples:
    """Images whose classes are kept, with these shares of wrong pixels."""
    classes, shares = np.arange(len(error)) % 5, np.array(error)
    return FidelitySamples(
        0, inputs=classes, outputs=classes[:, None], error=shares, same_z=shares, fresh_z=shares
    )


@pytest.mark.parametrize(
    ("error", "category", "least", "most"),
    [
        ([0.01, 0.02] * 50, Category.AUTOENCODER, 1.0, 1.0),
        ([0.0, 0.0799] * 50, Category.AUTOENCODER, 0.4, 0.65),  # mean 0.04: at the cut
        ([0.0, 0.0835] * 50, Category.SYNTACTIC, 0.6, 0.75),
    ],
)
def test_support_says_how_firmly_a_model_lies_in_its_category(
    error: list[float], category: Category, least: float, most: float
) -> None:
    categorised = categorise_with_support(run_at(("-+v", 0.1, 156.0, 4.8)), samples(*error))
    assert categorised.category is category
    assert categorised.support is not None
    assert least <= categorised.support <= most


def test_without_labels_there_is_no_support() -> None:
    blind = measure_fidelity(IMAGES, copies(2), others(2))
    assert categorise_with_support(run_at(("-+v", 1.0, 6.2, 74.1)), blind).support is None


def test_groups_keep_the_order_in_which_they_come() -> None:
    places = [("a", 156.0, 4.0), ("b", 0.0, 80.0), ("c", 150.0, 4.5), ("d", 1.0, 80.0)]
    categorised = [categorise(run_at(("-+v", 1.0, r, d), name=name), BLIND) for name, r, d in places]
    assert [one.model.name for one in grouped(categorised)] == ["a", "c", "b", "d"]
