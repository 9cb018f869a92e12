"""The toy's source is the paper's, and every bound of section 2 holds exactly."""

import pytest
import torch
from rdserve.models.toy.laws import Tables, ToySource, hand_made, panels, toy_source
from rdserve.trainer.toy import ToyModel
from torch import Tensor


@pytest.fixture
def data() -> ToySource:
    return toy_source()


def tables(seed: int, scale: float = 3.0) -> Tables:
    with torch.no_grad():
        return ToyModel(torch.full((5,), scale), seed)()


def test_the_source_is_the_papers(data: ToySource) -> None:
    assert data.joint.sum().item() == pytest.approx(1)
    assert data.joint.sum(0).tolist() == pytest.approx([0.7, 0.3])
    assert data.information.item() == pytest.approx(0.5, abs=1e-3)
    # Read off figure 2a: a peak of 0.123 at bin 10, one of 0.035 at bin 19, a valley of 0.027 between.
    assert data.p[10].item() == pytest.approx(0.123, abs=2e-3)
    assert data.p[19].item() == pytest.approx(0.0346, abs=1e-3)
    assert data.p[15].item() == pytest.approx(0.026, abs=2e-3)


def test_every_law_sums_to_one() -> None:
    for log_p in tables(0):
        torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(log_p.shape[:-1]).double())


@pytest.mark.parametrize("seed", range(10))
def test_bounds(data: ToySource, seed: int) -> None:
    """H - D <= I <= R, R + D >= H, and the gap is KL(p*||g) at least (section 2, appendix D)."""
    t, p, h = tables(seed), data.p, data.entropy
    r, d, i = t.rate(p), t.distortion(p), t.information(p)
    assert (h - d <= i + 1e-12).all()
    assert (i <= r + 1e-12).all()
    assert (r + d - h >= t.misfit(p) - 1e-12).all()


@pytest.mark.parametrize("seed", range(3))
def test_rate_splits_into_information_and_mismatch(data: ToySource, seed: int) -> None:
    """R = I + KL(p_e(z) || m(z)) (appendix D.1)."""
    t, p = tables(seed), data.p
    aggregate: Tensor = t.class_mass(data.joint).sum(-1)
    mismatch = (aggregate * (aggregate.log() - t.marginal)).sum(-1)
    torch.testing.assert_close(t.rate(p), t.information(p) + mismatch)


def test_the_hand_made_model_is_optimal(data: ToySource) -> None:
    t, p = hand_made(), data.p
    assert t.rate(p).item() == pytest.approx(data.information.item())
    assert (t.rate(p) + t.distortion(p)).item() == pytest.approx(data.entropy.item())
    assert t.misfit(p).item() == pytest.approx(0, abs=1e-12)
    assert t.accuracy(data.joint).item() == pytest.approx(0.938, abs=2e-3)


def test_panels_hold_laws(data: ToySource) -> None:
    shown = panels(hand_made(), data)
    for name in ("p(x)", "g(x)", "d(x)", "m(z)", "e(z)"):
        assert shown[name].sum() == pytest.approx(1)
    assert (shown["e(z, z*=0)"] + shown["e(z, z*=1)"]).sum() == pytest.approx(1)
