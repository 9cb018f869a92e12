"""Mean-only flows keep volume, invert exactly, and are autoregressive."""

import pytest
import torch
from rdserve.models.networks.flows import MADE, MeanOnlyFlow
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.distributions import Independent, Normal, TransformedDistribution


@pytest.fixture
def flow() -> MeanOnlyFlow:
    torch.manual_seed(0)
    flow = MeanOnlyFlow(6, n_hidden=20)
    for step in flow.steps:
        assert isinstance(step, MADE)
        nn.init.normal_(step.out.weight)  # a new flow is the identity, and proves nothing
    return flow.double()


def test_log_determinant_is_zero(flow: MeanOnlyFlow) -> None:
    x = torch.randn(6, dtype=torch.float64)
    sign, logdet = torch.linalg.slogdet(jacobian(flow.push, x))
    assert sign == 1
    assert logdet == pytest.approx(0, abs=1e-12)
    assert flow.transform.log_abs_det_jacobian(x, flow.push(x)) == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_each_shift_depends_on_the_latents_before_it_only(reverse: bool) -> None:
    made = MADE(5, 32, reverse=reverse)
    nn.init.normal_(made.out.weight)
    slopes: Tensor = jacobian(made, torch.randn(5))
    before = torch.ones(5, 5).tril(-1)
    allowed = before.T if reverse else before
    assert torch.equal(slopes.ne(0).float(), allowed)


def test_pull_inverts_push(flow: MeanOnlyFlow) -> None:
    x = torch.randn(3, 4, 6, dtype=torch.float64)
    assert not torch.allclose(flow.push(x), x)
    assert torch.allclose(flow.pull(flow.push(x)), x, atol=1e-10)


def test_density_of_a_sample_is_that_of_the_noise_that_made_it(flow: MeanOnlyFlow) -> None:
    base = Independent(Normal(torch.zeros(6).double(), torch.ones(6).double()), 1)
    law = TransformedDistribution(base, [flow.transform])
    z = law.sample((7,))
    remembered = law.log_prob(z)
    inverted = law.log_prob(z.clone())  # another tensor: the flow must really invert
    assert torch.allclose(remembered, inverted, atol=1e-9)
    assert torch.allclose(remembered, base.log_prob(flow.pull(z)), atol=1e-9)


def test_one_latent_needs_no_order() -> None:
    flow = MeanOnlyFlow(1, n_hidden=4)
    assert torch.equal(flow.push(torch.ones(2, 1)), torch.ones(2, 1))
