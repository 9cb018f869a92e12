import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdserve.models.rate_distortion import RateDistortion
from rdserve.trainer import configure, objectives
from rdserve.trainer.objectives import BetaVAE, ramp


def _rd(rate: float, distortion: float) -> RateDistortion:
    return RateDistortion(torch.full((1, 3), rate), torch.full((1, 3), distortion))


@given(beta=st.floats(0, 10), rate=st.floats(0, 100), distortion=st.floats(0, 100))
def test_beta_vae_is_distortion_plus_beta_rate(beta: float, rate: float, distortion: float) -> None:
    loss = BetaVAE(beta).loss(_rd(rate, distortion), 0.0).item()
    assert loss == pytest.approx(distortion + beta * rate, rel=1e-5)


def test_annealing_raises_beta_from_nothing_to_its_end() -> None:
    objective = BetaVAE(2.0, annealing_epochs=4)
    losses = [objective.loss(_rd(1.0, 0.0), epoch).item() for epoch in (0, 1, 2.5, 4, 100)]
    assert losses == [0.0, 0.5, 1.25, 2.0, 2.0]


def test_no_annealing_is_the_end_from_the_start() -> None:
    assert ramp(0.0, 0) == 1.0


def test_the_config_names_the_objective() -> None:
    objective = objectives.build(configure("---", "digits", beta=0.4, annealing_epochs=3))
    assert isinstance(objective, BetaVAE)
    assert (objective.beta, objective.annealing_epochs) == (0.4, 3)
