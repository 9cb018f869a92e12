"""A VAE of tables: x and z take finitely many values, as one-hot rows. What serves the toy."""

import torch
from rdserve.models.toy.laws import Tables
from rdserve.models.vae import VAE
from torch import Tensor, nn
from torch.distributions import Independent, OneHotCategorical


class Table(nn.Module):
    """Logits of laws over `n` values, one law per condition, normalised in float64."""

    def __init__(self, *conditions: int, n: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(*conditions, n))

    @property
    def log_p(self) -> Tensor:
        """(*conditions, n) float64."""
        return self.logits.double().log_softmax(-1)


class TableEncoder(Table):
    """x (..., 1, X) one-hot -> e(z|x), batch (...,), event (Z,)."""

    def forward(self, x: Tensor) -> OneHotCategorical:
        return OneHotCategorical(logits=x.squeeze(-2).double() @ self.log_p)


class TableMarginal(Table):
    """() -> m(z), batch (), event (Z,)."""

    def forward(self) -> OneHotCategorical:
        return OneHotCategorical(logits=self.log_p)


class TableDecoder(Table):
    """z (..., Z) one-hot -> d(x|z), batch (...,), event (1, X)."""

    def forward(self, z: Tensor) -> Independent[OneHotCategorical]:
        logits = z.double() @ self.log_p
        return Independent(OneHotCategorical(logits=logits.unsqueeze(-2)), 1)


def build(n_bins: int, n_codes: int) -> VAE:
    """Random tables."""
    return VAE(TableEncoder(n_bins, n=n_codes), TableMarginal(n=n_codes), TableDecoder(n_codes, n=n_bins))


@torch.no_grad()
def from_laws(tables: Tables) -> VAE:
    """The model of these laws, (x, z), (z,) and (z, x), rounded to float32."""
    vae = build(*tables.encoder.shape)
    for module, log_p in zip((vae.encoder, vae.marginal, vae.decoder), tables, strict=True):
        assert isinstance(module, Table)
        module.logits.copy_(log_p)
    return vae


@torch.no_grad()
def laws(vae: VAE) -> Tables:
    """The laws of a model of tables, float64."""
    assert isinstance(vae.encoder, Table)
    assert isinstance(vae.marginal, Table)
    assert isinstance(vae.decoder, Table)
    return Tables(vae.encoder.log_p, vae.marginal.log_p, vae.decoder.log_p)
