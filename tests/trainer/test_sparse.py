"""Sparse codes train like any others."""

from pathlib import Path

import pytest
from rdserve.models.families import SPARSE_FAMILIES
from rdserve.models.reference import Means
from rdserve.trainer import configure, train
from rdserve.trainer.progress import TrainingProgress

pytestmark = pytest.mark.slow


class Sums(TrainingProgress):
    """R + D of the training images after each epoch."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self.found.append(train.rate + train.distortion)


def test_the_loss_falls_with_either_decoder(tmp_path: Path) -> None:
    for family in SPARSE_FAMILIES:
        watch = Sums()
        config = configure(family, "digits", epochs=3, width=0.05, latent_dim=4, reference_samples=1)
        card = train(config, tmp_path / family, name="sparse", device="cpu", progress=watch)
        assert watch.found == sorted(watch.found, reverse=True)
        assert watch.found[-1] < watch.found[0] - 3
        assert card.reference.rate_nats >= 0
        assert card.architecture.active_share == config.active_share == 0.2
