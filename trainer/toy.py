"""Training the toy: the ELBO, which ends with an empty code, and a target rate, which does not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from rdserve.models import checkpoint
from rdserve.models.card import Card, TorchCard
from rdserve.models.card_parts import (
    ONE_HOT,
    Architecture,
    InputSpec,
    LikelihoodSpec,
    ReferenceScores,
    TrainedObjective,
    TrainingData,
    Weights,
)
from rdserve.models.toy import vae as toy_vae
from rdserve.models.toy.laws import SHA256, N, Tables, ToySource, toy_source
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

LEARNING_RATE = 1e-2
STEPS_PER_STAGE = 8000
# Weight of |sigma - R| in each stage. From the start, a large one wastes the rate it asks for.
STAGES = (1.0, 4.0)
INIT_SCALE_ELBO, INIT_SCALE_TARGET = 0.3, 0.1


class ToyModel(nn.Module):
    """2 x 30 parameters for the encoder, as many for the decoder, 30 for the marginal; n_runs at once.

    e(z_i|x) ~ exp -(w_i x - b_i)^2 and d(x_j|z) ~ exp -(w_j z - b_j)^2, x and z on [-1, 1].
    """

    grid: Tensor

    def __init__(self, init_scales: Tensor, seed: int) -> None:
        """init_scales: (n_runs,) standard deviation of each run's first parameters."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        scales = init_scales.double()[:, None]

        def parameter() -> nn.Parameter:
            draws = torch.randn(len(init_scales), N, generator=generator, dtype=torch.float64)
            return nn.Parameter(scales * draws)

        self.we, self.be, self.wd, self.bd, self.pi = (parameter() for _ in range(5))
        self.register_buffer("grid", torch.linspace(-1, 1, N, dtype=torch.float64))

    def forward(self) -> Tables:
        encoder, decoder = (
            -((w[:, None, :] * self.grid[:, None] - b[:, None, :]) ** 2)
            for w, b in ((self.we, self.be), (self.wd, self.bd))
        )
        return Tables(*(logits.log_softmax(-1) for logits in (encoder, self.pi, decoder)))


@dataclass(frozen=True)
class ToyResult:
    """A model of the toy, and its numbers in nats; accuracy: of the true class read from z."""

    tables: Tables
    rate: float
    distortion: float
    information: float
    misfit: float
    accuracy: float

    def numbers(self) -> dict[str, float]:
        """All but the tables, named with their units."""
        return {
            "rate_nats": self.rate,
            "distortion_nats": self.distortion,
            "information_nats": self.information,
            "misfit_nats": self.misfit,
            "class_accuracy": self.accuracy,
        }


def train(
    source: ToySource,
    target_rate: float = 0.5,
    *,
    n_starts: int = 4,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[ToyResult, ToyResult]:
    """Minimise R + D, and D + |target_rate - R| (section 3), from n_starts random starts each.

    All runs advance together as one batch; `on_step` gets the steps done and their total. Returns the
    ELBO's run and the target rate's.
    """
    scales = torch.tensor([INIT_SCALE_ELBO] * n_starts + [INIT_SCALE_TARGET] * n_starts)
    model = ToyModel(scales, seed)
    for stage, weight in enumerate(STAGES):
        loss = partial(losses, p=source.p, target_rate=target_rate, weight=weight, n_elbo=n_starts)
        for step in minimise(model, loss, LEARNING_RATE / 10**stage):
            if on_step and step % 100 == 0:
                on_step(stage * STEPS_PER_STAGE + step, len(STAGES) * STEPS_PER_STAGE)
    with torch.no_grad():
        tables = model()
    return best(tables, source, range(n_starts)), best(tables, source, range(n_starts, 2 * n_starts))


def losses(tables: Tables, *, p: Tensor, target_rate: float, weight: float, n_elbo: int) -> Tensor:
    """() the sum of all runs' objectives; the first n_elbo runs minimise R + D."""
    r, d = tables.rate(p), tables.distortion(p)
    elbo, target = d + r, d + weight * (target_rate - r).abs()
    return elbo[:n_elbo].sum() + target[n_elbo:].sum()


def minimise(model: ToyModel, loss: Callable[[Tables], Tensor], learning_rate: float) -> Iterator[int]:
    """Adam over the whole tables, its learning rate falling linearly to 0; yields the steps done."""
    optimiser = Adam(model.parameters(), learning_rate, foreach=True)
    schedule = LambdaLR(optimiser, lambda step: 1 - step / STEPS_PER_STAGE)
    for step in range(STEPS_PER_STAGE):
        optimiser.zero_grad()
        loss(model()).backward()
        optimiser.step()
        schedule.step()
        yield step + 1


def best(tables: Tables, source: ToySource, runs: range) -> ToyResult:
    """The run among `runs` whose z tells the true classes apart best."""
    run = max(runs, key=tables.accuracy(source.joint).tolist().__getitem__)
    return evaluate(Tables(*(table[run] for table in tables)), source)


def evaluate(tables: Tables, source: ToySource) -> ToyResult:
    """One model, by exact sums."""
    return ToyResult(
        tables,
        rate=tables.rate(source.p).item(),
        distortion=tables.distortion(source.p).item(),
        information=tables.information(source.p).item(),
        misfit=tables.misfit(source.p).item(),
        accuracy=tables.accuracy(source.joint).item(),
    )


def write(tables: Tables, name: str, objective: TrainedObjective, folder: Path, **training: float) -> Card:
    """Write a checkpoint like any other; its card's numbers are exact sums over the stored tables."""
    vae = toy_vae.from_laws(tables)
    result = evaluate(toy_vae.laws(vae), toy_source())
    card = TorchCard(
        name=name,
        architecture=Architecture(family="toy", image_size=N, latent_dim=N),
        input=InputSpec(kind="one_hot", shape=(1, N), binarisation=ONE_HOT),
        likelihood=LikelihoodSpec(law="categorical"),
        objective=objective,
        data=TrainingData(name="toy", sha256=SHA256),
        weights=Weights(sha256="0" * 64),  # `save` states the real one
        code_version=version("rdserve"),
        training={**training, **result.numbers()},
        reference=exact_reference(result),
    )
    return checkpoint.save(vae, card, folder)


def exact_reference(result: ToyResult) -> ReferenceScores:
    """Means over p*(x): sums without an error."""
    return ReferenceScores(
        split="every bin, weighted by p*(x)",
        n_examples=N,
        seed=0,
        n_samples=1,
        rate_nats=result.rate,
        rate_standard_error_nats=0.0,
        distortion_nats=result.distortion,
        distortion_standard_error_nats=0.0,
    )
