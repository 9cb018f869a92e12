"""The VAE of PyTorch's examples, trained on digits and exported. Usage: pytorch_vae.py FOLDER [EPOCHS]

Its networks are those of https://github.com/pytorch/examples/tree/main/vae, 784-400-20, for images of 8 x 8.
The loss is a binary cross-entropy and a KL divergence: of images of 0s and 1s, D and R in nats.
"""

import sys
from pathlib import Path

import torch
from rdserve import export, load
from rdserve.models.export.export import Exported
from torch import Tensor, nn
from torch.nn import functional as F

PIXELS = 64


class ExampleVAE(nn.Module):
    """x (N, 8, 8) -> mean and log variance of z (N, 20); z -> probabilities of ink."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(PIXELS, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, PIXELS)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.fc1(x.reshape(x.shape[0], PIXELS)))
        return self.fc21(h), self.fc22(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.fc4(F.relu(self.fc3(z))).reshape(z.shape[0], 8, 8)

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """R and D of each image, nats."""
        mu, log_var = self.encode(x)
        logits = self.decode(mu + (0.5 * log_var).exp() * torch.randn_like(mu))
        rate = -0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(1)
        return rate, F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2))


def trained(epochs: int) -> ExampleVAE:
    """On the training split, batches of 64."""
    torch.manual_seed(0)
    model = ExampleVAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.from_numpy(load("digits", split="train").images).float()
    for _ in range(epochs):
        for batch in x[torch.randperm(len(x))].split(64):
            rate, distortion = model.loss(batch)
            optimiser.zero_grad()
            (rate + distortion).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return model


def main(folder: Path, epochs: int = 100) -> Exported:
    model, test = trained(epochs), load("digits", split="test")
    return export(
        folder, encoder=model.encode, decoder=model.decode, modules=[model], x=test,
        likelihood="bernoulli", own_loss=model.loss,
    )  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
