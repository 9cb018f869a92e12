"""Four models that pythae trains on digits, side by side. Usage: pythae_models.py FOLDER [EPOCHS]

A VAE, a VampPrior, an inverse autoregressive flow and a vector-quantised VAE. `rdserve compare --serve FOLDER
--data digits` then says which is better. It needs pythae: pip install pythae.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from pythae.models import (
    VAE,
    VAE_IAF,
    VAMP,
    VQVAE,
    BaseAE,
    VAE_IAF_Config,
    VAEConfig,
    VAMPConfig,
    VQVAEConfig,
)
from rdserve import load
from rdserve.models.export.export import Exported
from rdserve.models.export.pythae_folder import export_pythae

SIZE = {"input_dim": (1, 8, 8), "latent_dim": 8}
BITS = {"reconstruction_loss": "bce"}


def models() -> dict[str, BaseAE]:
    """By the names that they are served under."""
    return {
        "vae": VAE(VAEConfig(**SIZE, **BITS)),
        "vamp": VAMP(VAMPConfig(**SIZE, **BITS, number_components=50)),
        "iaf": VAE_IAF(VAE_IAF_Config(**SIZE, **BITS)),
        "vq": VQVAE(VQVAEConfig(**SIZE, num_embeddings=16)),
    }


def train(model: BaseAE, epochs: int) -> None:
    """On the training split, batches of 64."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.from_numpy(load("digits", split="train").images).float()[:, None]
    model.train()
    for epoch in range(epochs):
        for batch in x[torch.randperm(len(x))].split(64):
            optimiser.zero_grad()
            model({"data": batch}, epoch=epoch)["loss"].backward()
            optimiser.step()


def main(folder: Path, epochs: int = 30) -> Iterator[Exported]:
    test = load("digits", split="test")
    torch.manual_seed(0)
    for name, model in models().items():
        train(model, epochs)
        # The loss of a VQVAE is a squared error; its decoder ends in a sigmoid, so bits have a law too.
        yield export_pythae(model, folder / name, test, likelihood="bernoulli" if name == "vq" else None)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for exported in main(Path(sys.argv[1]), *map(int, sys.argv[2:])):
        print(exported)
