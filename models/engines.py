"""Loading a model for whichever engine its card names. Both give a `VAE`, and nothing above asks which."""

from pathlib import Path

import torch
from rdserve.models import checkpoint
from rdserve.models.card import Card, TorchCard, read_card
from rdserve.models.vae import VAE


def load_model(folder: Path, device: str | torch.device = "cpu") -> tuple[Card, VAE]:
    """The model in a folder, in eval mode.

    Raises:
        CardError: the card breaks the contract, or disagrees with what lies beside it.
    """
    if isinstance(read_card(folder), TorchCard):
        return checkpoint.load(folder, device)
    # ONNX Runtime is an extra, and takes 45 MB.
    from rdserve.models.onnx.vae import load

    return load(folder)
