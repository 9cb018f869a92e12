"""The training loop, to be read top to bottom.

load -> begin or resume -> [ epoch: steps -> validate -> save ] ... -> finish: measure, write the checkpoint
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path

import torch
from rdserve.data import SPLITS, Source, read
from rdserve.models.card import Card
from rdserve.models.checkpoint import load as load_checkpoint
from rdserve.models.distributions.draw import draw
from rdserve.models.distributions.noise import Noise, NoiseKeys, Purpose
from rdserve.models.rate_distortion import evaluate_with_codes
from rdserve.models.reference import Means
from rdserve.models.vae import VAE
from rdserve.trainer import optim, resume
from rdserve.trainer.config import Config, ConfigError, require_name
from rdserve.trainer.objectives import Codes
from rdserve.trainer.own_data import steps_of
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.publish import publish, published
from rdserve.trainer.run import Best, EpochMeans, TrainingRun, begin
from rdserve.trainer.signals import stop_asked
from rdserve.trainer.validate import validate
from torch import Tensor

TELL_EVERY_STEPS = 10
SAVE_EVERY_SECONDS = 300.0
ADVICE = "The last good state is kept; start elsewhere with a lower learning rate"


class TrainingError(Exception):
    """Training ended without a checkpoint; what it has is saved."""


class Stopped(TrainingError):
    """Somebody asked it to stop."""


class Diverged(TrainingError):
    """Rate, distortion, loss or weights are no longer finite."""


def train(
    config: Config,
    folder: Path,
    *,
    name: str,
    device: str = "auto",
    data_root: Path | None = None,
    start: Path | None = None,
    progress: TrainingProgress | None = None,
) -> Card:
    """Train to the end, from the start or from the state in the folder, and write the checkpoint there.

    Where the folder holds this very checkpoint already, its card is all that happens.
    start: folder of the checkpoint that config.start names.

    Raises:
        ConfigError: no such name can be, the folder holds a run or a checkpoint with another config, or
            `start` another model.
        Stopped, Diverged: see there; the folder holds the last good state.
    """
    require_name(name)
    if card := published(config, name, folder):
        return card
    source = data_of(config, data_root)
    data = {split: source.split(split) for split in SPLITS}
    images = {split: torch.from_numpy(data[split].images).to(choose(device)) for split in SPLITS}
    run = begin(config, images["train"], starting_point(config, start))
    folder.mkdir(parents=True, exist_ok=True)
    resume.restore(run, folder)
    told = progress or TrainingProgress()
    told.began(name, config, run.history)
    run_epochs(run, images["train"], images["valid"], folder, told)
    card = publish(run, name, folder, data, images)
    (folder / resume.FILE).unlink()
    told.ended(card)
    return card


def data_of(config: Config, root: Path | None) -> Source:
    """What the config names.

    Raises:
        ConfigError: a file that holds other data than it held.
        DataError: the data are not at hand.
    """
    source = read(config.data, root=root, steps=steps_of(config.preprocess))
    if config.data_sha256 not in ("", source.sha256):
        raise ConfigError(
            f"{config.data} holds other data now: sha256 {source.sha256[:12]}, the run is on "
            f"{config.data_sha256[:12]}"
        )
    return source


def starting_point(config: Config, folder: Path | None) -> VAE | None:
    """The model whose weights training starts from, if any.

    Raises:
        ConfigError: the folder does not hold a checkpoint of that name and architecture.
    """
    if folder is None:
        if config.start:
            raise ConfigError(f"it starts from {config.start}: give the folder of that checkpoint")
        return None
    card, vae = load_checkpoint(folder)
    if (card.name, card.architecture) != (config.start, config.architecture):
        raise ConfigError(
            f"{folder} holds {card.name}, {card.architecture!r}; "
            f"training starts from {config.start!r}, {config.architecture!r}"
        )
    return vae


def choose(device: str) -> torch.device:
    """The device of that name; "auto" is the GPU where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def run_epochs(
    run: TrainingRun, train: Tensor, valid: Tensor, folder: Path, progress: TrainingProgress
) -> None:
    """From wherever the run stands to its last epoch, saving as it goes."""
    per_epoch = run.config.steps_per_epoch(len(train))
    saved = time.monotonic()
    with stop_asked() as asked:
        while run.step < per_epoch * run.config.epochs:
            epoch, batch = divmod(run.step, per_epoch)
            step_or_diverge(run, train, epoch, batch)
            ended = run.step % per_epoch == 0
            if ended or run.step % TELL_EVERY_STEPS == 0:
                n = min(len(train), (batch + 1) * run.config.batch_size)
                progress.stepped(epoch + n / len(train), means(run, n))
            if ended:
                end_epoch(run, epoch + 1, len(train), valid, progress)
            if ended or asked() or time.monotonic() - saved > SAVE_EVERY_SECONDS:
                save(run, folder)
                saved = time.monotonic()
            if asked():
                raise Stopped(
                    f"stopped in epoch {epoch + 1} of {run.config.epochs}; the state is in {folder}"
                )


def step_or_diverge(run: TrainingRun, images: Tensor, epoch: int, batch: int) -> None:
    """`one_step`, where torch's refusal of NaN as a parameter of a distribution is named for what it is."""
    try:
        one_step(run, images, epoch, batch)
    except ValueError as error:
        what, _, reason = str(error).partition(" of distribution ")
        if "to satisfy the constraint" not in reason:
            raise
        raise Diverged(f"out of range at step {run.step}: {what}. {ADVICE}") from error


def one_step(run: TrainingRun, images: Tensor, epoch: int, batch: int) -> None:
    """One batch through equations (4) to (6), and one step of the optimiser."""
    config = run.config
    start = batch * config.batch_size
    chosen = order(config.seed, epoch, len(images))[start : start + config.batch_size].to(images.device)
    x = images[chosen].float()
    noise = Noise(training_keys(config.seed, epoch, chosen), Purpose.POSTERIOR)
    so_far = epoch + start / len(images)
    for group in run.optimiser.param_groups:
        group["lr"] = optim.learning_rate(config, so_far)
    run.vae.train()
    with mixed(config, run.device), dropout_of_step(run):
        rd, z, m = evaluate_with_codes(run.vae, x, run.objective.n_samples, lambda e, k: draw(e, noise, k))
        codes = None
        if run.objective.wants_codes:
            with torch.no_grad():  # a flow's draws are not differentiable; R is what trains a marginal
                codes = Codes(z[0], draw(m, noise.about(Purpose.PRIOR), 1)[0])
    loss = run.objective.loss(rd, so_far, codes)
    run.optimiser.zero_grad()
    loss.backward()
    run.optimiser.step()
    if run.average:
        run.average.update_parameters(run.vae)
    sums = (rd.expected_rate.sum(), rd.expected_distortion.sum(), loss * len(x))
    run.totals += torch.stack(sums).detach().double()
    run.step += 1


@lru_cache(maxsize=1)
def order(seed: int, epoch: int, n: int) -> Tensor:
    """(n,) int64: the order of the training images in an epoch."""
    return torch.randperm(n, generator=torch.Generator().manual_seed((seed << 32) + epoch))


def training_keys(seed: int, epoch: int, chosen: Tensor) -> NoiseKeys:
    """Noise keys of images in an epoch. Negative seeds: apart from those that requests and cards use."""
    return NoiseKeys(torch.full_like(chosen, ~((seed << 32) + epoch)), chosen)


@contextmanager
def dropout_of_step(run: TrainingRun) -> Iterator[None]:
    """What is dropped in a step is a function of (seed, step), as all other noise is."""
    if not run.config.dropout:
        yield
        return
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        torch.manual_seed((run.config.seed << 32) + run.step)
        yield


def mixed(config: Config, device: torch.device) -> AbstractContextManager[object]:
    """Where matrix products and convolutions run in bfloat16, if the config says so."""
    if config.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def means(run: TrainingRun, n: int) -> Means:
    """Over the n images of the epoch so far.

    Raises:
        Diverged: they are not finite.
    """
    rate, distortion, loss = (run.totals / n).tolist()
    if not torch.isfinite(run.totals).all():
        facts = f"rate {rate}, distortion {distortion}, loss {loss}"
        raise Diverged(f"not finite any more at step {run.step}: {facts}. {ADVICE}")
    return Means(rate, distortion)


def end_epoch(run: TrainingRun, epoch: int, n: int, valid: Tensor, progress: TrainingProgress) -> None:
    """Measure the validation split, keep the best weights, tell."""
    here = validate(run.measured.eval(), valid, run.objective, seed=run.config.seed)
    objective = run.objective.goal(here)
    if run.config.keep == "best" and (run.best is None or objective < run.best.objective):
        weights = {name: tensor.detach().clone() for name, tensor in run.measured.state_dict().items()}
        run.best = Best(objective, epoch, weights)
    run.history.append(EpochMeans(epoch, means(run, n), Means(here.rate, here.distortion)))
    progress.epoch_ended(*run.history[-1])
    run.totals.zero_()


def save(run: TrainingRun, folder: Path) -> None:
    """Save the state, unless it is a bad one.

    Raises:
        Diverged: a weight is not finite.
    """
    require_finite(run)
    resume.save(run, folder)


def require_finite(run: TrainingRun) -> None:
    """Raises Diverged where a weight is not finite."""
    broken = [name for name, tensor in run.vae.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise Diverged(f"not finite any more at step {run.step}: {', '.join(broken[:3])}. {ADVICE}")
