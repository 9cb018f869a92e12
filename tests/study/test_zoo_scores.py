"""Scoring for a study: the card's seed, a part of a split, and going on from what is there."""

from pathlib import Path

import numpy as np
import pytest
from rdserve.client import Client, InputError
from rdserve.data import load
from rdserve.study import zoo_scores
from rdserve.study.subset import examples

TEST = load("digits", split="test")


def test_a_part_of_a_split_is_drawn_and_nested() -> None:
    small, large, whole = (examples(TEST, n) for n in (20, 60, None))
    assert set(small.rows) < set(large.rows) < set(whole.rows)
    assert (np.diff(small.rows) > 0).all()
    assert small.rows.max() > 200
    assert whole.is_whole
    assert small.words == "test, 20 of 400 images"
    assert examples(TEST, 1000).words == "test, 400 images"
    assert small.labels is not None
    np.testing.assert_array_equal(small.images, TEST.images[small.rows])


def test_the_noise_is_the_cards_and_a_second_study_scores_nothing(
    in_process_service: str, tmp_path: Path
) -> None:
    few, told = examples(TEST, 12), []
    with Client(in_process_service) as client:
        models, left_out = zoo_scores.fitting(client, np.zeros((1, 8, 8), bool))
        found = zoo_scores.score(
            client, models, few, folder=tmp_path, on_progress=lambda *row: told.append(row)
        )
        for run in found.all:
            said = run.info.reference
            assert said is not None
            alone = client.score(
                run.name, few.images, seed=said.seed, n_samples=said.n_samples, example_ids=few.ids
            )
            assert run.row.rate_nats == pytest.approx(alone.rate_nats.mean(), rel=1e-5)
            assert (run.seed, run.row.n_samples) == (said.seed, said.n_samples)
    assert left_out == {}
    assert sum(rows for _, rows in told) == 12 * len(models)
    rates = [run.row.rate_nats for run in found.all]
    assert rates == sorted(rates)
    with Client("localhost:1") as nobody:
        again = zoo_scores.score(nobody, models, few, folder=tmp_path)
    assert [run.row for run in again.all] == [run.row for run in found.all]


def test_images_that_no_model_takes(in_process_service: str) -> None:
    with Client(in_process_service) as client, pytest.raises(InputError, match="none of 3 served models"):
        zoo_scores.fitting(client, np.zeros((1, 28, 28), bool))
