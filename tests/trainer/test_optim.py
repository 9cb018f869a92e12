import pytest
import torch
from rdserve.trainer import configure, optim
from torch import nn


def _weights_after(optimiser: str, scale: float) -> torch.Tensor:
    """Three steps on a fixed loss, multiplied by scale."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    opt = optim.build(configure("---", "digits", optimiser=optimiser, learning_rate=3e-4), layer)
    for _ in range(3):
        opt.zero_grad()
        (scale * layer(torch.ones(4, 3)).square().sum()).backward()
        opt.step()
    return layer.weight.detach()


def test_each_tensor_gets_a_gradient_of_norm_one() -> None:
    layer = nn.Linear(3, 2)
    (1e3 * layer(torch.ones(4, 3)).square().sum()).backward()
    direction = layer.weight.grad.clone()  # type: ignore[union-attr]
    optim.normalise_gradients(optim.build(configure("---", "digits"), layer))
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(layer.weight.grad, direction / direction.norm())


def test_a_zero_gradient_stays_zero() -> None:
    layer = nn.Linear(3, 2)
    (0.0 * layer(torch.ones(4, 3)).sum()).backward()
    optim.normalise_gradients(optim.build(configure("---", "digits"), layer))
    assert layer.weight.grad is not None
    assert layer.weight.grad.eq(0).all()


def test_normalised_adam_is_torchs_adam_on_normalised_gradients() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    adam = torch.optim.Adam(layer.parameters(), lr=3e-4)
    for _ in range(3):
        adam.zero_grad()
        layer(torch.ones(4, 3)).square().sum().backward()
        for parameter in layer.parameters():
            assert parameter.grad is not None
            parameter.grad /= parameter.grad.norm() + 1e-7
        adam.step()
    torch.testing.assert_close(_weights_after("normalised-adam", 1.0), layer.weight.detach(), rtol=0, atol=0)


def test_the_scale_of_the_loss_does_not_matter_to_the_papers_optimiser() -> None:
    # A power of two, so that the only change is in exponents.
    torch.testing.assert_close(
        _weights_after("normalised-adam", 1.0), _weights_after("normalised-adam", 2.0**10), rtol=0, atol=1e-8
    )


def test_the_learning_rate_is_constant_for_half_then_falls_to_zero() -> None:
    config = configure("---", "static-mnist")
    rates = [optim.learning_rate(config, 200 * done) for done in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([3e-4, 3e-4, 3e-4, 1.5e-4, 0.0])


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("half-linear", [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]),
        ("constant", [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.0, 0.5, 1.0, 0.5, 0.25, 0.0]),
        ("cosine", [0.0, 0.5, 1.0, 0.5, 0.5 - 0.125**0.5, 0.0]),
    ],
)
def test_a_schedule_begins_where_the_warm_up_ends(schedule: str, shares: list[float]) -> None:
    config = configure("---", "digits", epochs=10, warmup_epochs=2, schedule=schedule, learning_rate=1.0)
    assert [optim.learning_rate(config, epoch) for epoch in (0, 1, 2, 6, 8, 10)] == pytest.approx(shares)
