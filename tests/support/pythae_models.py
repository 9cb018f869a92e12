"""Models that pythae trained, for a moment."""

import warnings
from typing import Any

import pytest
import torch
from rdserve.data import load
from torch import nn

SHAPE = (1, 8, 8)


def pythae() -> Any:
    """Its classes; skips the test where pythae is not installed."""
    pytest.importorskip("pythae", reason="pythae is not installed")
    with warnings.catch_warnings(action="ignore"):
        from pythae import models
    return models


def trained(name: str, *, steps: int = 20, **config: Any) -> nn.Module:
    """A model of this class on the digits, in eval mode."""
    models = pythae()
    torch.manual_seed(0)
    made = getattr(models, f"{name}Config", None) or getattr(models, f"{name}_Config")
    model: nn.Module = getattr(models, name)(made(input_dim=SHAPE, latent_dim=4, **config))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.from_numpy(load("digits", split="train").images).float()[:, None]
    for batch in x.split(50)[:steps]:
        optimiser.zero_grad()
        model({"data": batch})["loss"].backward()
        optimiser.step()
    return model.eval()
