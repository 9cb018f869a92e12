"""Whole runs on digits, tiny ones, and what interrupts them."""

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from rdserve.data import load
from rdserve.models import checkpoint
from rdserve.models.card import read_card, sha256_of
from rdserve.models.card_parts import WEIGHTS_FILE
from rdserve.models.execution.acceleration import networks
from rdserve.models.networks import pixelcnn
from rdserve.models.reference import Means, measure, reference
from rdserve.trainer import Config, ConfigError, Diverged, configure, resume, train
from rdserve.trainer.progress import TrainingProgress
from rdserve.trainer.run import begin
from rdserve.trainer.train import one_step
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.distributions import Bernoulli

pytestmark = pytest.mark.slow

# Three steps an epoch; a VampPrior and a flow, so that every kind of weight is there.
TINY = {"epochs": 4, "batch_size": 400, "width": 0.05, "latent_dim": 4, "n_pseudo_inputs": 8}
CONFIG = configure("+-v", "digits", **TINY, keep="best", reference_samples=2)


class Remember(TrainingProgress):
    def __init__(self) -> None:
        self.steps: list[float] = []
        self.epochs: list[tuple[int, Means, Means]] = []

    def stepped(self, epoch: float, train: Means) -> None:
        self.steps.append(epoch)

    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        self.epochs.append((epoch, train, valid))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of CONFIG, trained without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train(CONFIG, folder, name="model")
    return folder


def talking(folder: Path, config: Config = CONFIG) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("talking.py")
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), json.dumps(config.as_dict())],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def interrupt(folder: Path, after: str, number: signal.Signals) -> tuple[int, str]:
    """Send a signal once the run has said `after`; its return code and what else it said."""
    with talking(folder) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(after):
                break
        process.send_signal(number)
        said = process.stdout.read()
        return process.wait(), said


def test_weights_in_half_precision_are_what_is_measured(tmp_path: Path) -> None:
    config = configure("---", "digits", **TINY, weights_dtype="float16", reference_samples=2)
    stated = train(config, tmp_path, name="half")
    assert stated.weights.dtype == "float16"
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    _, vae = checkpoint.load(tmp_path)
    images = torch.from_numpy(load("digits", split="test").images)
    assert reference(vae, images, "test", seed=0, n_samples=2) == stated.reference


def test_the_card_says_what_the_stored_weights_measure(whole: Path) -> None:
    card, vae = checkpoint.load(whole)
    test = load("digits", split="test")
    again = measure(vae, torch.from_numpy(test.images), seed=CONFIG.seed, n_samples=2)
    assert card.reference.rate_nats == pytest.approx(again.rate.mean().item(), rel=1e-6)
    assert card.reference.distortion_nats == pytest.approx(again.distortion.mean().item(), rel=1e-6)
    assert card.reference.n_examples == 400
    assert card.data.sha256 == test.sha256
    assert card.input.shape == (8, 8)
    assert card.architecture == CONFIG.architecture
    assert card.training["train_rate_nats"] is not None
    assert sorted(path.name for path in whole.iterdir()) == ["model.json", "model.safetensors"]


def test_a_killed_run_goes_on_to_the_same_bits(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _ = interrupt(tmp_path, "step 1.67", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert (tmp_path / resume.FILE).is_file()
    monkeypatch.setattr(import_module("rdserve.trainer.train"), "TELL_EVERY_STEPS", 1)
    watch = Remember()
    train(CONFIG, tmp_path, name="model", progress=watch)
    assert watch.steps[0] >= 1, "no more than the epoch under way was lost"
    assert sha256_of(tmp_path / WEIGHTS_FILE) == sha256_of(whole / WEIGHTS_FILE)
    assert read_card(tmp_path) == read_card(whole)


def test_an_interrupted_run_saves_where_it_is(whole: Path, tmp_path: Path) -> None:
    code, said = interrupt(tmp_path, "step 1.33", signal.SIGTERM)
    assert code == 130
    assert f"stopped in epoch 2 of 4; the state is in {tmp_path}" in said
    train(CONFIG, tmp_path, name="model")
    assert sha256_of(tmp_path / WEIGHTS_FILE) == sha256_of(whole / WEIGHTS_FILE)


class Abandon(TrainingProgress):
    def epoch_ended(self, epoch: int, train: Means, valid: Means) -> None:
        if epoch == 2:
            raise InterruptedError


@pytest.mark.parametrize(
    ("family", "given"),
    [
        (
            "---",
            {"precision": "bfloat16"},
        ),  # weights lie channels last, and the optimiser's moments follow them
        (
            "-+-",
            {
                "average_epochs": 0.5,
                "dropout": 0.3,
                "schedule": "cosine",
                "warmup_epochs": 0.5,
                "reference_samples": 1,
            },
        ),
    ],
    ids=["bfloat16", "averaged"],
)
def test_whatever_a_run_remembers_goes_on_to_the_same_bits(
    family: str, given: dict[str, Any], tmp_path: Path
) -> None:
    config = configure(family, "digits", **TINY, **given)
    train(config, tmp_path / "whole", name="model")
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "resumed", name="model", progress=Abandon())
    train(config, tmp_path / "resumed", name="model")
    assert sha256_of(tmp_path / "resumed" / WEIGHTS_FILE) == sha256_of(tmp_path / "whole" / WEIGHTS_FILE)


def test_a_run_may_be_given_more_epochs_on_the_way(tmp_path: Path) -> None:
    given = {**TINY, "schedule": "constant", "average_epochs": 1.0}
    train(configure("---", "digits", **given), tmp_path / "whole", name="model")
    short = configure("---", "digits", **{**given, "epochs": 3})
    with pytest.raises(InterruptedError):
        train(short, tmp_path / "longer", name="model", progress=Abandon())
    with pytest.raises(ConfigError, match="epochs is 3 there, 2 was asked for"):
        train(configure("---", "digits", **{**given, "epochs": 2}), tmp_path / "longer", name="model")
    train(configure("---", "digits", **given), tmp_path / "longer", name="model")
    assert sha256_of(tmp_path / "longer" / WEIGHTS_FILE) == sha256_of(tmp_path / "whole" / WEIGHTS_FILE)


def test_the_average_is_what_is_measured_and_kept(tmp_path: Path) -> None:
    images = torch.from_numpy(load("digits", split="train").images)
    run = begin(configure("---", "digits", **TINY, average_epochs=2 / 3), images)  # two steps
    seen = []
    for batch in range(3):
        one_step(run, images, 0, batch)
        seen.append(run.vae.state_dict()["encoder.body.0.conv.weight"].clone())
    # The plain mean of two, then half of it and half of the third.
    expected = 0.5 * (0.5 * seen[0] + 0.5 * seen[1]) + 0.5 * seen[2]
    torch.testing.assert_close(run.measured.state_dict()["encoder.body.0.conv.weight"], expected)


def test_dropout_is_for_training_alone() -> None:
    images = torch.from_numpy(load("digits", split="train").images)[:8]
    plain, dropped = (
        begin(configure("-+-", "digits", **TINY, dropout=dropout), images) for dropout in (0.0, 0.5)
    )
    assert (
        measure(plain.vae.eval(), images, seed=0).means == measure(dropped.vae.eval(), images, seed=0).means
    )
    for run in (plain, dropped):
        one_step(run, images, 0, 0)
    assert plain.totals[1] != dropped.totals[1]


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch, of itself; likewise below
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("family", ["+-v", "-+-"])
def test_compiled_networks_take_the_same_steps(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced, forwards and backwards, by a backend that needs no C++ compiler and no minutes; a PixelCNN of
    two sizes and one layer a block, which is every kind of layer it has."""
    monkeypatch.setattr(pixelcnn, "N_LEVELS", 2)
    monkeypatch.setattr(pixelcnn, "LAYERS_PER_BLOCK", 1)
    images = torch.from_numpy(load("digits", split="train").images[:800])
    plain, compiled = (
        begin(configure(family, "digits", **TINY, execution=execution), images, compiler="aot_eager")
        for execution in ("eager", "compile")
    )
    for run in (plain, compiled):
        for batch in range(2):
            one_step(run, images, 0, batch)
    torch.testing.assert_close(compiled.totals, plain.totals, rtol=1e-5, atol=1e-3)
    assert all(hasattr(network.forward, "_torchdynamo_orig_callable") for network in networks(compiled.vae))
    with pytest.raises(ValueError, match="constraint"):  # what divergence is known by
        Bernoulli(probs=torch.tensor(float("nan")))


def test_a_start_that_is_another_model_is_refused(whole: Path, tmp_path: Path) -> None:
    config = configure("---", "digits", **TINY, start="model")
    with pytest.raises(ConfigError, match=r"holds model, .*'\+-v'.*; training starts from 'model', .*'---'"):
        train(config, tmp_path, name="other", start=whole)
    with pytest.raises(ConfigError, match="starts from model: give the folder of that checkpoint"):
        train(config, tmp_path, name="other")


def test_another_config_is_refused_with_the_difference(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        train(CONFIG, tmp_path, name="model", progress=Abandon())
    other = configure("+-v", "digits", **TINY, keep="best", reference_samples=2, beta=0.5)
    with pytest.raises(ConfigError, match=r"holds another run: beta is 1.0 there, 0.5 was asked for"):
        train(other, tmp_path, name="model")


def test_a_finished_run_is_left_alone(whole: Path) -> None:
    before = (whole / "model.safetensors").stat().st_mtime_ns
    watch = Remember()
    assert train(CONFIG, whole, name="model", progress=watch) == read_card(whole)
    assert watch.epochs == []
    assert (whole / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"another checkpoint: name is model there, other was asked for"):
        train(CONFIG, whole, name="other")


def test_a_run_that_diverges_keeps_its_last_good_state(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"at step .* a lower learning rate"):
        train(configure("---", "digits", **TINY, learning_rate=1e30), tmp_path, name="model")
    if (tmp_path / resume.FILE).is_file():
        assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / resume.FILE).values())
    assert not (tmp_path / "model.json").exists()


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / resume.FILE).write_bytes(b"not tensors")
    with pytest.raises(resume.StateError, match=r"training\.safetensors is damaged .* delete it"):
        train(CONFIG, tmp_path, name="model")


def test_a_state_that_holds_other_tensors_is_refused_in_words(tmp_path: Path) -> None:
    """As one of geco that kept its running rate in another way."""
    config = configure("---", "digits", **TINY, objective="geco", target_rate=2.0)
    resume.save(begin(config, torch.from_numpy(load("digits", split="train").images)), tmp_path)
    with safe_open(tmp_path / resume.FILE, "pt") as file:
        head, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["objective/rate"] = tensors.pop("objective/running.total")
    save_file(tensors, tmp_path / resume.FILE, metadata=head)
    with pytest.raises(resume.StateError, match=r"another version of the trainer.*running\.total.*delete it"):
        train(config, tmp_path, name="model")


def test_training_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    watch = Remember()
    settings = {**TINY, "epochs": 12, "batch_size": 100, "learning_rate": 1e-2}
    card = train(configure("---", "digits", **settings), tmp_path, name="model", progress=watch)
    losses = [-valid.elbo for _, _, valid in watch.epochs]
    assert [epoch for epoch, _, _ in watch.epochs] == list(range(1, 13))
    assert card.training["kept_epoch"] == losses.index(min(losses)) + 1
    assert min(losses) < losses[0] - 1
    # 64 fair coins cost 44.4 nats.
    assert card.reference.distortion_nats + card.reference.rate_nats < 28


def test_annealing_ends_with_a_higher_rate(tmp_path: Path) -> None:
    settings = {**TINY, "epochs": 4, "batch_size": 100, "learning_rate": 1e-2, "keep": "last"}
    rates = [
        train(
            configure("---", "digits", **settings, annealing_epochs=n), tmp_path / str(n), name="model"
        ).reference.rate_nats
        for n in (0, 4)
    ]
    assert rates[1] > rates[0]


def test_the_trainer_stands_alone() -> None:
    code = (
        "import sys, rdserve.trainer, rdserve.trainer.recipe\n"
        "print(sorted({'grpc', 'ts', 'typer', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
