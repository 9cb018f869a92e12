"""The paper's toy result (section 4, figure 2), exactly."""

from pathlib import Path

import pytest
from rdserve.models.card_parts import TrainedObjective
from rdserve.models.checkpoint import load
from rdserve.models.toy.laws import hand_made, toy_source
from rdserve.trainer import toy
from rdserve.trainer.toy import ToyResult, train, write

pytestmark = pytest.mark.slow

H = toy_source().entropy.item()


@pytest.fixture(scope="module")
def trained() -> tuple[ToyResult, ToyResult]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "STEPS_PER_STAGE", 6000)
        return train(toy_source(), 0.5, n_starts=2, seed=0)


def test_the_elbo_fits_the_data_and_empties_the_code(trained: tuple[ToyResult, ToyResult]) -> None:
    elbo, _ = trained
    assert elbo.rate < 1e-3
    assert elbo.misfit < 1e-3
    assert elbo.rate + elbo.distortion - H < 1e-3
    assert elbo.accuracy == pytest.approx(0.7, abs=0.01)  # what guessing class 0 gets


def test_a_target_rate_keeps_the_classes(trained: tuple[ToyResult, ToyResult]) -> None:
    _, target = trained
    assert abs(target.rate - 0.5) < 5e-3
    assert target.rate + target.distortion - H < 1e-3
    assert target.misfit < 1e-3
    assert target.accuracy > 0.8


def test_bounds_hold_where_training_ends(trained: tuple[ToyResult, ToyResult]) -> None:
    for model in trained:
        assert H - model.distortion <= model.information + 1e-9
        assert model.information <= model.rate + 1e-9


def test_progress_reaches_its_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "STEPS_PER_STAGE", 100)
    told: list[tuple[int, int]] = []
    train(toy_source(), n_starts=1, on_step=lambda step, total: told.append((step, total)))
    assert told == [(100, 200), (200, 200)]


def test_the_zoos_hand_made_model_is_made_again(tmp_path: Path) -> None:
    """The other two take the command that docs/checkpoint.md names."""
    card = write(hand_made(), "toy-hand-made", TrainedObjective(name="none"), tmp_path / "made")
    shipped, _ = load(Path(__file__).parents[2] / "zoo/toy/toy-hand-made")
    assert card.weights == shipped.weights
    assert card.reference.rate_nats == pytest.approx(shipped.reference.rate_nats)
    assert load(tmp_path / "made")[0] == card
