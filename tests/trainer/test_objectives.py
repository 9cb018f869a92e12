from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdserve.models.distributions.noise import NoiseKeys
from rdserve.models.families import build
from rdserve.models.ops import encode, sample, score
from rdserve.models.rate_distortion import RateDistortion
from rdserve.trainer import configure, objectives, train
from rdserve.trainer.objectives import (
    IWAE,
    OBJECTIVES,
    BetaVAE,
    Codes,
    FreeBits,
    Geco,
    InfoVAE,
    RunningMean,
    TargetRate,
    Validation,
    ramp,
    squared_mmd,
)
from rdserve.trainer.validate import validate


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


def _free(rate: float, distortion: float) -> tuple[RateDistortion, torch.Tensor]:
    """A batch whose rate can be differentiated."""
    r = torch.full((1, 3), rate, requires_grad=True)
    return RateDistortion(r, torch.full((1, 3), distortion)), r


@pytest.mark.parametrize(("rate", "pull"), [(5.0, 1.0), (1.0, -1.0)])
def test_target_rate_pulls_the_rate_from_either_side(rate: float, pull: float) -> None:
    objective = TargetRate(3.0, epochs=10)
    rd, r = _free(rate, 10.0)
    loss = objective.loss(rd, 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(10 + abs(3 - rate), rel=1e-5)
    assert r.grad.sum().item() == pytest.approx(pull)


def test_target_rate_weighs_four_times_in_the_second_half() -> None:
    losses = []
    for epoch in (4.9, 5.0):
        objective = TargetRate(3.0, epochs=10)
        losses.append(objective.loss(_rd(5.0, 10.0), epoch).item())
    assert losses == pytest.approx([12.0, 18.0])


def test_geco_raises_beta_while_the_rate_is_above_the_target_and_lowers_it_below() -> None:
    betas = {}
    for rate in (6.0, 1.0):
        objective = Geco(3.0)
        for _ in range(500):
            objective.loss(_rd(rate, 10.0), 0.0)
        betas[rate] = objective.log_beta.exp().item()
    assert betas[6.0] > 10
    assert betas[1.0] < 0.1


@pytest.mark.parametrize(("target", "rate"), [(3.0, 5.0), (10.0, 12.0), (20.0, 20.5), (5.0, 3.0)])
def test_the_running_rate_is_on_the_right_side_of_the_target_from_the_first_step(
    target: float, rate: float
) -> None:
    held, adapted = TargetRate(target, epochs=10), Geco(target)
    for step in range(200):
        loss = held.loss(_rd(rate, 10.0), 0.0).item()
        assert loss == pytest.approx(10 + abs(rate - target), rel=1e-4), step
        adapted.loss(_rd(rate, 10.0), 0.0)
        assert (adapted.log_beta.item() > 0) == (rate > target), step


def test_a_running_mean_has_no_bias_and_forgets() -> None:
    mean, generator = RunningMean(), torch.Generator().manual_seed(0)
    early = [mean.add(value).item() for value in 7 + torch.randn(50, generator=generator)]
    assert early[0] != pytest.approx(7, abs=1e-3)
    assert early[-1] == pytest.approx(7, abs=0.6)
    for _ in range(1000):
        last = mean.add(torch.tensor(2.0)).item()
    assert last == pytest.approx(2, abs=1e-3)


def test_what_adapts_is_saved_with_the_run() -> None:
    assert set(Geco(3.0).state_dict()) == {"running.total", "running.weight", "log_beta"}
    assert set(TargetRate(3.0, 10).state_dict()) == {"running.total", "running.weight"}


@pytest.mark.parametrize(("rate", "slope"), [(2.0, 0.0), (6.0, 0.5)])
def test_free_bits_cost_nothing_and_no_gradient(rate: float, slope: float) -> None:
    rd, r = _free(rate, 10.0)
    loss = FreeBits(0.5, free_nats=4.0).loss(rd, 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(10 + 0.5 * max(rate, 4))
    assert r.grad.sum().item() == pytest.approx(slope)


def test_mmd_tells_laws_apart_and_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)

    def sample(shift: float) -> torch.Tensor:
        return torch.randn(200, 4, generator=generator) + shift

    same = torch.stack([squared_mmd(sample(0), sample(0)) for _ in range(50)])
    other = torch.stack([squared_mmd(sample(0), sample(0.5)) for _ in range(50)])
    assert same.mean().abs() < 4 * same.std() / 50**0.5
    assert other.min() > same.max()


def test_info_vae_is_the_elbo_where_its_weights_vanish() -> None:
    codes = Codes(torch.randn(8, 2), torch.randn(8, 2))
    loss = InfoVAE(alpha=0.0, weight=1.0).loss(_rd(3.0, 10.0), 0.0, codes)
    assert loss.item() == pytest.approx(13.0)


def test_one_importance_sample_is_the_elbo() -> None:
    assert IWAE(1).loss(_rd(3.0, 10.0), 0.0).item() == pytest.approx(13.0)
    assert IWAE(7).n_samples == 7


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_built_by_name_and_prefers_less_distortion(name: str) -> None:
    objective = objectives.build(configure("---", "digits", objective=name, target_rate=3.0))
    assert objective.goal(Validation(3.0, 10.0, -13.0)) < objective.goal(Validation(3.0, 11.0, -14.0))


def test_the_best_epoch_is_that_of_what_is_minimised() -> None:
    """Not of R + D where it is another thing."""
    at = Validation(rate=3.0, distortion=10.0, importance_bound=-12.0, squared_mmd=0.5)
    assert IWAE(5).goal(at) == 12.0
    assert InfoVAE(alpha=0.2, weight=3.0).goal(at) == pytest.approx(10 + 0.8 * 3 + 2.2 * 0.5)
    assert BetaVAE(0.5, annealing_epochs=4).goal(at) == 11.5


@pytest.mark.parametrize(("name", "options"), [("iwae", {"importance_samples": 5}), ("info-vae", {})])
def test_validation_measures_what_the_objective_minimises(name: str, options: dict[str, int]) -> None:
    config = configure("--v", "digits", objective=name, width=0.1, latent_dim=4, n_pseudo_inputs=5, **options)
    torch.manual_seed(0)
    vae, images = build(config.architecture).eval(), torch.rand(40, 8, 8) < 0.4
    objective = objectives.build(config)
    found = validate(vae, images, objective, seed=3)
    ids = torch.arange(40)
    keys = NoiseKeys(torch.full_like(ids, 3), ids)
    with torch.inference_mode():
        scores = score(vae, images.float(), keys, objective.n_samples)
        codes = encode(vae, images.float(), keys, 1).latents[:, 0], sample(vae, keys, 1).latents
    assert found.importance_bound == pytest.approx(scores.importance_bound.mean().item(), rel=1e-5)
    assert found.rate + found.distortion >= -found.importance_bound - 1e-4
    expected = squared_mmd(*codes).item() if objective.wants_codes else 0.0
    assert found.squared_mmd == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_geco_trains_a_model_to_its_target(tmp_path: Path) -> None:
    config = configure(
        "---", "digits", objective="geco", target_rate=3.0, epochs=24, width=0.1, latent_dim=8, keep="last"
    )
    card = train(config, tmp_path / "model", name="geco")
    assert card.objective.name == "geco"
    assert card.reference.rate_nats == pytest.approx(3.0, abs=0.5)
