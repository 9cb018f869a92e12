"""A card's architecture -> a VAE: the paper's 12 families, and kinds of their own."""

from itertools import product

from rdserve.models.card_parts import Architecture
from rdserve.models.components.decoders import DeconvDecoder, PixelCNNDecoder
from rdserve.models.components.encoders import FlowEncoder, GaussianEncoder, SparseEncoder
from rdserve.models.components.marginals import FlowMarginal, SparseMarginal, StandardNormal, VampPrior
from rdserve.models.networks.flows import HIDDEN_UNITS, MeanOnlyFlow
from rdserve.models.networks.layers import channels
from rdserve.models.toy import vae
from rdserve.models.vae import VAE
from torch import nn

FAMILIES = tuple("".join(tuple_) for tuple_ in product("-+", "-+", "-+v"))

SPARSE = "sparse"
SPARSE_FAMILIES = ("sparse-", "sparse+")
_LETTERS = {"-": "m", "+": "p", "v": "v"}


def slug(family: str) -> str:
    """The tuple in letters, for names of models and files: "-+v" -> "mpv" (minus, plus, vamp), and
    "sparse+" -> "sparse-p"."""
    e, d, m = parts(family)
    return f"sparse-{_LETTERS[d]}" if e == SPARSE else "".join(_LETTERS[sign] for sign in (e, d, m))


def parts(family: str) -> tuple[str, str, str]:
    """Encoder, decoder and marginal."""
    if family.startswith(SPARSE):
        return SPARSE, family.removeprefix(SPARSE), SPARSE
    return family[0], family[1], family[2]


def build(architecture: Architecture) -> VAE:
    """A new model with random weights."""
    if architecture.discrete:
        return vae.build(architecture.image_size, architecture.latent_dim)
    e, d, m = parts(architecture.family)
    encoder = ENCODERS[e](architecture)
    return VAE(encoder, MARGINALS[m](architecture, encoder), DECODERS[d](architecture))


def _flow(a: Architecture) -> MeanOnlyFlow:
    return MeanOnlyFlow(a.latent_dim, channels(HIDDEN_UNITS, a.width))


def _gaussian_encoder(a: Architecture) -> nn.Module:
    return GaussianEncoder(a.image_shape, a.latent_dim, a.width)


def _flow_encoder(a: Architecture) -> nn.Module:
    return FlowEncoder(a.image_shape, a.latent_dim, a.width, _flow(a))


def _sparse_encoder(a: Architecture) -> nn.Module:
    return SparseEncoder(a.image_shape, a.latent_dim, a.width)


def _deconv_decoder(a: Architecture) -> nn.Module:
    return DeconvDecoder(a.image_shape, a.latent_dim, a.width)


def _pixelcnn_decoder(a: Architecture) -> nn.Module:
    return PixelCNNDecoder(a.image_shape, a.latent_dim, a.width)


def _standard_normal(a: Architecture, encoder: nn.Module) -> nn.Module:
    return StandardNormal(a.latent_dim)


def _flow_marginal(a: Architecture, encoder: nn.Module) -> nn.Module:
    return FlowMarginal(a.latent_dim, _flow(a))


def _vamp_prior(a: Architecture, encoder: nn.Module) -> nn.Module:
    return VampPrior(encoder, a.image_shape, a.n_pseudo_inputs)


def _sparse_marginal(a: Architecture, encoder: nn.Module) -> nn.Module:
    return SparseMarginal(a.latent_dim, a.active_share)


ENCODERS = {"-": _gaussian_encoder, "+": _flow_encoder, SPARSE: _sparse_encoder}
DECODERS = {"-": _deconv_decoder, "+": _pixelcnn_decoder}
MARGINALS = {"-": _standard_normal, "+": _flow_marginal, "v": _vamp_prior, SPARSE: _sparse_marginal}
