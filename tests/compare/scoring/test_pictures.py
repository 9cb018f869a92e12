from dataclasses import replace

import numpy as np
from points import CROWDED, comparison_at, score
from rdserve.client import Client
from rdserve.compare.comparison import Comparison
from rdserve.compare.scoring.pictures import most_different, representatives

IMAGES = np.random.default_rng(0).integers(0, 2, (20, 8, 8)).astype(bool)


def test_with_labels_the_classes_of_the_paper() -> None:
    labels = np.array([8, 3, 1, 0, 2, 2, 0], np.uint8)
    assert representatives(labels, 7).tolist() == [4, 3, 2, 0]


def test_without_labels_or_with_a_class_missing_an_even_spread() -> None:
    assert representatives(None, 10).tolist() == [0, 3, 6, 9]
    assert representatives(np.zeros(10, np.uint8), 10).tolist() == [0, 3, 6, 9]
    assert representatives(np.array([2, 0, 1, 8], np.uint8), 2).tolist() == [0, 1]


def test_no_more_than_there_are() -> None:
    assert representatives(None, 1).tolist() == [0]


def costing(*costs: list[float]) -> Comparison:
    """Models whose R + D of each image is given."""
    plain = comparison_at([(0, 0)] * len(costs), n=len(costs[0]))
    return replace(plain, scores=tuple(score(np.zeros(len(one)), np.array(one)) for one in costs))


def test_of_many_models_the_widest_spread_comes_first() -> None:
    found = most_different(costing([1, 5, 2, 0], [1, 1, 9, 0], [2, 1, 2, 0]), count=3)
    assert found.tolist() == [2, 1, 0]


def test_of_two_models_each_is_better_on_half() -> None:
    a, b = [0, 0, 0, 0, 5, 0], [9, 8, 7, 6, 0, 1]
    assert most_different(costing(a, b), count=2).tolist() == [4, 0]
    assert most_different(costing(a, b), count=4).tolist() == [4, 0, 1, 2]


def test_one_model_differs_from_none() -> None:
    assert most_different(comparison_at(CROWDED[:1])).tolist() == []


def served(client: Client, *names: str) -> Comparison:
    models = {model.name: model for model in client.models()}
    plain = comparison_at([(k, 5) for k, _ in enumerate(names)], n=len(IMAGES))
    gone = replace(plain.models[0], name="gone")
    chosen = tuple(models.get(name, gone) for name in names)
    return replace(plain, models=chosen, client=client, images=IMAGES, seed=3)


def test_every_model_draws_the_same_images_under_the_same_noise(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        comparison, told = served(client, "tiny-mmm", "tiny-ppp"), []
        drawn = comparison.pictures(told.append)
        assert drawn is not None
        assert sorted(told) == ["tiny-mmm", "tiny-ppp"]
        np.testing.assert_array_equal(drawn.images, IMAGES[drawn.rows])
        for name in comparison.names:
            whole = client.reconstruct(name, IMAGES, n_samples=5, seed=3)
            np.testing.assert_array_equal(drawn.reconstructions[name].images, whole.images[drawn.rows])
            assert drawn.samples[name].images.shape == (6, 5, 8, 8)


def test_what_the_latents_carry_comes_from_the_same_noise(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        comparison = served(client, "tiny-mmm", "tiny-ppp")
        drawn = comparison.pictures()
        assert drawn is not None
        codes = client.encode("tiny-mmm", IMAGES, n_samples=1, seed=3)
        rate = client.score("tiny-mmm", IMAGES, seed=3).rate_nats.mean()
    simple, complex_ = (drawn.latents[name] for name in ("tiny-mmm", "tiny-ppp"))
    assert simple is not None
    assert complex_ is not None
    np.testing.assert_allclose(simple.variance, codes.posterior_mode.var(0, ddof=1), rtol=1e-3)
    assert simple.rate_is_of_the_model
    assert simple.rate_nats is not None
    np.testing.assert_allclose(simple.rate_nats.sum(), rate, rtol=1e-3)
    assert complex_.rate_nats is None  # its dimensions share one flow


def test_a_model_that_is_gone_costs_no_other_its_pictures(in_process_service: str) -> None:
    with Client(in_process_service) as client:
        drawn = served(client, "tiny-mmm", "gone").pictures()
    assert drawn is not None
    assert set(drawn.reconstructions) == set(drawn.samples) == {"tiny-mmm"}
    assert "gone" in drawn.failures["gone"]


def test_without_a_service_there_are_none() -> None:
    assert comparison_at(CROWDED[:2]).pictures() is None
